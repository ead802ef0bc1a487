# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore a backup within one open transaction.

The schemas that belong to the project are emptied and filled anew from the archive. The platform's schemas stay as they are:
only the rows of their tables come back, and the project's triggers and policies on them. A schema that the target does not
have is made whole. The caller proves the result (restore_proof) and commits, or does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.archive.content import Entry, read_entries
from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupManifest
from ansible_collections.pgops.supabase.plugins.module_utils.archive.selection import (
    IF_MISSING,
    Selection,
    load_order,
    select_entries,
)
from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import CATALOG_NAME, DumpTools
from ansible_collections.pgops.supabase.plugins.module_utils.archive.stream import (
    ArchiveScript,
    Rows,
    archive_script,
    copy_in,
    run_entries,
    run_in,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BackupError, PgopsError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import read_json
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    OWN_SCHEMA,
    Catalog,
    fingerprint,
    read_catalog,
    user_schemas,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import Table, foreign_keys, present_schemas
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import server_error
from ansible_collections.pgops.supabase.plugins.module_utils.restore.if_missing import run_if_missing
from ansible_collections.pgops.supabase.plugins.module_utils.restore.platform import platform_keys
from ansible_collections.pgops.supabase.plugins.module_utils.restore.surroundings import (
    attach,
    attachments,
    clear_default_privileges,
    detach,
    drop_newer,
    let_owners_create,
    make_extensions,
    missing_names,
    settle_default_privileges,
    settle_schemas,
)
from ansible_collections.pgops.supabase.plugins.module_utils.restore.target import (
    delete_rows,
    drop_content,
    drop_large_objects,
    drop_schemas,
    may_own_event_triggers,
    schemas_of_extensions,
    stored_tables,
    switch_triggers_off,
    unwritable_tables,
)

if TYPE_CHECKING:
    from psycopg2 import Error as PgError
    from psycopg2.extensions import connection as PgConnection

HISTORY_SCHEMA = "supabase_migrations"
# Who works on the project now, and which project this is, is true of the target and not of the backup.
NOT_RESTORED: frozenset[Table] = frozenset(
    {(OWN_SCHEMA, "lease"), (OWN_SCHEMA, "maintenance"), (OWN_SCHEMA, "project_marker")}
)

_SETVAL = re.compile(rb"pg_catalog\.setval\('((?:[^']|'')*)', (-?\d+), (true|false)\)")
# What pg_restore itself sets before anything else.
_SETTINGS = {
    "search_path": "",
    "check_function_bodies": "off",
    "xmloption": "content",
    "row_security": "off",
    "standard_conforming_strings": "on",
    "client_min_messages": "warning",
    "default_tablespace": "",
    "default_table_access_method": "heap",
}


@dataclass(frozen=True, kw_only=True)
class BackupContent:
    """A backup that is open for reading: its manifest, its catalog, and the entries of its archive."""

    archive: Path
    manifest: BackupManifest
    catalog: Catalog
    entries: tuple[Entry, ...]

    @property
    def platform(self) -> frozenset[str]:
        """The catalog's keys of what belongs to the platform and is not demanded of any target."""
        return platform_keys(self.catalog, self.manifest)


@dataclass(frozen=True, kw_only=True)
class RestorePlan:
    """What a restore does to a target; made beforehand, and looked at again in the transaction.

    :param replaced: schemas whose content is dropped and comes from the archive.
    :param made: schemas of the archive that the target does not have.
    :param newer: the project's schemas that came after the backup and are dropped.
    :param rows_only: schemas of the platform of which only rows come back.
    :param reloaded: their tables, in the order in which they are loaded.
    :param empty: tables of the platform that the role may not write, and need not: they have no rows here or in the backup.
    :param left: tables of the archive that are left out.
    """

    replaced: frozenset[str]
    made: frozenset[str]
    newer: frozenset[str]
    rows_only: frozenset[str]
    reloaded: tuple[Table, ...]
    empty: frozenset[Table]
    left: frozenset[Table]

    @property
    def emptied(self) -> frozenset[str]:
        """The schemas whose present content is lost."""
        return self.replaced | self.newer


@dataclass(kw_only=True)
class RestoredArchive:
    """What was done in the transaction."""

    plan: RestorePlan
    rows: dict[Table, int] = field(default_factory=dict)
    entries: int = 0
    triggers_off: bool = False
    notes: list[str] = field(default_factory=list)


def read_content(tools: DumpTools, directory: Path, archive: Path, manifest: BackupManifest) -> BackupContent:
    """Open a backup for a restore.

    :param archive: what pg_restore can read, decrypted where it was encrypted.
    :raises BackupError: when its catalog is missing or is not the manifest's, or its archive cannot be recognised.
    """
    path = directory / CATALOG_NAME
    try:
        catalog: Catalog = read_json(path)
    except (OSError, ValueError) as error:
        raise BackupError(
            f"The backup's catalog cannot be read, so nothing could be proven: {error}",
            where=str(path),
            next_step="Take another backup; this one can be restored by hand with pg_restore.",
        ) from error
    if fingerprint(catalog) != manifest.catalog_fingerprint:
        raise BackupError(
            "The backup's catalog is not the one that its manifest was made with",
            where=str(path),
            next_step="Do not rely on this backup: take another one.",
        )
    entries = read_entries(tools.pg_restore, archive)
    return BackupContent(archive=archive, manifest=manifest, catalog=catalog, entries=tuple(entries))


def plan_restore(
    connection: PgConnection,
    content: BackupContent,
    *,
    schemas: Collection[str] | None = None,
    platform_data: bool = True,
) -> RestorePlan:
    """What of the backup goes where in this target. Reads only.

    :param schemas: the project's schemas, None for all that are the user's own.
    :param platform_data: whether the rows of the platform's tables come back as well.
    :raises BackupError: when the platform's tables cannot be loaded in any order.
    """
    manifest, present = content.manifest, present_schemas(connection)
    own = frozenset(manifest.own_schemas)
    now = frozenset(user_schemas(connection) if schemas is None else schemas) & present
    newer = now - own - frozenset(manifest.left_out_schemas) - schemas_of_extensions(connection) - {OWN_SCHEMA}
    if HISTORY_SCHEMA in present and HISTORY_SCHEMA not in manifest.schemas:
        newer |= {HISTORY_SCHEMA}
    replaced = (own | ({HISTORY_SCHEMA} & set(manifest.schemas))) & present
    made = frozenset(manifest.schemas) - present
    rows_only = frozenset(manifest.schemas) - replaced - made - {OWN_SCHEMA}
    there = set(stored_tables(connection, rows_only))
    counted = {(count.schema, count.table): count.rows for count in manifest.counts.tables}
    of_platform = [table for table in counted if table[0] in rows_only]
    # The platform's version may differ: a table that it no longer has is no loss when it was empty.
    gone = {table for table in of_platform if table not in there and not counted[table]}
    left = NOT_RESTORED | gone | (frozenset() if platform_data else frozenset(of_platform))
    empty = {
        t for t in unwritable_tables(connection, of_platform) if not counted[t] and _is_empty(connection, t)
    } - left
    reloaded = [table for table in of_platform if table not in left | empty]
    return RestorePlan(
        replaced=replaced,
        made=made,
        newer=newer,
        rows_only=rows_only,
        reloaded=tuple(load_order(reloaded, _references(connection))),
        empty=frozenset(empty),
        left=frozenset(left),
    )


def _is_empty(connection: PgConnection, table: Table) -> bool:
    """Whether a table is known to have no rows; where the role may not look, it is not."""
    from psycopg2 import sql

    name = sql.Identifier(*table).as_string(connection)
    return bool(
        fetch_value(connection, "select pg_catalog.has_table_privilege(%s, 'select')", [name])
        and not fetch_value(connection, sql.SQL("select exists(select from {})").format(sql.SQL(name)))
    )


def _references(connection: PgConnection) -> dict[Table, set[Table]]:
    references: dict[Table, set[Table]] = {}
    for referring, referred in foreign_keys(connection):
        references.setdefault(referring, set()).add(referred)
    return references


def restore_archive(
    connection: PgConnection,
    tools: DumpTools,
    content: BackupContent,
    plan: RestorePlan,
    *,
    report: Callable[..., None] = lambda **figures: None,
) -> RestoredArchive:
    """Bring the target to the state of the backup, in the open transaction.

    :param report: told again and again how far it is: tables loaded, of how many, and bytes of rows and statements read.
    :raises StatementFailed: when PostgreSQL refuses an entry; it is named.
    :raises BackupError: when the archive cannot be read to its end.
    """
    import psycopg2

    done = RestoredArchive(plan=plan)
    own = content.manifest.own_schemas
    for name, value in _SETTINGS.items():
        execute(connection, "select pg_catalog.set_config(%s, %s, true)", [name, value])
    try:
        now = read_catalog(connection, sorted({*own, *plan.newer}))
        _clear(connection, content, plan, now, done)
        settled = _prepare_schemas(connection, content, plan, done)
        entries = select_entries(content.entries, _selection(connection, content, plan, settled))
        done.entries = len(entries)
        tables = sum(entry.kind == "TABLE DATA" for entry in entries)

        def follow(script: ArchiveScript) -> None:
            report(tables_done=len(done.rows), tables_total=tables, bytes_done=script.bytes_read)

        chosen = [entry.dump_id for entry in entries]
        with archive_script(tools.pg_restore, content.archive, chosen, follow) as script:
            run_entries(
                script,
                {entry.dump_id: entry for entry in entries},
                execute=lambda entry, statements: _run(connection, plan, entry, statements, done),
                copy=lambda entry, statement, rows: _copy(connection, entry, statement, rows, done),
            )
        if done.triggers_off:
            execute(connection, "set local session_replication_role = origin")
        now = read_catalog(connection, own)
        whole = plan.replaced | plan.made
        attach(connection, attachments(now, whole), attachments(content.catalog, whole), present_schemas(connection))
        settle_schemas(connection, now, content.catalog)
        settle_default_privileges(connection, now, content.catalog)
    except psycopg2.Error as error:
        raise server_error(error, "The restore failed", str(content.archive)) from error
    return done


def _clear(
    connection: PgConnection, content: BackupContent, plan: RestorePlan, now: Catalog, done: RestoredArchive
) -> None:
    """Make room: what the backup replaces goes, what it does not have too."""
    whole = plan.emptied | plan.made
    detach(connection, attachments(now, whole), attachments(content.catalog, whole))
    clear_default_privileges(connection, now)
    drop_content(connection, plan.emptied)
    drop_schemas(connection, plan.newer)
    drop_newer(connection, now, content.catalog)
    drop_large_objects(connection)
    done.triggers_off = switch_triggers_off(connection)
    delete_rows(connection, plan.reloaded)


def _prepare_schemas(
    connection: PgConnection, content: BackupContent, plan: RestorePlan, done: RestoredArchive
) -> frozenset[str]:
    """Have the project's schemas and extensions stand before anything is made in them."""
    from psycopg2 import sql

    own = frozenset(content.manifest.own_schemas)
    for schema in sorted(plan.made & own):
        execute(connection, sql.SQL("create schema {}").format(sql.Identifier(schema)))
    settle_schemas(connection, read_catalog(connection, sorted(own)), content.catalog)
    owners = {(entry.schema, entry.owner) for entry in content.entries if entry.schema and entry.owner}
    let_owners_create(connection, sorted(pair for pair in owners if pair[0] in own))
    present = present_schemas(connection) | plan.made
    done.notes += make_extensions(connection, content.catalog, present, content.platform)
    return own


def _selection(
    connection: PgConnection, content: BackupContent, plan: RestorePlan, settled: frozenset[str]
) -> Selection:
    return Selection(
        whole=plan.replaced | plan.made,
        made=plan.made - settled,
        rows_only=plan.rows_only,
        settled=settled,
        publications=missing_names(connection, content.catalog, "publication"),
        event_triggers=missing_names(
            connection, {k: v for k, v in content.catalog.items() if k not in content.platform}, "event trigger"
        ),
        left=plan.left | plan.empty,
        references=_references(connection),
    )


def _run(connection: PgConnection, plan: RestorePlan, entry: Entry, statements: bytes, done: RestoredArchive) -> None:
    import psycopg2

    try:
        if entry.kind == "SEQUENCE SET" and entry.schema in plan.rows_only:
            _move_forward(connection, entry, statements, done)
        elif entry.kind in IF_MISSING:
            note = run_if_missing(connection, entry, statements)
            done.notes += [note] if note else []
        elif entry.kind == "EVENT TRIGGER":
            with may_own_event_triggers(connection, entry.owner):
                run_in(connection, statements)
        else:
            run_in(connection, statements)
    except psycopg2.Error as error:
        raise _entry_failed(entry, error) from error


def _move_forward(connection: PgConnection, entry: Entry, statements: bytes, done: RestoredArchive) -> None:
    """A sequence of the platform never goes back: numbers that it gave out since may be in use elsewhere."""
    match = _SETVAL.search(statements)
    if match is None:
        raise BackupError("A sequence's value cannot be told", where=entry.label, next_step="Take another backup.")
    sequence, value = match[1].decode().replace("''", "'"), int(match[2])
    may, last = fetch_value(
        connection,
        "select array[has_sequence_privilege(c.oid, 'update')::text, pg_catalog.pg_sequence_last_value(c.oid)::text] "
        "from pg_catalog.pg_class c where c.oid = pg_catalog.to_regclass(%s)",
        [sequence],
    ) or ("false", None)
    if last is not None and int(last) >= value:
        return
    if may != "true":
        done.notes.append(f"sequence {sequence} of the platform was left as it is: the role may not move it")
        return
    run_in(connection, statements)


def _copy(connection: PgConnection, entry: Entry, statement: str, rows: Rows, done: RestoredArchive) -> None:
    import psycopg2

    try:
        done.rows[(entry.schema or "", entry.name)] = copy_in(connection, statement, rows)
    except psycopg2.Error as error:
        if rows.failure is not None:
            raise rows.failure from error
        raise _entry_failed(entry, error) from error


def _entry_failed(entry: Entry, error: PgError) -> PgopsError:
    return server_error(error, f"PostgreSQL refused {entry.label} of the archive", entry.label)
