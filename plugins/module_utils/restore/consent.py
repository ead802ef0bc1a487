# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore would lose, table by table, and the words by which somebody agrees to exactly that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupManifest
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import ConsentNeeded
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.counts.tables import TABLES_PER_STATEMENT
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_all
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import Table
from ansible_collections.pgops.supabase.plugins.module_utils.restore.documents import TableLoss

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


_SHOWN = 12


def count_losses(
    connection: PgConnection, manifest: BackupManifest, tables: Sequence[Table], *, same_rows: bool
) -> list[TableLoss]:
    """What each table holds now beside what the backup holds of it. Row level security has to be off, or bypassed.

    A row knows the transaction that wrote it (xmin), and the manifest knows the backup's snapshot: so the rows that were
    inserted or updated since are counted exactly, and with them the rows of the backup that are no longer as they were.

    :param tables: those there now that would be replaced.
    :param same_rows: whether the rows are those the backup was taken from; in another database, or after another restore,
        their transactions say nothing.
    """
    backed_up = {(count.schema, count.table): count.rows for count in manifest.counts.tables}
    now: dict[Table, tuple[int, int]] = {}
    for start in range(0, len(tables), TABLES_PER_STATEMENT):
        now |= _count(connection, tables[start : start + TABLES_PER_STATEMENT], manifest.snapshot)
    replaced_schemas = {schema for schema, _table in tables}
    gone = [table for table in backed_up if table not in now and table[0] in replaced_schemas]
    return [_loss(table, backed_up.get(table), now.get(table), same_rows=same_rows) for table in sorted({*now, *gone})]


def _count(connection: PgConnection, tables: Sequence[Table], snapshot: str) -> dict[Table, tuple[int, int]]:
    from psycopg2 import sql

    first_after, running = _later_transactions(snapshot)
    query = sql.SQL(" union all ").join(
        sql.SQL(
            "select {position}, count(*), count(*) filter (where age(xmin) <= age({after}::xid) or xmin::text = any({running})) "
            "from only {table}"
        ).format(
            position=sql.Literal(position),
            after=sql.Literal(first_after),
            running=sql.SQL("{}::text[]").format(sql.Literal(running)),
            table=sql.Identifier(*table),
        )
        for position, table in enumerate(tables)
    )
    return {tables[position]: (int(rows), int(written)) for position, rows, written in fetch_all(connection, query)}


def _later_transactions(snapshot: str) -> tuple[str, list[str]]:
    """The first transaction after a snapshot and those that ran in it, as a row's xmin has them: without their epoch."""
    _xmin, xmax, running = snapshot.split(":")
    return str(int(xmax) % 2**32), [str(int(number) % 2**32) for number in running.split(",") if number]


def _loss(table: Table, in_backup: int | None, now: tuple[int, int] | None, *, same_rows: bool) -> TableLoss:
    rows, written = now or (None, None)
    return TableLoss(
        schema=table[0],
        table=table[1],
        in_backup=in_backup,
        now=rows,
        written_since=written if same_rows and rows is not None else None,
        gone_since=(
            in_backup - (rows - written)
            if same_rows and rows is not None and written is not None and in_backup is not None
            else None
        ),
    )


def has_loss(loss: TableLoss) -> bool:
    """Whether a restore changes anything of the table's rows that can be told."""
    return loss.in_backup != loss.now or bool(loss.written_since) or bool(loss.gone_since)


def describe_loss(loss: TableLoss) -> str:
    """One table's loss in words."""
    name = f"{loss.schema}.{loss.table}"
    if loss.now is None:
        return f"{name}: comes back with {number(loss.in_backup or 0, 'row')}"
    if loss.in_backup is None:
        return f"{name}: came after the backup, is dropped with its {number(loss.now, 'row')}"
    if loss.written_since is None:
        return f"{name}: {number(loss.now, 'row')} now, {loss.in_backup} in the backup"
    return (
        f"{name}: lost are {number(loss.written_since, 'row')} written since, back come {loss.gone_since} changed or deleted since "
        f"({number(loss.now, 'row')} now, {loss.in_backup} in the backup)"
    )


def required_consent(project: str, backup_id: str, target: str | None) -> str:
    """The words to type. ``target`` names the database when it is not the backup's own."""
    return f"{project} {backup_id}" + (f" into {target}" if target else "")


def require_consent(
    given: str | None,
    required: str,
    manifest: BackupManifest,
    *,
    losses: Sequence[TableLoss],
    schemas_dropped: Sequence[str],
    where: str,
) -> None:
    """Go on only when somebody typed exactly what names this project and this backup.

    :raises ConsentNeeded: with all that would be lost, and the words to type.
    """
    if given is not None and given.strip() == required:
        return
    lost = [describe_loss(loss) for loss in losses if has_loss(loss)]
    lost += [f"schema {schema}: came after the backup, is dropped" for schema in schemas_dropped]
    shown = [f"  - {line}" for line in lost[:_SHOWN]]
    if len(lost) > _SHOWN:
        shown.append(f"  - and {len(lost) - _SHOWN} more")
    what = "nothing was written since" if not lost else "what is there now would be replaced:\n" + "\n".join(shown)
    wrong = "" if given is None else f"The consent given ({given!r}) is not for this restore. "
    raise ConsentNeeded(
        f"{wrong}Backup {manifest.backup_id} of {manifest.project}, taken {manifest.counts.taken_at}, is to be restored; {what}",
        where=where,
        next_step=f"If that is what you want: consent: '{required}'",
        details={"consent": required},
    )
