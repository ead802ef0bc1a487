# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Row counts after against row counts before, under a contract of what may change.

The judgement is pure; :func:`own_changes` gives it what the deciding transaction did itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Union

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import given_document
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import CountError, InputError
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import (
    CountChange,
    CountComparison,
    RowCounts,
    TableCount,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.validation.documents import Verdict

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

OwnChanges = Mapping[tuple[str, str], int]
"""(schema, table) to the rows that a transaction itself inserted less those it deleted."""

CountContract = Mapping[str, Union[int, Literal["any"]]]
"""Table name to the number of rows it gains (negative: loses) by the migration, or V(any)."""

Judgement = tuple[Verdict, str]

_PART = re.compile(r'"((?:[^"]|"")+)"|([^".\x00]+)')


def parse_table_name(name: str) -> tuple[str, str]:
    """A table's name as (schema, table); a name without schema is in V(public).

    Quotes are only needed around a dot or a quote: letters are taken as they are, so C(public.Foo) and C(public."Foo")
    are the same table, and C(foo) is another.

    :raises InputError: when the name has more than two parts, an empty one, or quotes that do not match.
    """
    parts: list[str] = []
    place = 0
    while match := _PART.match(name, place):
        parts.append(match[1].replace('""', '"') if match[1] else match[2])
        place = match.end()
        if place == len(name) or name[place] != ".":
            break
        place += 1
    if place != len(name) or not 1 <= len(parts) <= 2 or name.endswith("."):
        raise InputError(
            f"{name!r} is not the name of a table",
            next_step='Write schema.table or table (in public); quote a part that holds a dot: public."a.b"',
        )
    return ("public", parts[0]) if len(parts) == 1 else (parts[0], parts[1])


def read_baseline(baseline: Mapping[str, Any] | str) -> RowCounts:
    """A baseline as plain data, or from the file of that path.

    :raises InputError: when there is no such file or it is not a row counts document.
    """
    return given_document(
        RowCounts,
        baseline,
        option="baseline",
        refusal="The baseline is not a row counts document",
        next_step="Give the row_counts that this module returned, or the path of its counts-before.json.",
    )


def baseline_tables(baseline: Mapping[str, Any] | str | None) -> list[TableCount] | None:
    """The counts of an optional baseline; see :func:`read_baseline`."""
    return None if baseline is None else read_baseline(baseline).tables


def own_changes(connection: PgConnection, *, since: OwnChanges | None = None) -> dict[tuple[str, str], int]:
    """Rows inserted less rows deleted per table by the present transaction; tables with no difference are left out.

    Cascaded deletes, triggers, COPY, MERGE and rows that move between partitions count (a partitioned table has the sum
    of its partitions); table rewrites do not. Read from pg_stat_xact_user_tables, with its limits:

    - It may still hold what earlier transactions of the session did. Unless the session is fresh, call this first
      thing in the transaction as well and give that as ``since``.
    - TRUNCATE is not counted, and it forgets what the transaction did to the table before.
    - What was undone by ROLLBACK TO SAVEPOINT, or by an exception block, stays counted: read this before any
      validation that writes under a savepoint.

    :raises CountError: when the server does not count (track_counts is off).
    """
    if fetch_value(connection, "select pg_catalog.current_setting('track_counts')") != "on":
        raise CountError(
            "The server does not count what a transaction changes, because track_counts is off",
            where="setting track_counts",
            next_step="Switch it on, as it is by default; autovacuum needs it too.",
        )
    rows = fetch_all(
        connection,
        """
        with touched as (
            select relid, n_tup_ins - n_tup_del as difference
            from pg_catalog.pg_stat_xact_user_tables
            where n_tup_ins <> n_tup_del
        ), attributed as (
            select relid, difference from touched
            union all
            select ancestor.relid, difference
            from touched cross join lateral pg_catalog.pg_partition_ancestors(touched.relid) as ancestor(relid)
            where ancestor.relid <> touched.relid
        )
        select n.nspname, c.relname, sum(a.difference)::bigint
        from attributed as a
        join pg_catalog.pg_class as c on c.oid = a.relid
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where c.relpersistence <> 't'
        group by n.nspname, c.relname
        """,
    )
    now = {(str(schema), str(table)): int(difference) for schema, table, difference in rows}
    earlier = since or {}
    differences = {table: now.get(table, 0) - earlier.get(table, 0) for table in now.keys() | earlier.keys()}
    return {table: difference for table, difference in sorted(differences.items()) if difference}


def compare_counts(
    before: Sequence[TableCount],
    after: Sequence[TableCount],
    *,
    own: OwnChanges | None = None,
    contract: CountContract | None = None,
) -> CountComparison:
    """Judge each table's count.

    The default of the contract is that no table gains or loses a row; new tables are welcome. Where ``own`` is known,
    rows that others wrote since the baseline are told apart from what the migration did: others' new rows are a
    WARNING, anything the migration did beyond the contract and any loss is a FAIL.

    :param own: what the migration's transaction inserted less deleted, per table; a table that is missing in it is 0.
        None: unknown, then every difference that the contract does not name is a FAIL.
    :raises InputError: when the contract names no table or not a number of rows.
    """
    old = {(count.schema, count.table): count.rows for count in before}
    new = {(count.schema, count.table): count.rows for count in after}
    declared = _declared(contract or {})
    changes = []
    for schema, table in sorted(old.keys() | new.keys() | declared.keys()):
        rows_before, rows_after = old.get((schema, table)), new.get((schema, table))
        own_change = None if own is None else own.get((schema, table), 0)
        allowed = declared.get((schema, table))
        verdict, message = _judge(rows_before, rows_after, own_change, allowed)
        changes.append(
            CountChange(
                schema=schema,
                table=table,
                before=rows_before,
                after=rows_after,
                own_change=own_change,
                verdict=verdict,
                message=message,
            )
        )
    return CountComparison(tables=changes, verdict=_worst([change.verdict for change in changes]))


def _declared(contract: CountContract) -> dict[tuple[str, str], int | Literal["any"]]:
    declared: dict[tuple[str, str], int | Literal["any"]] = {}
    for name, value in contract.items():
        if value != "any" and (isinstance(value, bool) or not isinstance(value, int)):
            raise InputError(
                f"The contract declares {value!r} for {name}, which is neither a number of rows nor any",
                where="contract",
                next_step="Declare the rows a table gains (negative: loses) by the migration, or any.",
            )
        declared[parse_table_name(name)] = value
    return declared


def _judge(before: int | None, after: int | None, own: int | None, allowed: int | Literal["any"] | None) -> Judgement:
    if before is None and after is None:
        return "FAIL", "is declared in the contract, but was counted neither before nor after"
    if before is None:
        return _judge_new(after or 0, allowed)
    if after is None:
        if allowed == "any" or allowed == -before:
            return "PASS", f"is gone with its {_rows(before)}, as declared"
        return "FAIL", f"is gone: it held {_rows(before)}"
    if allowed == "any":
        return "PASS", f"{_difference(after - before)}; any change is declared"
    return _judge_kept(after - before, own, allowed or 0)


def _judge_new(after: int, allowed: int | Literal["any"] | None) -> Judgement:
    if isinstance(allowed, int) and after != allowed:
        return "FAIL", f"is new with {_rows(after)}, declared: {_rows(allowed)}"
    return "PASS", f"is new with {_rows(after)}"


def _judge_kept(delta: int, own: int | None, allowed: int) -> Judgement:
    declared = f", declared: {_difference(allowed)}" if allowed else ""
    if own is None:
        return ("PASS" if delta == allowed else "FAIL"), f"{_difference(delta)}{declared}"
    others = delta - own
    if delta == allowed:
        if own == allowed:
            return "PASS", f"{_difference(delta)}{declared}"
        return "WARNING", (
            f"{_difference(delta)}{declared}, but the migration itself: {_difference(own)}; "
            f"other sessions: {_difference(others)}"
        )
    if own == allowed and others > 0:
        return (
            "WARNING",
            f"{_rows(others)} {'was' if others == 1 else 'were'} written by other sessions since the baseline",
        )
    return "FAIL", (
        f"{_difference(delta)}{declared}; the migration itself: {_difference(own)}; other sessions (or TRUNCATE): "
        f"{_difference(others)}"
    )


def _rows(number: int) -> str:
    return f"{number} row" if abs(number) == 1 else f"{number} rows"


def _difference(delta: int) -> str:
    return "unchanged" if delta == 0 else f"{delta:+d} row" if abs(delta) == 1 else f"{delta:+d} rows"


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    for verdict in ("FAIL", "WARNING"):
        if verdict in verdicts:
            return verdict
    return "PASS"
