# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of a bridge: a drafted migration from one project's schema to another's, and what its proof found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange, SchemaSide
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.documents import UncoveredObject


@dataclass(kw_only=True)
class BridgeFile:
    """One migration of the draft and its rollback, as paths; its statements by number, those that are commented out apart."""

    version: str
    name: str
    path: str
    rollback: str | None
    statements: int
    commented: int
    outside_transaction: bool


@dataclass(kw_only=True)
class Destroying:
    """Statements that are commented out, why, and how many rows would lose something; None where there are no rows to count."""

    object_name: str
    file: str
    reason: str
    rows: int | None
    statements: list[str]


@dataclass(kw_only=True)
class Trial:
    """What one run of the draft on a copy left between it and the source.

    ``dump_equal``: whether pg_dump writes the same of both, in any order; None where it was not compared.
    """

    executed: bool
    failure: str | None = None
    differences: list[CatalogChange] = field(default_factory=list)
    unexplained: list[CatalogChange] = field(default_factory=list)
    dump_equal: bool | None = None
    dump_differences: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Bridge(Document):
    """bridge.json: the files, what they leave to a person, and the proof.

    ``as_drafted``: what destroys stays commented out, so what it leaves has to be that and nothing else. ``in_full``: with
    everything, so nothing may be left. ``rollback``: what the rollbacks left between the target and itself as it was.
    ``applied_as``: the role that ran the draft on the copies.
    """

    kind: ClassVar[str] = "bridge"
    target: SchemaSide
    source: SchemaSide
    made_at: str
    verdict: Literal["proven", "partly", "not proven"]
    reasons: list[str]
    files: list[BridgeFile]
    destroying: list[Destroying]
    not_covered: list[UncoveredObject]
    as_drafted: Trial
    in_full: Trial
    rollback: Trial
    proven_with: str | None
    applied_as: str | None
    notes: list[str]
    directory: str
    duration_seconds: float
