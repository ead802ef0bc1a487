# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollback loses, written to files before it goes: CSV, and the script for psql that brings it back."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_all
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import foreign_keys
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.deleted_rows import deleted
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.dropped_data import (
    STILL_APPLIED,
    DroppedData,
    LostData,
)
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.export_script import (
    SCRIPT_NAME,
    ExportedFile,
    SequenceValue,
    bring_back_script,
)
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.stored_tables import StoredTable

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


def export_lost_data(
    connection: PgConnection,
    lost: LostData,
    execute_scripts: Callable[[], None],
    directory: Path,
    encryption: BackupEncryption | None,
) -> list[Path]:
    """Write each of them as CSV with a header into a directory; whole or absent, and never over an earlier export.

    Beside them lies the script for psql that brings them back.

    :param execute_scripts: runs the rollback, and is taken back; only beside its result can deleted rows be told.
    :param encryption: to whom the CSV files are encrypted, None for nobody.
    :returns: what was written; nothing where in the end no row is lost.
    :raises RollbackError: when a file cannot be written, or is there already; the caller rolls back.
    :raises ToolError: when a file cannot be encrypted; the caller rolls back.
    """
    written: list[Path] = []
    with _whole_or_absent(written, directory):
        make_private_directory(directory)
        files = []
        for item in lost.dropped:
            path = _write(connection, directory / _file_name(item.stored), item.query, encryption, written)
            files.append(
                ExportedFile(path, *item.stored.name, item.columns, parts_by=() if item.whole_table else item.key)
            )
        if lost.deleted:
            with deleted(connection, lost.deleted, execute_scripts) as queries:
                for gone, query in zip(lost.deleted, queries, strict=True):
                    if _is_empty(connection, query):
                        continue
                    path = _write(connection, directory / _file_name(gone.stored, "rows"), query, encryption, written)
                    columns = tuple(gone.stored.columns.values())
                    files.append(ExportedFile(path, *gone.stored.name, columns, rows_by=gone.key))
        if not files:
            return []
        written.append(directory / SCRIPT_NAME)
        with _new_file(directory / SCRIPT_NAME) as stream:
            script = bring_back_script(files, foreign_keys(connection), _sequences(connection, lost.dropped))
            stream.write(script.encode())
        fsync_directory(directory)
    return written


def discard_export(files: Sequence[Path]) -> None:
    """Remove files whose data is still in the database."""
    for file in files:
        if file.parent.is_dir():
            file.unlink(missing_ok=True)


@contextmanager
def _whole_or_absent(written: list[Path], directory: Path) -> Iterator[None]:
    """Remove what was written when it cannot be written to its end."""
    try:
        yield
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


def _is_empty(connection: PgConnection, query: Any) -> bool:
    from psycopg2 import sql

    return not fetch_all(connection, sql.SQL("select from ({}) as gone limit 1").format(query))


def _write(
    connection: PgConnection, plain: Path, query: Any, encryption: BackupEncryption | None, written: list[Path]
) -> Path:
    """One query's rows as a file.

    :param written: has every file that may be there, whatever happens.
    """
    from psycopg2 import sql

    path = plain
    if encryption:
        path = plain.with_name(plain.name + SUFFIX)
        written.append(path)
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    written.append(plain)
    with _new_file(plain) as stream, connection.cursor() as cursor:
        cursor.copy_expert(sql.SQL("copy ({}) to stdout (format csv, header)").format(query), stream)
    if encryption:
        _flush(encrypt_file(plain, encryption))
        written.remove(plain)
    return path.absolute()


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


def _file_name(table: StoredTable, what: str = "") -> str:
    """PostgreSQL lets names hold a slash, which a file's cannot, and a dot, which here stands between schema and table."""
    schema, name = (
        part.replace("%", "%25").replace("/", "%2F").replace(".", "%2E") for part in (table.schema, table.table)
    )
    return ".".join(filter(None, (schema, name, what, "csv")))


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
