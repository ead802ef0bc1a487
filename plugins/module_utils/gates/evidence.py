# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what the gates go by: from the server in the caller's transaction, and from the disk. Nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import ConnectionFailed
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import OWN_SCHEMA, PLATFORM_SCHEMAS
from ansible_collections.pgops.supabase.plugins.module_utils.gates.facts import (
    DiskSpace,
    InvalidObjects,
    OpenTransaction,
    OpenTransactions,
    PoolingFacts,
    PreparedTransaction,
    Replication,
    Rights,
    SchemaRights,
    ServerIdentity,
    Versions,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.marker import read_marker
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import MigrationFile, read_script
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    fetch_all,
    fetch_value,
    server_version,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import find_program, program_version
from ansible_collections.pgops.supabase.plugins.module_utils.sql.effects import PARTS_OF_A_TABLE, created_by

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


def read_identity(connection: PgConnection) -> ServerIdentity:
    """Which server and which database this is."""
    database, address, port, in_recovery = fetch_all(
        connection,
        "select pg_catalog.current_database()::text, host(inet_server_addr()), inet_server_port(), "
        "pg_catalog.pg_is_in_recovery()",
    )[0]
    return ServerIdentity(
        database, address, port, in_recovery, read_system_identifier(connection), read_marker(connection)
    )


def read_system_identifier(connection: PgConnection) -> str | None:
    """What tells one server from every other, None where the role may not read it."""
    may_read = "select pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute')"
    if not fetch_value(connection, may_read):
        return None
    return str(fetch_value(connection, "select system_identifier from pg_catalog.pg_control_system()"))


def read_pooling(options: ConnectionOptions, settings: SessionSettings) -> PoolingFacts:
    """Whether sessions are sessions, found without changing anything: by which server process answers whom.

    Behind a transaction pooler two sessions share a process one after the other, or one session meets another process when
    the other session is in a transaction. A session of one's own always is the same process, and nobody else's.

    :raises ConnectionFailed: when no second session can be opened.
    """
    ask = "select pg_catalog.pg_backend_pid()"
    with session(options, autocommit=True) as first, session(options, autocommit=True) as second:
        alone, other = fetch_value(first, ask), fetch_value(second, ask)
        beside = alone
        if alone != other:
            second.autocommit = False
            fetch_value(second, ask)
            beside = fetch_value(first, ask)
    try:
        with session(options, settings):
            refusal = None
    except ConnectionFailed as error:
        refusal = error.what
    return PoolingFacts((alone, other, beside), refusal)


def read_rights(connection: PgConnection, schemas: Iterable[str]) -> Rights:
    """What the role may do in the database and in those of the schemas that exist."""
    role, database, superuser, bypasses, create_schemas = fetch_all(
        connection,
        "select rolname::text, pg_catalog.current_database()::text, rolsuper, rolbypassrls, "
        "pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create') "
        "from pg_catalog.pg_roles where rolname = current_user",
    )[0]
    in_schemas = fetch_all(
        connection,
        "select nspname::text, pg_catalog.has_schema_privilege(oid, 'usage'), "
        "pg_catalog.has_schema_privilege(oid, 'create') "
        "from pg_catalog.pg_namespace where nspname = any(%s) order by nspname",
        [sorted(set(schemas))],
    )
    history_writable = fetch_value(
        connection,
        # By oid: by name, a schema that the role may not use would be an error instead of an answer.
        "select pg_catalog.has_schema_privilege(n.oid, 'usage') "
        "and pg_catalog.has_table_privilege(c.oid, 'select') and pg_catalog.has_table_privilege(c.oid, 'insert') "
        "and pg_catalog.has_table_privilege(c.oid, 'delete') "
        "from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = 'supabase_migrations' and c.relname = 'schema_migrations'",
    )
    return Rights(
        role=role,
        database=database,
        superuser=superuser,
        bypasses_row_security=bypasses,
        create_schemas=create_schemas,
        schemas=tuple(SchemaRights(*row) for row in in_schemas),
        history_writable=history_writable,
    )


def schemas_created_in(files: Iterable[MigrationFile]) -> set[str]:
    """The project's own schemas in which the files create what needs CREATE there, as far as their statements tell.

    Triggers, policies and columns belong to a table and need no right on its schema (PostgreSQL, "Privileges"). What a role may
    do in the platform's schemas is decided by extensions of the server as well, so only running it tells: the dry run does.

    :raises SqlScriptError: when a file cannot be read or parsed.
    """
    return {
        created.what.schema
        for file in files
        for statement in read_script(file.path).statements
        for created in created_by(statement)
        if created.what.schema
        and created.what.kind not in PARTS_OF_A_TABLE
        and not created.renamed
        and created.what.schema not in PLATFORM_SCHEMAS
    }


def read_versions(connection: PgConnection, pg_bin: Path | None) -> Versions:
    """The server's version and that of the pg_dump that would be used.

    :raises ToolError: when there is no pg_dump.
    """
    number = int(fetch_value(connection, "show server_version_num"))
    pg_dump = find_program("pg_dump", pg_bin)
    client = program_version(pg_dump)
    return Versions(server_version(connection), number // 10_000, client.text, client.major, str(pg_dump))


def read_disk_space(connection: PgConnection, directory: Path) -> DiskSpace:
    """What is free where the directory is or will be made, beside the size of the database.

    :raises OSError: when the file system does not say.
    """
    directory = directory.absolute()
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    size = fetch_value(connection, "select pg_catalog.pg_database_size(pg_catalog.current_database())")
    return DiskSpace(str(existing), shutil.disk_usage(existing).free, int(size))


def read_open_transactions(connection: PgConnection) -> OpenTransactions:
    """Other sessions' transactions in this database, oldest first. Autovacuum is left out: it gives way to DDL by itself."""
    rows = fetch_all(
        connection,
        "select pid, coalesce(usename, '')::text, coalesce(application_name, ''), coalesce(state, backend_type), "
        "extract(epoch from clock_timestamp() - xact_start)::float8 "
        "from pg_catalog.pg_stat_activity where datname = current_database() and pid <> pg_catalog.pg_backend_pid() "
        "and xact_start is not null and backend_type <> 'autovacuum worker' order by xact_start",
    )
    # Without pg_read_all_stats (pg_monitor has it) PostgreSQL shows other roles' sessions with nothing in them.
    hidden = fetch_value(
        connection,
        "select count(*) from pg_catalog.pg_stat_activity where datname = current_database() "
        "and query = '<insufficient privilege>'",
    )
    return OpenTransactions(tuple(OpenTransaction(*row) for row in rows), int(hidden))


def read_prepared_transactions(connection: PgConnection) -> tuple[PreparedTransaction, ...]:
    """Transactions of this database that wait for the second phase of their commit, oldest first."""
    rows = fetch_all(
        connection,
        "select gid, owner::text, extract(epoch from clock_timestamp() - prepared)::float8 "
        "from pg_catalog.pg_prepared_xacts where database = current_database() order by prepared",
    )
    return tuple(PreparedTransaction(*row) for row in rows)


def read_invalid_objects(connection: PgConnection) -> InvalidObjects:
    """INVALID indexes and NOT VALID constraints in the user's own schemas."""
    others = [[*PLATFORM_SCHEMAS, OWN_SCHEMA]]
    own = "n.nspname <> all(%s) and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'"
    indexes = fetch_all(
        connection,
        "select pg_catalog.format('%%I.%%I', n.nspname, c.relname) from pg_catalog.pg_index i "
        "join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
        f"where not (i.indisvalid and i.indisready) and {own} order by 1",
        others,
    )
    constraints = fetch_all(
        connection,
        "select pg_catalog.format('%%I on %%I.%%I', o.conname, n.nspname, c.relname) from pg_catalog.pg_constraint o "
        "join pg_catalog.pg_class c on c.oid = o.conrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
        f"where not o.convalidated and {own} order by 1",
        others,
    )
    return InvalidObjects(tuple(name for (name,) in indexes), tuple(name for (name,) in constraints))


def read_replication(connection: PgConnection) -> Replication:
    """Standbys and replication slots, each with the WAL that it has not confirmed yet."""
    lag = "pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), {})::bigint"
    standbys = fetch_all(
        connection,
        f"select coalesce(nullif(application_name, ''), host(client_addr), pid::text), {lag.format('replay_lsn')} "
        "from pg_catalog.pg_stat_replication order by 1",
    )
    slots = fetch_all(
        connection,
        f"select slot_name::text, {lag.format('coalesce(confirmed_flush_lsn, restart_lsn)')}, active "
        "from pg_catalog.pg_replication_slots order by 1",
    )
    return Replication(
        tuple(standbys),
        tuple((name, behind) for name, behind, active in slots if active),
        tuple((name, behind) for name, behind, active in slots if not active),
    )
