# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring back the rows of single tables, beside the tables themselves: what is to become of them is for a person to say.

They go into tables of the schema C(pgops), which the API cannot reach and which no comparison of the project's schemas sees.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.archive.content import Entry
from ansible_collections.pgops.supabase.plugins.module_utils.archive.encryption import opened_backup
from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import (
    ARCHIVE_NAMES,
    DumpTools,
    find_dump_tools,
)
from ansible_collections.pgops.supabase.plugins.module_utils.archive.stream import (
    Rows,
    archive_script,
    copy_in,
    run_entries,
    run_in,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import RestoreError, VerificationFailed
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import OWN_SCHEMA
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.privileges import unquoted
from ansible_collections.pgops.supabase.plugins.module_utils.counts.comparison import parse_table_name
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    connect,
    execute,
    fetch_value,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.own_schema import (
    close_own_schema,
    make_own_schema,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import Table
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import commit, server_error
from ansible_collections.pgops.supabase.plugins.module_utils.restore.checks import (
    load_backup,
    read_target,
    require_reader,
    require_right_target,
)
from ansible_collections.pgops.supabase.plugins.module_utils.restore.documents import RestoredRows, RestoredTable
from ansible_collections.pgops.supabase.plugins.module_utils.restore.load import BackupContent, read_content

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection
    from psycopg2.sql import Composable


_IDENTIFIER = r'(?:"(?:[^"]|"")*"|[^" .,()]+)'
_COPY = re.compile(rf"COPY {_IDENTIFIER}\.{_IDENTIFIER} (\(.*\)) FROM stdin;\n", re.DOTALL)
_NAME_BYTES = 63


@dataclass(frozen=True, kw_only=True)
class RowsRequest:
    """Of which tables to bring back the rows.

    :param tables: names as C(schema.table), or of schema public.
    :param elsewhere: whether the connection's database is meant to be another one than was backed up.
    :param identity_file: the private key that an encrypted backup is decrypted with.
    """

    backup: Path
    project: str
    tables: Sequence[str]
    settings: SessionSettings
    elsewhere: bool = False
    pg_bin: str | None = None
    identity_file: Path | None = None
    dry_run: bool = False


def restore_rows(options: ConnectionOptions, request: RowsRequest) -> RestoredRows:
    """Load the tables' rows from the backup into tables beside them, in one transaction; the tables are not touched.

    :raises RestoreError: when the backup is not sound or of another project, or lacks a table, or there is one in the way.
    :raises VerificationFailed: when the rows are not as many as were backed up; nothing was changed then.
    """
    started, started_at = time.monotonic(), utc_now()
    manifest = load_backup(request.backup, request.project)
    tools = find_dump_tools(request.pg_bin)
    require_reader(tools, manifest)
    with opened_backup(request.backup, manifest, request.identity_file) as opened:
        content = read_content(tools, opened, opened / ARCHIVE_NAMES[manifest.format], manifest)
        wanted = {parse_table_name(name): _side_name(parse_table_name(name)) for name in request.tables}
        entries = _entries(content, wanted)
        with session(options, request.settings) as connection:
            execute(connection, "set transaction read write")
            require_right_target(
                read_target(connection, options.login_host, options.login_port), manifest, elsewhere=request.elsewhere
            )
            _require_free(connection, wanted)
            if not request.dry_run:
                _load(connection, options, tools, content, entries, wanted)
    counted = {(count.schema, count.table): count.rows for count in manifest.counts.tables}
    return RestoredRows(
        project=request.project,
        backup_id=manifest.backup_id,
        backup_taken_at=manifest.counts.taken_at,
        target=options.place,
        dry_run=request.dry_run,
        committed=not request.dry_run,
        started_at=started_at,
        duration_seconds=round(time.monotonic() - started, 3),
        tables=[
            RestoredTable(schema=table[0], table=table[1], into=f"{OWN_SCHEMA}.{side}", rows=counted[table])
            for table, side in wanted.items()
        ],
    )


def _side_name(table: Table) -> str:
    name = "restored_" + (table[1] if table[0] == "public" else f"{table[0]}_{table[1]}")
    return name.encode()[:_NAME_BYTES].decode(errors="ignore")


def _entries(content: BackupContent, wanted: Mapping[Table, str]) -> list[Entry]:
    counted = {(count.schema, count.table) for count in content.manifest.counts.tables}
    found = {
        (entry.schema or "", entry.name): entry
        for entry in content.entries
        if entry.kind == "TABLE DATA" and (entry.schema, entry.name) in counted
    }
    missing = [f"{schema}.{table}" for schema, table in wanted if (schema, table) not in found]
    if missing:
        raise RestoreError(
            f"The backup holds no rows of {', '.join(missing)}",
            where=str(content.archive),
            next_step="Check the names; counts in the backup's manifest.json lists every table (of a partitioned one, the partitions).",
        )
    return [found[table] for table in wanted]


def _require_free(connection: PgConnection, wanted: Mapping[Table, str]) -> None:
    from psycopg2 import sql

    for side in wanted.values():
        name = sql.Identifier(OWN_SCHEMA, side).as_string(connection)
        if fetch_value(connection, "select pg_catalog.to_regclass(%s) is not null", [name]):
            raise RestoreError(
                f"{name} is there already, from another time",
                where=name,
                next_step=f"When it is not needed any more: drop table {name}; then run again.",
            )


def _load(
    connection: PgConnection,
    options: ConnectionOptions,
    tools: DumpTools,
    content: BackupContent,
    entries: Sequence[Entry],
    wanted: Mapping[Table, str],
) -> None:
    import psycopg2
    from psycopg2 import sql

    def copy(entry: Entry, statement: str, rows: Rows) -> None:
        side = sql.Identifier(OWN_SCHEMA, wanted[(entry.schema or "", entry.name)])
        match = _COPY.fullmatch(statement)
        if match is None:
            raise RestoreError("The columns of a table's rows cannot be told", where=entry.label)
        columns = [unquoted(name) for name in re.findall(_IDENTIFIER, match[1])]
        execute(connection, _side_table(content, (entry.schema or "", entry.name), side, columns))
        into = sql.SQL("copy {} {} from stdin").format(side, sql.SQL(match[1])).as_string(connection)
        loaded = copy_in(connection, into, rows)
        _require_count(content, entry, loaded)

    try:
        make_own_schema(connection)
        with archive_script(tools.pg_restore, content.archive, [entry.dump_id for entry in entries]) as script:
            run_entries(
                script,
                {entry.dump_id: entry for entry in entries},
                execute=lambda entry, statements: run_in(connection, statements),
                copy=copy,
            )
        close_own_schema(connection)
        commit(connection, lambda: connect(options, SessionSettings(read_only=True)), what="the rows")
    except psycopg2.Error as error:
        raise server_error(error, "The rows could not be brought back", str(content.archive)) from error


def _side_table(content: BackupContent, table: Table, side: Composable, columns: Sequence[str]) -> Composable:
    """A table with the columns as they were backed up; the platform's tables are made like those that are there now."""
    from psycopg2 import sql

    known = {
        unquoted(column.own_name): str(definition["type"])
        for column, definition in ((CatalogKey.parse(key), told) for key, told in content.catalog.items())
        if column.kind == "column" and parse_table_name(column.on) == table
    }
    if not all(name in known for name in columns):
        return sql.SQL("create table {} (like {})").format(side, sql.Identifier(*table))
    listed = [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(known[name])) for name in columns]
    return sql.SQL("create table {} ({})").format(side, sql.SQL(", ").join(listed))


def _require_count(content: BackupContent, entry: Entry, loaded: int) -> None:
    for count in content.manifest.counts.tables:
        if (count.schema, count.table) == (entry.schema, entry.name) and count.rows != loaded:
            raise VerificationFailed(
                f"{entry.schema}.{entry.name} has {number(loaded, 'row')} in the archive, {count.rows} in the manifest",
                where=str(content.archive),
                next_step="Do not rely on this backup: take another one.",
            )
