# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rehearsal's timings make with the project's rows: each statement scaled by the rows of the tables it names. Pure.

An estimate and no more: it takes the time to grow with the rows, this machine to be as fast as the project's, and leaves out
what functions and triggers touch on their own. What names no counted table is not scaled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import StatementTiming
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import TableCount
from ansible_collections.pgops.supabase.plugins.module_utils.rehearsal.documents import EstimatedStatement
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Script, Statement
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import relation, walk

_WITHOUT_NAMES = frozenset({"DoStmt", "CallStmt"})
Tables = Mapping[tuple[str, str], int]


def rows_by_table(counts: Sequence[TableCount]) -> dict[tuple[str, str], int]:
    """Counts by schema and table."""
    return {(count.schema, count.table): count.rows for count in counts}


def estimate(
    timings: Sequence[StatementTiming], scripts: Sequence[Script], rehearsed: Tables, project: Tables
) -> list[EstimatedStatement]:
    """Each timed statement with its tables, their rows here and there, and the time that makes.

    A DO block or a CALL names no table that could be seen, so it is scaled by the rows of all tables.

    :param rehearsed: the rows in the restored backup; ``project``: those in the project now.
    """
    by_place = {str(statement.position): statement for script in scripts for statement in script.statements}
    return [_estimated(timing, by_place.get(timing.where), rehearsed, project) for timing in timings]


def _estimated(
    timing: StatementTiming, statement: Statement | None, rehearsed: Tables, project: Tables
) -> EstimatedStatement:
    tables = [] if statement is None else sorted(_tables(statement, rehearsed))
    here = sum(rehearsed[table] for table in tables)
    there = sum(project.get(table, 0) for table in tables)
    factor = there / here if here and there else 1.0
    return EstimatedStatement(
        where=timing.where,
        command=timing.command,
        seconds=timing.seconds,
        tables=[f"{schema}.{table}" for schema, table in tables],
        rehearsed_rows=here,
        project_rows=there,
        factor=round(factor, 3),
        estimated_seconds=round(timing.seconds * factor, 4),
    )


def _tables(statement: Statement, known: Tables) -> set[tuple[str, str]]:
    if statement.tag in _WITHOUT_NAMES:
        return set(known)
    return {table for table in _named(statement) if table in known}


def _named(statement: Statement) -> Iterator[tuple[str, str]]:
    for node in walk(statement.node):
        if "relname" in node:
            named = relation(node)
            yield named.schema, named.name
