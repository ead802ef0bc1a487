# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data that lives only in what a script drops: found by executing the script under a savepoint, and exported before it goes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupEncryption
from ansible_collections.pgops.supabase.plugins.module_utils.archive.encryption import SUFFIX, encrypt_file
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import RollbackError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import (
    PRIVATE_FILE,
    fsync_directory,
    make_private_directory,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import foreign_keys
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import taken_back
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.dropped_data_script import (
    SCRIPT_NAME,
    ExportedFile,
    SequenceValue,
    bring_back_script,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

STILL_APPLIED = "the rollback itself was rolled back: the migrations are still applied and nothing was changed"


@dataclass(frozen=True)
class _StoredTable:
    """A table and its columns by their numbers, which PostgreSQL never uses again.

    :param parent: the oid of the partitioned table that it is a partition of, which holds its rows as well.
    """

    oid: int
    schema: str
    table: str
    columns: dict[int, str]
    partitioned: bool
    parent: int | None

    @property
    def rows_of(self) -> Any:
        """What stands behind FROM: of a table that others inherit from only its own rows, for those have theirs."""
        from psycopg2 import sql

        return sql.SQL("{} {}").format(
            sql.SQL("" if self.partitioned else "only"), sql.Identifier(self.schema, self.table)
        )


@dataclass(frozen=True)
class DroppedData:
    """A table, or some columns of one, that would be dropped with data in it.

    :param key: the columns that identify a row when only columns are dropped; all columns of a dropped table.
    """

    stored: _StoredTable
    key: tuple[str, ...]
    columns: tuple[str, ...]
    whole_table: bool
    rows: int

    @property
    def label(self) -> str:
        """What is lost, in words."""
        name = f"{self.stored.schema}.{self.stored.table}"
        what = f"table {name}" if self.whole_table else f"{', '.join(self.columns)} of {name}"
        return f"{what} ({self.rows} rows)"


def find_dropped_data(
    connection: PgConnection, schemas: Sequence[str], execute_scripts: Callable[[], None]
) -> list[DroppedData]:
    """What the scripts would drop that holds data. They are executed for it, and taken back, within the open transaction.

    The tables concerned stay locked against writes until the transaction ends, so that nothing is written between the export
    and the drop. Row level security stays off in the session until it is reset.
    """
    before = _stored_tables(connection, schemas)
    with taken_back(connection, "pgops_dropped_data"):
        execute_scripts()
        # By their identity, wherever they are now: renaming loses nothing, and a table made anew under an old name is not the old one.
        after = {table.oid: table.columns.keys() for table in _stored_tables(connection)}
    # A row that row level security hides has to be an error, not a row that is lost.
    execute(connection, "set local row_security = off")
    lost = {
        table.oid: {name for number, name in table.columns.items() if number not in after.get(table.oid, set())}
        for table in before
    }
    candidates = (
        _candidate(connection, table, after.get(table.oid))
        for table in before
        # What a partitioned table loses holds what each of its partitions loses.
        if not lost[table.oid] <= lost.get(table.parent or 0, set())
    )
    return [candidate for candidate in candidates if candidate.rows]


def export_dropped_data(
    connection: PgConnection, data: Sequence[DroppedData], directory: Path, encryption: BackupEncryption | None
) -> list[Path]:
    """Write each of them as CSV with a header into a directory; whole or absent, and never over an earlier export.

    Beside them lies the script for psql that brings them back.

    :param encryption: to whom the CSV files are encrypted, None for nobody.
    :raises RollbackError: when a file cannot be written, or is there already; the caller rolls back.
    :raises ToolError: when a file cannot be encrypted; the caller rolls back.
    """
    from psycopg2 import sql

    written: list[Path] = []
    try:
        make_private_directory(directory)
        for item in data:
            names = item.columns if item.whole_table else (*item.key, *item.columns)
            query = sql.SQL("copy (select {columns} from {table} {condition}) to stdout (format csv, header)").format(
                columns=sql.SQL(", ").join(map(sql.Identifier, names)),
                table=item.stored.rows_of,
                condition=sql.SQL("") if item.whole_table else _any_not_null(item.columns),
            )
            plain = directory / _file_name(item)
            if encryption:
                written.append(plain.with_name(plain.name + SUFFIX))
                if written[-1].exists():
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(written[-1]))
            written.append(plain)
            with _new_file(plain) as stream, connection.cursor() as cursor:
                cursor.copy_expert(query, stream)
            if encryption:
                _flush(encrypt_file(plain, encryption))
                written.remove(plain)
        written.append(directory / SCRIPT_NAME)
        paths = [path.absolute() for path in written[:-1]]
        files = [_exported(item, path) for item, path in zip(data, paths, strict=True)]
        with _new_file(directory / SCRIPT_NAME) as stream:
            script = bring_back_script(files, foreign_keys(connection), _sequences(connection, data))
            stream.write(script.encode())
        fsync_directory(directory)
    except FileExistsError as error:
        discard_export(written[:-1])
        raise RollbackError(
            "An earlier export is there already, and its data may live nowhere else",
            where=str(error.filename or directory),
            state=STILL_APPLIED,
            next_step="Move it away or name another export_dir, then run again.",
        ) from error
    except OSError as error:
        discard_export(written)
        raise RollbackError(
            f"The data that the rollback drops could not be exported: {error.strerror}",
            where=str(error.filename or directory),
            state=STILL_APPLIED,
            next_step="Make room or name another export_dir, then run again.",
        ) from error
    except BaseException:
        discard_export(written)
        raise
    return written


def discard_export(files: Sequence[Path]) -> None:
    """Remove files whose data is still in the database."""
    for file in files:
        if file.parent.is_dir():
            file.unlink(missing_ok=True)


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file of its owner's that was not there yet, on the disk when the block ends."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def _flush(path: Path) -> None:
    """Another program's file to its owner only, and on the disk."""
    path.chmod(PRIVATE_FILE)
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _file_name(item: DroppedData) -> str:
    """PostgreSQL lets names hold a slash, which a file's cannot, and a dot, which here stands between schema and table."""
    schema, table = (
        part.replace("%", "%25").replace("/", "%2F").replace(".", "%2E")
        for part in (item.stored.schema, item.stored.table)
    )
    return f"{schema}.{table}.csv"


def _exported(item: DroppedData, path: Path) -> ExportedFile:
    key = () if item.whole_table else item.key
    return ExportedFile(path, item.stored.schema, item.stored.table, key, item.columns)


def _sequences(connection: PgConnection, data: Sequence[DroppedData]) -> list[SequenceValue]:
    """Where the sequences stand that number the rows of what is exported: those of its columns, and those in their defaults."""
    from psycopg2 import sql

    found = fetch_all(
        connection,
        """
        with columns as (
            select item.relid, a.attnum
            from unnest(%s::oid[], %s::text[]) as item(relid, attname)
            cross join lateral (
                select item.relid union select relid from pg_catalog.pg_partition_tree(item.relid)) as part(oid)
            join pg_catalog.pg_attribute a on a.attrelid = part.oid and a.attname = item.attname
        )
        select distinct n.nspname, c.relname, s.seqincrement > 0
        from pg_catalog.pg_sequence s
        join pg_catalog.pg_class c on c.oid = s.seqrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where exists (
            select from pg_catalog.pg_depend d join columns on (d.refobjid, d.refobjsubid) = (relid, attnum)
            where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')
              and d.refclassid = 'pg_catalog.pg_class'::regclass
        ) or exists (
            select from pg_catalog.pg_attrdef f join columns on (f.adrelid, f.adnum) = (relid, attnum)
            join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_attrdef'::regclass and d.objid = f.oid
            where d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = c.oid
        ) order by 1, 2
        """,
        [
            [item.stored.oid for item in data for _column in item.columns],
            [column for item in data for column in item.columns],
        ],
    )
    values = []
    for schema, sequence, ascending in found:
        query = sql.SQL("select last_value, is_called from {}").format(sql.Identifier(schema, sequence))
        ((last, called),) = fetch_all(connection, query)
        values.append(SequenceValue(schema, sequence, int(last), bool(called), bool(ascending)))
    return values


def _stored_tables(connection: PgConnection, schemas: Sequence[str] | None = None) -> list[_StoredTable]:
    """The tables of some schemas, or of all. Generated columns can be computed again and are not data of their own."""
    rows = fetch_all(
        connection,
        "select c.oid, n.nspname, c.relname, jsonb_object_agg(a.attnum, a.attname), c.relkind = 'p', (select i.inhparent "
        "from pg_catalog.pg_inherits i where c.relispartition and i.inhrelid = c.oid) from pg_catalog.pg_class c "
        "join pg_catalog.pg_namespace n on n.oid = c.relnamespace join pg_catalog.pg_attribute a on a.attrelid = c.oid "
        "where c.relkind in ('r', 'p') and (%s::text[] is null or n.nspname = any(%s)) and a.attnum > 0 "
        "and not a.attisdropped and a.attgenerated = '' group by 1, 2, 3 order by 2, 3",
        [None if schemas is None else list(schemas)] * 2,
    )
    return [
        _StoredTable(
            int(oid),
            schema,
            table,
            {int(number): columns[number] for number in sorted(columns, key=int)},
            partitioned=partitioned,
            parent=parent and int(parent),
        )
        for oid, schema, table, columns, partitioned, parent in rows
    ]


def _candidate(connection: PgConnection, table: _StoredTable, kept: Collection[int] | None) -> DroppedData:
    from psycopg2 import sql

    name = sql.Identifier(table.schema, table.table)
    execute(connection, sql.SQL("lock table {} in share mode").format(name))
    lost = tuple(column for number, column in table.columns.items() if kept is None or number not in kept)
    condition = sql.SQL("") if kept is None else _any_not_null(lost)
    rows = fetch_value(connection, sql.SQL("select count(*) from {} {}").format(table.rows_of, condition))
    others = tuple(column for column in table.columns.values() if column not in lost)
    key = () if kept is None else tuple(c for c in _key(connection, table.oid) if c not in lost) or others
    return DroppedData(table, key, lost, kept is None, int(rows))


def _key(connection: PgConnection, table_oid: int) -> tuple[str, ...]:
    rows = fetch_all(
        connection,
        "select a.attname from pg_catalog.pg_index i "
        "cross join lateral unnest(i.indkey) with ordinality as k(attnum, position) "
        "join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum "
        "where i.indisprimary and i.indrelid = %s order by k.position",
        [table_oid],
    )
    return tuple(column for (column,) in rows)


def _any_not_null(columns: Sequence[str]) -> Any:
    from psycopg2 import sql

    return sql.SQL("where ") + sql.SQL(" or ").join(
        sql.SQL("{} is not null").format(sql.Identifier(c)) for c in columns
    )
