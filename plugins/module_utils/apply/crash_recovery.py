# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a statement outside a transaction leaves behind when it is cut short, and how it is put right before the next try.

A statement that may be half done is never assumed done: the catalog has to show it. The rules are those of PostgreSQL's
reference pages: a failed CREATE INDEX CONCURRENTLY leaves an INVALID index to be dropped, REINDEX CONCURRENTLY leaves ones with
the suffix _ccnew or _ccold, DETACH PARTITION CONCURRENTLY is ended by FINALIZE.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BusyError, State, StatementFailed
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Node, Statement

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

Outcome = Literal["finished", "again"]

# To run these once more does no harm.
_REPEATABLE = frozenset({"VacuumStmt", "ClusterStmt", "AlterSystemStmt", "DiscardStmt"})


def context_of(connection: PgConnection, statement: Statement) -> dict[str, Any]:
    """What is there before a statement begins, to tell afterwards what it left behind.

    :raises StatementFailed: when IF NOT EXISTS would take an INVALID index of that name for a good one.
    """
    if statement.tag == "IndexStmt":
        indexes = _indexes_of(connection, statement.node["relation"])
        name = statement.node.get("idxname")
        if statement.node.get("if_not_exists") and name in indexes and not indexes[name]:
            raise StatementFailed(
                f"There is an INVALID index {name}, which IF NOT EXISTS would take for a good one",
                where=statement.position,
                state=State("nothing of this statement was run; what stands before it in the file is done", "partial"),
                next_step=f'Drop it: drop index concurrently "{name}"; then run again.',
            )
        return {"indexes": sorted(indexes)}
    if statement.tag == "ReindexStmt":
        return {"invalid": sorted(_invalid_indexes(connection))}
    return {}


def recover(connection: PgConnection, statement: Statement, context: Mapping[str, Any]) -> Outcome:
    """Put right what an interrupted statement left behind, and say whether it has to run again.

    :raises BusyError: when the server is still at it, or others hold what has to be dropped.
    :raises StatementFailed: when nothing in the catalog tells whether it was done.
    """
    from psycopg2 import sql

    if statement.tag == "IndexStmt":
        return _recover_create_index(connection, statement, context)
    if statement.tag == "DropStmt":
        names = [[part["String"]["sval"] for part in item["List"]["items"]] for item in statement.node["objects"]]
        return "again" if any(_index_exists(connection, name) for name in names) else "finished"
    if statement.tag == "ReindexStmt":
        before = {tuple(name) for name in context.get("invalid", [])}
        for schema, name in sorted(_invalid_indexes(connection) - before):
            _require_not_in_progress(connection, statement, index=sql.Identifier(schema, name))
            _drop_index(connection, (schema, name))
        return "again"
    if statement.tag == "AlterTableStmt":
        return _recover_detach(connection, statement)
    if statement.tag in _REPEATABLE:
        return "again"
    raise StatementFailed(
        "An earlier run was cut short in this statement, and nothing tells whether it was done",
        where=statement.position,
        state=State("what stands before it in the file is done; nothing after it is", "partial"),
        next_step=(
            "Look whether it was done. If so: update pgops.statement_log set state = 'finished' where state = 'started'; "
            "if not: delete from pgops.statement_log where state = 'started'; then run again."
        ),
    )


def require_valid_index(connection: PgConnection, statement: Statement, context: Mapping[str, Any]) -> None:
    """After CREATE INDEX CONCURRENTLY: what it made has to be valid, whatever the command said.

    :raises StatementFailed: when it is not.
    """
    if statement.tag != "IndexStmt":
        return
    indexes = _indexes_of(connection, statement.node["relation"])
    made = {name: valid for name, valid in indexes.items() if name not in context.get("indexes", [])}
    wrong = [name for name, valid in made.items() if not valid]
    if wrong:
        raise StatementFailed(
            f"The index {', '.join(wrong)} was built but is INVALID",
            where=statement.position,
            state=State("the index is there and not used; what stands before it in the file is done", "partial"),
            next_step="Mend what makes it invalid (duplicates, for a unique index), then run again: it is dropped and rebuilt.",
        )


def _recover_create_index(connection: PgConnection, statement: Statement, context: Mapping[str, Any]) -> Outcome:
    _require_not_in_progress(connection, statement, table=_qualified(statement.node["relation"]))
    indexes = _indexes_of(connection, statement.node["relation"])
    made = {name: valid for name, valid in indexes.items() if name not in context.get("indexes", [])}
    name = statement.node.get("idxname")
    if name is not None:
        made = {other: valid for other, valid in made.items() if other == name}
    if made and all(made.values()):
        return "finished"
    for other, valid in made.items():
        if not valid:
            _drop_index(connection, (_schema_of(connection, statement.node["relation"]), other))
    return "again"


