# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup is taken from: the database as it is found, refused when a dump of it could not be whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, PrivilegeError
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.marker import read_marker
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    TRANSACTION_POOLER_PORT,
    ConnectionOptions,
    fetch_all,
    fetch_value,
    require_all_rows_visible,
    server_version,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import present_schemas
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

# The platform's schemas whose rows belong to the application: its users and its files.
PLATFORM_DATA_SCHEMAS = ("auth", "storage")
# What this collection and the Supabase CLI remember about migrations.
BOOKKEEPING_SCHEMAS = ("supabase_migrations", "pgops")
# Which version of its own schemas the platform has installed. It is not the project's data, and restoring it elsewhere
# would be a lie; the project's role may not read it everywhere either.
PLATFORM_VERSION_TABLES = (("auth", "schema_migrations"), ("storage", "migrations"))

_OF_THE_PLATFORM = (
    "select extname from pg_catalog.pg_extension where pg_catalog.pg_get_userbyid(extowner) = %s order by extname"
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """The database as the preconditions found it."""

    database: str
    system_identifier: str
    server_version: str
    own_schemas: tuple[str, ...]
    schemas: tuple[str, ...]
    other_schemas: tuple[str, ...]
    excluded_tables: tuple[tuple[str, str], ...]
    table_bytes: int
    # With their indexes: what a restored copy takes.
    copy_bytes: int
    platform_extensions: tuple[str, ...]


def require_own_database(connection: PgConnection, options: ConnectionOptions, project: str) -> None:
    """Refuse the transaction pooler, which keeps no snapshot, and a database that is marked as another project's.

    :raises InputError: saying which.
    """
    if options.login_port == TRANSACTION_POOLER_PORT:
        raise InputError(
            "Port 6543 is Supabase's transaction pooler: it keeps no session, so no snapshot could be dumped",
            where="login_port",
            next_step="Use port 5432 (project_db_port), of the direct connection or of the session pooler.",
        )
    marker = read_marker(connection)
    if marker is not None and marker.project != project:
        raise InputError(
            f"The database is marked as {marker.project}, and the backup is to be of {project}",
            where=options.place,
            next_step="Check the connection (project_db_host, project_db_port, project_db_name in the inventory).",
        )


def read_source(connection: PgConnection, own_schemas: Sequence[str], platform_schemas: Sequence[str]) -> Source:
    """Look at the database without touching it.

    :param own_schemas: the project's schemas; all of them have to exist.
    :param platform_schemas: the platform's schemas to back up as well, those that exist.
    :raises InputError: when there is nothing to back up, or a schema is missing.
    :raises PrivilegeError: when rows or tables are hidden from the role.
    """
    require_all_rows_visible(connection, "a backup")
    present = present_schemas(connection)
    missing = [schema for schema in own_schemas if schema not in present]
    if missing or not own_schemas:
        raise InputError(
            f"There is no schema {', '.join(missing)} in the database" if missing else "There is no schema to back up",
            where="schemas",
            next_step=f"Correct schemas (project_schemas in the inventory); there are: {', '.join(sorted(present))}.",
        )
    others = [s for s in (*platform_schemas, *BOOKKEEPING_SCHEMAS) if s in present and s not in own_schemas]
    schemas = (*own_schemas, *others)
    excluded = tuple((s, t) for s, t in PLATFORM_VERSION_TABLES if s in others)
    _require_readable(connection, schemas, excluded)
    database, system_identifier, table_bytes, index_bytes = fetch_all(
        connection,
        """
        select current_database(),
               (select system_identifier::text from pg_catalog.pg_control_system()),
               (select coalesce(sum(pg_catalog.pg_table_size(c.oid)), 0)
                from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
                where c.relkind = 'r' and n.nspname = any(%s))
               + pg_catalog.pg_table_size('pg_catalog.pg_largeobject'),
               (select coalesce(sum(pg_catalog.pg_indexes_size(c.oid)), 0)
                from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
                where c.relkind = 'r' and n.nspname = any(%s))
               + pg_catalog.pg_indexes_size('pg_catalog.pg_largeobject')
        """,
        [list(schemas)] * 2,
    )[0]
    return Source(
        database=str(database),
        system_identifier=str(system_identifier),
        server_version=server_version(connection),
        own_schemas=tuple(own_schemas),
        schemas=schemas,
        other_schemas=tuple(sorted(present - set(schemas))),
        excluded_tables=excluded,
        table_bytes=int(table_bytes),
        copy_bytes=int(table_bytes) + int(index_bytes),
        platform_extensions=tuple(str(name) for (name,) in fetch_all(connection, _OF_THE_PLATFORM, [SUPERUSER])),
    )


def _require_readable(
    connection: PgConnection, schemas: tuple[str, ...], excluded: tuple[tuple[str, str], ...]
) -> None:
    """Name everything that pg_dump would stumble over, instead of the first thing after minutes.

    :raises PrivilegeError: when the role may not use a schema or read a table or sequence in it.
    """
    rows = fetch_all(
        connection,
        """
        select case c.relkind when 'S' then 'sequence' else 'table' end, n.nspname, c.relname
        from pg_catalog.pg_class as c
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where n.nspname = any(%s)
          and c.relkind in ('r', 'p', 'S')
          and not (pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select'))
          and not exists (
              select from pg_catalog.pg_depend as d
              where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
        order by 2, 3
        """,
        [list(schemas)],
    )
    hidden = [(kind, f"{schema}.{name}") for kind, schema, name in rows if (schema, name) not in excluded]
    if hidden:
        role = fetch_value(connection, "select current_user")
        names = [name for dummy, name in hidden]
        shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        raise PrivilegeError(
            f"Role {role} may not read {shown}: a backup without it would not be whole",
            where=names[0],
            next_step=(
                f'As the owner: grant select on {hidden[0][0]} {names[0]} to "{role}"; (and usage on its schema), '
                "or leave the schema out (schemas, platform_schemas)."
            ),
            details={"unreadable": names},
        )
