# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics of the user's own: a query in a transaction that is read-only and rolled back, and what has to be true of its rows."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.health.documents import Metric
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, is_lost_connection
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import message_without_values

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

MOST_ROWS = 1000
# Class 22 and 23 quote values; so does what a query raises itself (PostgreSQL, appendix A "Error Codes": P0001).
_QUOTE_VALUES = ("22", "23", "P0")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A metric as the inventory has it, checked."""

    name: str
    query: str
    # JMESPath on the rows, which are a list of mappings by column: what has to be true, and which number is kept.
    expect: str | None = None
    value: str | None = None
    timeout_seconds: float = 5.0


def read_metrics(declared: Sequence[Mapping[str, Any]]) -> list[Asked]:
    """All metrics checked, before any is asked.

    :raises InputError: when two have one name, a query is not one SELECT, or an expression is no JMESPath.
    """
    names = [item["name"] for item in declared]
    asked = []
    for item in declared:
        name = item["name"]
        if names.count(name) > 1:
            raise _refused(name, "two metrics have this name", "Give each a name of its own.")
        _require_select(name, item["query"])
        for option in ("expect", "value"):
            if item.get(option):
                _require_expression(name, option, item[option])
        timeout = item.get("timeout_seconds") or 5.0
        if timeout <= 0:
            raise _refused(name, "timeout_seconds is not above 0", "Correct it, or leave it out.")
        asked.append(
            Asked(
                name=name,
                query=item["query"].strip().rstrip(";"),
                expect=item.get("expect"),
                value=item.get("value"),
                timeout_seconds=timeout,
            )
        )
    return asked


def ask_metrics(connection: PgConnection, asked: Sequence[Asked]) -> list[Metric]:
    """Ask each, in a transaction of its own.

    :param connection: outside of a transaction, and not in autocommit mode.
    :raises psycopg2.Error: when the connection is lost.
    """
    return [_ask(connection, one) for one in asked]


def _ask(connection: PgConnection, one: Asked) -> Metric:
    import psycopg2

    found = Metric(name=one.name, verdict="PASS", expect=one.expect or "")
    try:
        execute(connection, "set transaction read only")
        execute(
            connection,
            "select pg_catalog.set_config('statement_timeout', %s, true), pg_catalog.set_config('cursor_tuple_fraction', '1', true)",
            [f"{one.timeout_seconds * 1000:.0f}"],
        )
        # In the server, so that a query of a whole table is not in memory here. Without parameters: a percent sign is its own.
        with connection.cursor("pgops_metric") as cursor:
            cursor.execute(one.query)
            fetched = cursor.fetchmany(MOST_ROWS)
            columns = [column.name for column in cursor.description or ()]
            rows = [dict(zip(columns, map(_plain, row))) for row in fetched]
    except psycopg2.Error as error:
        if is_lost_connection(error):
            raise
        found.verdict, found.message = "FAIL", f"PostgreSQL refused its query: {_reason(error)}"
        return found
    finally:
        with contextlib.suppress(psycopg2.Error):
            connection.rollback()
    return _judged(found, one, rows)


def _judged(found: Metric, one: Asked, rows: list[dict[str, Any]]) -> Metric:
    """The metric with its number and its verdict; no value of a row but that number is in it."""
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        number = jmespath.search(one.value, rows) if one.value else next(iter(rows[0].values()), None) if rows else None
        if isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number):
            found.value = float(number)
        if one.expect and jmespath.search(one.expect, rows) is not True:
            found.verdict, found.message = "FAIL", f"{one.expect} is not true of its rows"
    except JMESPathError as error:
        # Its text quotes the values.
        found.verdict, found.message = (
            "FAIL",
            f"{one.expect or one.value} cannot be asked of its rows ({type(error).__name__})",
        )
    return found


def _reason(error: Any) -> str:
    sqlstate = error.pgcode or ""
    if sqlstate.startswith(_QUOTE_VALUES):
        return f"[{sqlstate}]"
    return f"{message_without_values(error)} [{sqlstate}]"


def _plain(value: Any) -> Any:
    """A value as JMESPath compares it: numbers as numbers, moments and everything else as text."""
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else None
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (date, time)):
        return value.isoformat()
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return str(value)
    return value


def _require_select(name: str, query: str) -> None:
    """One SELECT: no COMMIT can leave the transaction that is read-only, and there are rows to judge."""
    import pglast
    from pglast import ast
    from pglast.parser import ParseError

    try:
        statements = pglast.parse_sql(query)
    except ParseError as error:
        raise _refused(name, "its query does not parse", "Correct it; psql says where.") from error
    if len(statements) != 1 or not isinstance(statements[0].stmt, ast.SelectStmt) or statements[0].stmt.intoClause:
        raise _refused(name, "its query is not one SELECT", "Give one SELECT; it may begin with WITH.")


def _require_expression(name: str, option: str, expression: str) -> None:
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        jmespath.compile(expression)
    except JMESPathError as error:
        raise _refused(
            name, f"{option} is not JMESPath: {error}", "For example [0].audits >= `1`; see https://jmespath.org"
        ) from error


def _refused(name: str, why: str, next_step: str) -> InputError:
    return InputError(f"The metric {name} cannot be used: {why}", where="metrics", next_step=next_step)
