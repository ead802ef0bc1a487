# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements by pg_stat_statements, shown without the values in them, and held beside what they took before.

A statement is known again by its C(queryid), which PostgreSQL makes from the oids of what it names (PostgreSQL, "pg_stat_statements"): one
on a table that was dropped and made anew is another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.health import queries
from ansible_collections.pgops.supabase.plugins.module_utils.health.documents import StatementHealth
from ansible_collections.pgops.supabase.plugins.module_utils.health.sampling import Seen
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    execute,
    fetch_all,
    is_lost_connection,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.shown import shown

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

TOP = 50
# What is compared: those that took most time in all.
COMPARED = 200
# As with the application's endpoints: twice as slow, and more than noise.
SLOWER_FACTOR = 2.0
SLOWER_SECONDS = 0.005
SLOWER_CALLS = 10
_NOT_TEXT = "<insufficient privilege>"


@dataclass(frozen=True)
class Spent:
    """What a statement has taken by now: calls, and seconds in all."""

    calls: int
    seconds: float


def statement_counters(connection: PgConnection, seen: Seen) -> dict[str, Spent] | None:
    """What the statements that took most time have taken by now, without their text; None where it is not counted."""
    rows = _asked(connection, seen, queries.STATEMENT_COUNTERS, COMPARED)
    return None if rows is None else {str(row[0]): Spent(int(row[1]), float(row[2])) for row in rows}


def statements(connection: PgConnection, seen: Seen) -> list[StatementHealth] | None:
    """Those that took most time, with their text as it may be shown; None where they are not counted."""
    rows = _asked(connection, seen, queries.STATEMENTS, COMPARED)
    if rows is None:
        return None
    return [
        StatementHealth(
            queryid=queryid,
            statement=_text(text),
            calls=calls,
            total_seconds=round(total, 6),
            mean_seconds=round(total / max(calls, 1), 6),
            max_seconds=round(longest, 6),
            rows=number,
            temporary_blocks=temporary,
        )
        for queryid, text, calls, total, longest, number, temporary in rows
    ]


def slower_than(found: Sequence[StatementHealth], baseline: Mapping[str, Spent]) -> list[StatementHealth]:
    """Those that have become slower since the baseline, with both means; pure."""
    means = slower_means({one.queryid: Spent(one.calls, one.total_seconds) for one in found}, baseline)
    slower = [one for one in found if one.queryid in means]
    for one in slower:
        one.baseline_mean_seconds, one.mean_seconds = (round(mean, 6) for mean in means[one.queryid])
    return slower


def slower_means(now: Mapping[str, Spent], baseline: Mapping[str, Spent]) -> dict[str, tuple[float, float]]:
    """The means in seconds, in the baseline and of the calls since then, of statements that are at least twice as slow; pure.

    :param baseline: what each had taken then.
    """
    slower = {}
    for queryid, spent in now.items():
        before = baseline.get(queryid)
        if before is None or before.calls == 0 or spent.calls - before.calls < SLOWER_CALLS:
            continue
        was = before.seconds / before.calls
        is_now = (spent.seconds - before.seconds) / (spent.calls - before.calls)
        if is_now >= SLOWER_FACTOR * was and is_now - was >= SLOWER_SECONDS:
            slower[queryid] = (was, is_now)
    return slower


def _asked(connection: PgConnection, seen: Seen, query: str, most: int) -> list[tuple[Any, ...]] | None:
    import psycopg2

    if seen.statements_schema is None:
        return None
    execute(connection, "savepoint before_statements")
    try:
        return fetch_all(connection, query.format(schema=seen.statements_schema), [most])
    except psycopg2.Error as error:
        # Not loaded at the server's start, or a view of an older release (55000, 42703): what it does not tell is not seen.
        if is_lost_connection(error):
            raise
        execute(connection, "rollback to savepoint before_statements")
        return None


def _text(text: str | None) -> str:
    """Utility statements keep their values in pg_stat_statements, a password too, so every text is shown without."""
    from pglast.parser import ParseError

    if text is None or text == _NOT_TEXT:
        return "not shown to this role"
    try:
        return shown(text)
    except ParseError:
        # pg_stat_statements cuts no text, but another version's grammar may know more than ours.
        return "a statement that cannot be shown"
