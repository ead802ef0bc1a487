# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dry run executes in place of a statement that no transaction takes, and what such a statement would have made."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import StatementFailed
from ansible_collections.pgops.supabase.plugins.module_utils.base.sizes import human_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.identifiers import literal, quoted
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import ROLLED_BACK
from ansible_collections.pgops.supabase.plugins.module_utils.sql.concurrently import without_concurrently
from ansible_collections.pgops.supabase.plugins.module_utils.sql.effects import created_by
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import (
    Node,
    Statement,
    reason_not_transactional,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import strings, walk

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

# An index without CONCURRENTLY keeps writers waiting until the dry run is rolled back. Bytes of the table.
LARGEST_TABLE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class StandIn:
    """What is executed instead of a statement.

    :param statement: an error in it is one at the original's place; None where there is nothing to execute.
    :param left_out: why the statement itself counts as not executed; None where its stand-in does the same.
    """

    statement: Statement | None
    left_out: str | None = None


def stand_in_for(connection: PgConnection, statement: Statement) -> StandIn:
    """The same without CONCURRENTLY where that is the same, and otherwise a look whether what it names is there.

    :raises StatementFailed: when PostgreSQL refuses the statement with CONCURRENTLY, and only then (its reference pages of CREATE
        and DROP INDEX).
    """
    command = f"{reason_not_transactional(statement)} cannot run in a transaction"
    if statement.tag == "IndexStmt":
        _require_no_partitioned(connection, statement, [_name(statement.node["relation"])])
        size = fetch_value(
            connection,
            "select pg_catalog.pg_relation_size(pg_catalog.to_regclass(%s))",
            [_name(statement.node["relation"])],
        )
        if size is not None and size > LARGEST_TABLE_BYTES:
            return StandIn(
                None, f"{command}, and on a table of {human_bytes(size)} its stand-in would keep writers waiting"
            )
    if statement.tag == "DropStmt":
        _require_no_cascade(statement)
        names = [
            ".".join(quoted(part) for part in strings(item["List"]["items"])) for item in statement.node["objects"]
        ]
        _require_no_partitioned(connection, statement, names)
    if statement.tag == "AlterTableStmt":
        _require_no_default_partition(connection, statement)
    if statement.tag in ("IndexStmt", "DropStmt", "AlterTableStmt"):
        return StandIn(without_concurrently(statement))
    named = [_name(item["relation"]) for item in walk(statement.node) if isinstance(item.get("relation"), dict)]
    if not named:
        return StandIn(None, command)
    # As the statement does, it says of what is missing that it does not exist, and has no place of its own for it.
    looks = ", ".join(f"pg_catalog.regclassin({literal(name)})" for name in named)
    return StandIn(dataclasses.replace(statement, sql=f"select {looks}"), command)


def _name(relation: Node) -> str:
    return ".".join(quoted(part) for part in (relation.get("schemaname"), relation["relname"]) if part)


def _require_no_partitioned(connection: PgConnection, statement: Statement, names: Sequence[str]) -> None:
    partitioned = fetch_value(
        connection,
        "select min(relname) from pg_catalog.pg_class where relkind in ('p', 'I') "
        "and oid in (select pg_catalog.to_regclass(name) from pg_catalog.unnest(%s::text[]) name)",
        [list(names)],
    )
    if partitioned is not None:
        kind = "create an index on" if statement.tag == "IndexStmt" else "drop"
        raise _refused(statement, f"PostgreSQL does not {kind} {partitioned}, which is partitioned, with CONCURRENTLY")


def _require_no_cascade(statement: Statement) -> None:
    if len(statement.node["objects"]) > 1 or statement.node.get("behavior") == "DROP_CASCADE":
        raise _refused(statement, "DROP INDEX CONCURRENTLY drops one index and knows no CASCADE")


def _require_no_default_partition(connection: PgConnection, statement: Statement) -> None:
    name = _name(statement.node["relation"])
    partition = fetch_value(
        connection,
        "select max(nullif(partdefid, 0)::regclass::text) from pg_catalog.pg_partitioned_table "
        "where partrelid = pg_catalog.to_regclass(%s)",
        [name],
    )
    if partition is not None:
        raise _refused(
            statement, f"PostgreSQL does not detach with CONCURRENTLY while there is a default partition, {partition}"
        )


def _refused(statement: Statement, what: str) -> StatementFailed:
    return StatementFailed(
        what,
        where=statement.position,
        state=ROLLED_BACK,
        next_step="Correct the file and run again.",
        details={"sqlstate": "0A000"},
    )


def names_made_by(statement: Statement) -> frozenset[str]:
    """The names of the objects, constraints and columns that a statement makes, as far as its text tells."""
    names = {created.what.name for created in created_by(statement)}
    names |= {str(node["conname"]) for node in walk(statement.node) if "conname" in node}
    return frozenset(names)
