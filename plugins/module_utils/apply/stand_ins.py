# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dry run executes in place of a statement that no transaction takes, and what such a statement would have made."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.sizes import human_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.identifiers import quoted
from ansible_collections.pgops.supabase.plugins.module_utils.sql.effects import created_by
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Statement
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import walk

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

# An index without CONCURRENTLY keeps writers waiting until the dry run is rolled back. Bytes of the table.
LARGEST_TABLE_BYTES = 256 * 1024 * 1024


def stand_in_for(connection: PgConnection, statement: Statement) -> tuple[Statement | None, str]:
    """CREATE and DROP INDEX without CONCURRENTLY do the same; anything else that no transaction takes has no stand-in.

    :returns: the statement to run, its text as long as the original's so that places stay; or None and why there is none.
    """
    if statement.tag not in ("IndexStmt", "DropStmt"):
        return None, ""
    if statement.tag == "IndexStmt":
        relation = statement.node["relation"]
        name = ".".join(quoted(part) for part in (relation.get("schemaname"), relation["relname"]) if part)
        size = fetch_value(connection, "select pg_catalog.pg_relation_size(pg_catalog.to_regclass(%s))", [name])
        if size is not None and size > LARGEST_TABLE_BYTES:
            return None, f", and on a table of {human_bytes(size)} its stand-in would keep writers waiting"
    return dataclasses.replace(statement, sql=_without_concurrently(statement.sql)), ""


def names_made_by(statement: Statement) -> frozenset[str]:
    """The names of the objects, constraints and columns that a statement makes, as far as its text tells."""
    names = {created.what.name for created in created_by(statement)}
    names |= {str(node["conname"]) for node in walk(statement.node) if "conname" in node}
    return frozenset(names)


def _without_concurrently(sql: str) -> str:
    from pglast.parser import scan

    word = next(token for token in scan(sql) if token.name == "CONCURRENTLY")
    return f"{sql[: word.start]}{' ' * (word.end - word.start + 1)}{sql[word.end + 1 :]}"
