# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database that a backup is restored into: what it holds, what is locked, and what has to go first."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import Table

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


_LOCK_NOT_AVAILABLE = "55P03"
_SAVEPOINT = "pgops_restore"
_STATEMENTS_AT_ONCE = 500

# Everything that is in a schema depends on it; pg_identify_object names it as DROP wants it, but for an aggregate without
# arguments. What an extension brought along goes and stays with the extension. Tables first: the sequences of their columns
# cannot go alone.
_DROP_STATEMENTS = r"""
select pg_catalog.format(
    'drop %%s if exists %%s cascade', pg_catalog.replace(o.type, 'statistics object', 'statistics'),
    case o.type when 'aggregate' then pg_catalog.regexp_replace(o.identity, '\(\)$', '(*)') else o.identity end)
from (
    select distinct d.classid, d.objid
    from pg_catalog.pg_depend as d
    join pg_catalog.pg_namespace as n on n.oid = d.refobjid
    where d.refclassid = 'pg_catalog.pg_namespace'::regclass and d.deptype = 'n' and n.nspname = any(%s)
      and not exists (
          select from pg_catalog.pg_depend as e
          where e.classid = d.classid and e.objid = d.objid and e.deptype = 'e')
) as member
cross join lateral pg_catalog.pg_identify_object(member.classid, member.objid, 0) as o
where o.type in (
    'table', 'view', 'materialized view', 'foreign table', 'sequence', 'function', 'procedure', 'aggregate', 'type',
    'operator', 'operator class', 'operator family', 'collation', 'conversion', 'statistics object',
    'text search configuration', 'text search dictionary', 'text search parser', 'text search template')
order by o.type <> 'table', member.classid <> 'pg_catalog.pg_class'::regclass, o.type, o.identity
"""


def schemas_of_extensions(connection: PgConnection) -> frozenset[str]:
    """The schemas that an extension made for itself."""
    rows = fetch_all(
        connection,
        "select n.nspname from pg_catalog.pg_depend d join pg_catalog.pg_namespace n on n.oid = d.objid "
        "where d.classid = 'pg_catalog.pg_namespace'::regclass and d.deptype = 'e'",
    )
    return frozenset(str(name) for (name,) in rows)


def stored_tables(connection: PgConnection, schemas: Collection[str]) -> list[Table]:
    """The tables of the schemas that can be locked, partitioned ones included, in order."""
    rows = fetch_all(
        connection,
        "select n.nspname, c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
        "where c.relkind in ('r', 'p') and n.nspname = any(%s) and not exists (select from pg_catalog.pg_depend as d "
        "where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e') order by 1, 2",
        [sorted(schemas)],
    )
    return [(str(schema), str(table)) for schema, table in rows]


def lock_tables(connection: PgConnection, tables: Sequence[Table], mode: str, *, attempts: int) -> None:
    """Lock all tables at once, trying again when others hold them; what is locked already stays so meanwhile.

    :param mode: SHARE lets others read, ACCESS EXCLUSIVE nothing.
    :raises psycopg2.Error: after the last attempt, 55P03.
    """
    import psycopg2
    from psycopg2 import sql

    if not tables:
        return
    statement = sql.SQL("lock table {tables} in {mode} mode").format(
        tables=sql.SQL(", ").join(sql.SQL("only {}").format(sql.Identifier(*table)) for table in tables),
        mode=sql.SQL(mode),
    )
    for attempt in range(attempts):
        execute(connection, f"savepoint {_SAVEPOINT}")
        try:
            execute(connection, statement)
        except psycopg2.Error as error:
            if error.pgcode != _LOCK_NOT_AVAILABLE or attempt == attempts - 1:
                raise
            execute(connection, f"rollback to savepoint {_SAVEPOINT}")
            time.sleep(random.uniform(0.2, 1.0))
        else:
            execute(connection, f"release savepoint {_SAVEPOINT}")
            return


def drop_content(connection: PgConnection, schemas: Collection[str]) -> None:
    """Drop all that is in the schemas, but not the schemas: their owner, and what others were granted, may not be ours to give.

    CASCADE reaches what hangs on it elsewhere; the caller compares what must not change.
    """
    statements = [str(text) for (text,) in fetch_all(connection, _DROP_STATEMENTS, [sorted(schemas)])]
    for start in range(0, len(statements), _STATEMENTS_AT_ONCE):
        execute(connection, "; ".join(statements[start : start + _STATEMENTS_AT_ONCE]))