def _recover_detach(connection: PgConnection, statement: Statement) -> Outcome:
    from psycopg2 import sql

    parent = _qualified(statement.node["relation"])
    command = statement.node["cmds"][0]["AlterTableCmd"]["def"]["PartitionCmd"]
    partition = _qualified(command["name"])
    rows = fetch_all(
        connection,
        "select inhdetachpending from pg_catalog.pg_inherits where inhparent = pg_catalog.to_regclass(%s) "
        "and inhrelid = pg_catalog.to_regclass(%s)",
        [parent.as_string(connection), partition.as_string(connection)],
    )
    if not rows:
        return "finished"
    if rows[0][0]:
        execute(connection, sql.SQL("alter table {} detach partition {} finalize").format(parent, partition))
        return "finished"
    return "again"


def _require_not_in_progress(
    connection: PgConnection, statement: Statement, *, table: Any = None, index: Any = None
) -> None:
    """The server goes on building for a client that was killed, until it notices. Builds on other tables are no matter."""
    rows = fetch_all(
        connection,
        "select pid, phase from pg_catalog.pg_stat_progress_create_index where datname = pg_catalog.current_database() "
        "and relid in (pg_catalog.to_regclass(%s), "
        "(select indrelid from pg_catalog.pg_index where indexrelid = pg_catalog.to_regclass(%s)))",
        [None if name is None else name.as_string(connection) for name in (table, index)],
    )
    if rows:
        pid, phase = rows[0]
        raise BusyError(
            f"The server is still building an index, pid {pid} ({phase}), perhaps for the run that was cut short",
            state=State("what stands before it in the file is done", "partial"),
            next_step=f"Wait for it, or end it (select pg_terminate_backend({pid});), then run again. It is at {statement.position}.",
        )


def _indexes_of(connection: PgConnection, relation: Node) -> dict[str, bool]:
    """The indexes of a table by name, and whether each is valid and ready."""
    rows = fetch_all(
        connection,
        "select c.relname, i.indisvalid and i.indisready from pg_catalog.pg_index i "
        "join pg_catalog.pg_class c on c.oid = i.indexrelid where i.indrelid = pg_catalog.to_regclass(%s)",
        [_qualified(relation).as_string(connection)],
    )
    return {str(name): bool(valid) for name, valid in rows}


def _invalid_indexes(connection: PgConnection) -> set[tuple[str, str]]:
    rows = fetch_all(
        connection,
        "select n.nspname, c.relname from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid "
        "join pg_catalog.pg_namespace n on n.oid = c.relnamespace where not i.indisvalid and c.relname ~ '_cc(new|old)[0-9]*$'",
    )
    return {(str(schema), str(name)) for schema, name in rows}


def _schema_of(connection: PgConnection, relation: Node) -> str:
    rows = fetch_all(
        connection,
        "select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
        "where c.oid = pg_catalog.to_regclass(%s)",
        [_qualified(relation).as_string(connection)],
    )
    return str(rows[0][0])


def _index_exists(connection: PgConnection, name: list[str]) -> bool:
    from psycopg2 import sql

    rows = fetch_all(
        connection, "select pg_catalog.to_regclass(%s) is not null", [sql.Identifier(*name).as_string(connection)]
    )
    return bool(rows[0][0])


def _drop_index(connection: PgConnection, name: tuple[str, str]) -> None:
    import psycopg2.errors
    from psycopg2 import sql

    try:
        execute(connection, sql.SQL("drop index concurrently if exists {}").format(sql.Identifier(*name)))
    except psycopg2.errors.LockNotAvailable as error:
        raise BusyError(
            f"The INVALID index {name[1]} of a run that was cut short cannot be dropped yet: other sessions hold its table",
            where=".".join(name),
            state=State("what stands before it in the file is done; the index is there and not used", "partial"),
            next_step="Wait for them (select pid, query, xact_start from pg_stat_activity order by xact_start), then run again.",
        ) from error


def _qualified(relation: Node) -> Any:
    from psycopg2 import sql

    parts = [relation["schemaname"]] if relation.get("schemaname") else []
    return sql.Identifier(*parts, relation["relname"])
