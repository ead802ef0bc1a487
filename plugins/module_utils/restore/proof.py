# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof of a restore: what is there now beside what the backup's manifest says, and that nothing else was changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    OWN_SCHEMA,
    Catalog,
    compare_catalogs,
    fingerprint,
    read_catalog,
)
from ansible_collections.pgops.supabase.plugins.module_utils.counts.comparison import compare_counts
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import CountComparison, TableCount
from ansible_collections.pgops.supabase.plugins.module_utils.counts.tables import count_in_transaction, existing_tables
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import server_version
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import present_schemas
from ansible_collections.pgops.supabase.plugins.module_utils.restore.load import BackupContent, RestorePlan
from ansible_collections.pgops.supabase.plugins.module_utils.restore.platform import without_newer_privileges
from ansible_collections.pgops.supabase.plugins.module_utils.restore.surroundings import not_ours, schema_of
from ansible_collections.pgops.supabase.plugins.module_utils.servers.extensions import MARK

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


@dataclass(frozen=True, kw_only=True)
class RestoreProof:
    """What is there now beside what the backup's manifest says.

    :param differences: between the backup's catalog and the one that is there; none when the fingerprints are equal.
    :param tolerated: differences in what is the platform's, which no restore of a project may change, privileges that came with a
        later version of PostgreSQL, and accepted ones.
    """

    counts: CountComparison
    fingerprint: str
    differences: tuple[CatalogChange, ...]
    tolerated: tuple[CatalogChange, ...]

    @property
    def equal(self) -> bool:
        """Whether the target is what was backed up."""
        return self.counts.verdict == "PASS" and not self.differences


def prove_restored(
    connection: PgConnection, content: BackupContent, plan: RestorePlan, *, accept: Sequence[str] = ()
) -> RestoreProof:
    """Compare every counted table and the whole catalog with the backup's, on the open transaction.

    :param accept: patterns of objects that may differ, C(extension pg_net), where somebody has looked and agrees.
    """
    expected = [count for count in content.manifest.counts.tables if _is_restored(count, plan)]
    there = existing_tables(connection, [(count.schema, count.table) for count in expected])
    counts = compare_counts(expected, count_in_transaction(connection, there))
    found = read_catalog(connection, content.manifest.own_schemas)
    versions = (content.manifest.server_version, server_version(connection))
    changes = compare_catalogs(content.catalog, found)
    different = {
        _key(change)
        for change in compare_catalogs(
            without_newer_privileges(content.catalog, *versions), without_newer_privileges(found, *versions)
        )
    }
    platform = {_key(change) for change in changes} - different
    platform |= _keys_of_the_platform(connection, changes, plan) | content.platform
    platform |= {_key(change) for change in changes if any(fnmatchcase(_key(change), pattern) for pattern in accept)}
    return RestoreProof(
        counts=counts,
        fingerprint=fingerprint(found),
        differences=tuple(change for change in changes if _key(change) not in platform),
        tolerated=tuple(change for change in changes if _key(change) in platform),
    )


def _is_restored(count: TableCount, plan: RestorePlan) -> bool:
    return (count.schema, count.table) not in plan.left and (count.schema != OWN_SCHEMA or OWN_SCHEMA in plan.made)


def _key(change: CatalogChange) -> str:
    return f"{change.object_type} {change.object_name}"


def _keys_of_the_platform(
    connection: PgConnection, changes: Sequence[CatalogChange], plan: RestorePlan
) -> frozenset[str]:
    """The catalog's keys of what differs and is not the project's to bring back.

    That is an extension of another version (there is no way back from an upgrade), one for which another stands in here, and
    whose comment says so, extensions, publications and event triggers that belong to others, and attachments to schemas that
    the target does not have.
    """
    foreign = not_ours(connection)
    present = present_schemas(connection)
    keys = set()
    for change in changes:
        key = _key(change)
        if change.object_type == "extension" and change.change == "changed" and change.detail.startswith("version: "):
            keys.add(key)
        elif change.object_type == "extension" and _is_stand_in(change):
            keys.add(key)
        elif change.object_type in ("extension", "publication", "event trigger") and key in foreign:
            keys.add(key)
        elif change.object_type in ("policy", "trigger") and change.change == "dropped":
            if schema_of(key) not in present | plan.made:
                keys.add(key)
    return frozenset(keys)


def _is_stand_in(change: CatalogChange) -> bool:
    return change.detail.startswith("comment: ") and MARK in change.detail and "; schema: " not in change.detail


def outside_of(connection: PgConnection, content: BackupContent, plan: RestorePlan) -> Catalog:
    """The catalog of every schema that the restore has no business in: the platform's, and those that were left out.

    Read before and after, the two are equal, or something was dropped that hung on what was restored.
    """
    restored = plan.emptied | plan.made
    schemas = sorted(present_schemas(connection) - restored)
    belonging = read_catalog(connection, content.manifest.own_schemas).keys() | content.catalog.keys()
    return {
        key: definition
        for key, definition in read_catalog(connection, schemas).items()
        if key not in belonging and CatalogKey.parse(key).kind not in ("extension", "publication", "event trigger")
    }
