# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries for the rows that break a constraint, or would if there were one. Pure.

Each line that they return is a finding, and its only column C(n) tells how many rows of the table that is. Names of tables are
C(sql.Identifier); keys and conditions are SQL as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def nulls(table: Any, columns: Sequence[str]) -> Any:
    """Rows with NULL in one of the columns at least."""
    from psycopg2 import sql

    condition = sql.SQL(" or ").join(sql.SQL("{} is null").format(sql.Identifier(column)) for column in columns)
    return sql.SQL("select 1 as n from {} where {}").format(table, condition)


def against_check(table: Any, expression: str) -> Any:
    """Rows for which the check is false; one that is NULL lets a row pass."""
    from psycopg2 import sql

    return sql.SQL("select 1 as n from {} where not ({})").format(table, sql.SQL(expression))


def duplicates(table: Any, keys: Sequence[str], *, where: str | None = None, nulls_equal: bool = False) -> Any:
    """Keys that more than one row has; a key with a NULL in it is like no other.

    :param where: the predicate of a partial index.
    :param nulls_equal: whether NULL is like NULL (NULLS NOT DISTINCT).
    """
    from psycopg2 import sql

    conditions = ["true"] if nulls_equal else [f"{key} is not null" for key in keys]
    conditions += [f"({where})"] if where else []
    return sql.SQL("select count(*) as n from {} where {} group by {} having count(*) > 1").format(
        table, sql.SQL(" and ").join(map(sql.SQL, conditions)), sql.SQL(", ").join(map(sql.SQL, keys))
    )


def orphans(
    table: Any, columns: Iterable[str], parent: Any, parent_columns: Iterable[str], *, match_full: bool = False
) -> Any:
    """Rows that refer to none: without NULL in their key, or, where the match is FULL, with not only NULL in it."""
    from psycopg2 import sql

    own = [sql.SQL("child.{}").format(sql.Identifier(column)) for column in columns]
    pairs = [
        sql.SQL("parent.{} = {}").format(sql.Identifier(column), reference)
        for column, reference in zip(parent_columns, own, strict=True)
    ]
    given = sql.SQL(" or " if match_full else " and ").join(sql.SQL("{} is not null").format(column) for column in own)
    return sql.SQL(
        "select 1 as n from {} as child where ({}) and not exists (select from {} as parent where {})"
    ).format(table, given, parent, sql.SQL(" and ").join(pairs))
