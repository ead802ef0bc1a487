# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup in a run's report. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.sizes import human_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord


def backup_headline(run: RunRecord, manifest: Mapping[str, Any]) -> str:
    """How a run that only backs up ended, in one line."""
    if run.verdict == "backed_up":
        return f"BACKED UP: {manifest['backup_id']}, {backup_proof(manifest)}"
    if run.verdict == "not_applied":
        return "NOT BACKED UP: the unfinished backup was removed; earlier ones and the database are as before"
    if run.verdict == "needs_attention":
        return f"NEEDS ATTENTION: backup {manifest['backup_id']} is whole and verified, and a step after it failed; see below"
    if run.verdict == "nothing_to_do":
        return "NO NEW BACKUP: a young one will do, or it was only to be checked that one can be made"
    return "the run is still under way, or was killed"


def backup_proof(manifest: Mapping[str, Any]) -> str:
    """How far a backup is proven, in words."""
    verification = manifest.get("verification") or {}
    if not verification:
        return "not verified"
    if verification["method"] == "restore":
        return (
            f"restored to a scratch server of PostgreSQL {verification['restored_with']}: "
            f"{number(verification['restored_rows'], 'row')} and the catalog were equal"
        )
    return f"the whole archive was read back ({verification['entries']} entries)"


def backup_facts(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What it is, how it was proven, who can read it, and what to type to have it back."""
    files = len(manifest["files"])
    yield "archive", (
        f"{manifest['format']}, {manifest['compression']}, {human_bytes(manifest['total_bytes'])} in "
        f"{number(files, 'file')}, by pg_dump {manifest['client_version']}"
    )
    yield "verified", f"{backup_proof(manifest)}; sha256 of every file in the manifest"
    tables = len(manifest["counts"]["tables"])
    yield "counts", (
        f"{number(manifest['counts']['total'], 'row')} in {number(tables, 'table')}, from the dump's own snapshot"
    )
    yield "catalog", manifest["catalog_fingerprint"][:16]
    if manifest.get("not_held"):
        yield "not held", ", ".join(
            item["what"] + (" (not countable)" if item["count"] is None else f": {item['count']:,}")
            for item in manifest["not_held"]
        )
    if encryption := manifest.get("encryption"):
        yield "encrypted", f"by {encryption['tool']} to {', '.join(encryption['recipients'])}"
    consent = shlex.quote(f"{manifest['project']} {manifest['backup_id']}")
    yield "restore it", (
        f"ansible-playbook pgops.supabase.restore -l {shlex.quote(manifest['project'])} -e restore_consent={consent}"
    )
    for note in (manifest.get("verification") or {}).get("notes", []):
        yield "note", note