def drop_schemas(connection: PgConnection, schemas: Collection[str]) -> None:
    """Drop the schemas with all that is left in them."""
    from psycopg2 import sql

    for schema in sorted(schemas):
        execute(connection, sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))


def drop_large_objects(connection: PgConnection) -> None:
    """Drop the large objects that the role may drop."""
    execute(
        connection,
        "select pg_catalog.lo_unlink(oid) from pg_catalog.pg_largeobject_metadata "
        "where pg_catalog.pg_has_role(lomowner, 'usage')",
    )


def delete_rows(connection: PgConnection, tables: Sequence[Table]) -> None:
    """Delete every row of the tables, those that refer to others first.

    :param tables: in the order in which they are loaded.
    """
    from psycopg2 import sql

    # The platform's storage guards its tables against deletion past its API, unless the session says that it is meant.
    execute(connection, "select pg_catalog.set_config('storage.allow_delete_query', 'true', true)")
    for table in reversed(tables):
        execute(connection, sql.SQL("delete from {}").format(sql.Identifier(*table)))


def switch_triggers_off(connection: PgConnection) -> bool:
    """Have no trigger of the platform fire while its rows are loaded, where the role may say so.

    Supabase lets postgres set session_replication_role; a plain server only a superuser. Without it the order of loading
    satisfies the references, and the platform's own triggers see rows come in.
    """
    import psycopg2

    execute(connection, f"savepoint {_SAVEPOINT}")
    try:
        execute(connection, "set local session_replication_role = replica")
    except psycopg2.errors.InsufficientPrivilege:
        execute(connection, f"rollback to savepoint {_SAVEPOINT}")
        return False
    finally:
        execute(connection, f"release savepoint {_SAVEPOINT}")
    return True


@contextmanager
def may_own_event_triggers(connection: PgConnection, role: str | None) -> Iterator[None]:
    """Let a role own event triggers for one block, as the platform's server does.

    PostgreSQL wants a superuser for their owner when they are made, and asks no more then. Only a superuser can bring that
    about; with another session the platform's server decides.
    """
    from psycopg2 import sql

    asked = (
        "select exists(select from pg_catalog.pg_roles where rolname = %s and not rolsuper) "
        "and (select rolsuper from pg_catalog.pg_roles where rolname = current_user)"
    )
    if not fetch_value(connection, asked, [role]):
        yield
        return
    name = sql.Identifier(str(role))
    execute(connection, sql.SQL("alter role {} superuser").format(name))
    yield
    execute(connection, sql.SQL("alter role {} nosuperuser").format(name))


def unwritable_tables(connection: PgConnection, tables: Sequence[Table]) -> list[Table]:
    """Those of the tables that the role may not empty and fill."""
    rows = fetch_all(
        connection,
        "select n.nspname, c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
        "where c.relkind = 'r' and n.nspname = any(%s) and not (pg_catalog.has_table_privilege(c.oid, 'insert') "
        "and pg_catalog.has_table_privilege(c.oid, 'delete'))",
        [sorted({schema for schema, _table in tables})],
    )
    refused = set(rows)
    return [table for table in tables if table in refused]


def missing_roles(connection: PgConnection, roles: Collection[str]) -> list[str]:
    """Those of the roles that the server does not have."""
    rows = fetch_all(connection, "select rolname from pg_catalog.pg_roles where rolname = any(%s)", [sorted(roles)])
    return sorted(set(roles) - {str(name) for (name,) in rows})


def roles_not_ours(connection: PgConnection, roles: Collection[str]) -> list[str]:
    """Those of the roles that the session may not make the owner of anything."""
    rows = fetch_all(
        connection,
        "select rolname from pg_catalog.pg_roles where rolname = any(%s) "
        "and not pg_catalog.pg_has_role(oid, 'member') order by 1",
        [sorted(roles)],
    )
    return [str(name) for (name,) in rows]


def relations_of(connection: PgConnection, schemas: Collection[str]) -> int:
    """How many relations the schemas hold, TOAST tables included: dropping them locks each."""
    return int(
        fetch_value(
            connection,
            "select count(*) + count(nullif(c.reltoastrelid, 0)) * 2 from pg_catalog.pg_class c "
            "join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = any(%s)",
            [sorted(schemas)],
        )
    )
