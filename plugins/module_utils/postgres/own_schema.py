# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema C(pgops), where the collection keeps its records: made by whatever comes first, closed to the API's roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_value

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


def utc_text(column: str) -> str:
    """SQL for a time as documents write it: in UTC, to the millisecond."""
    return f"""to_char({column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"')"""


_MAKE_SCHEMA = """
create schema pgops;
comment on schema pgops is 'Records of pgops.supabase: what was done to this project, by whom, when. Append-only.';
"""

# PUBLIC has no rights on a new schema, sequence or table, but the project's default privileges may give some; functions
# are open to PUBLIC from the beginning. The roles are those that Supabase's API acts as.
_CLOSE = """
revoke all on schema pgops from public;
revoke all on all tables in schema pgops from public;
revoke all on all sequences in schema pgops from public;
revoke all on all functions in schema pgops from public;
do $roles$
declare
    api_role name;
begin
    for api_role in
        select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role')
    loop
        execute pg_catalog.format('revoke all on schema pgops from %I', api_role);
        execute pg_catalog.format('revoke all on all tables in schema pgops from %I', api_role);
        execute pg_catalog.format('revoke all on all sequences in schema pgops from %I', api_role);
        execute pg_catalog.format('revoke all on all functions in schema pgops from %I', api_role);
    end loop;
end
$roles$;
"""


def make_own_schema(connection: PgConnection) -> None:
    """Make the schema where it is missing, in the caller's transaction."""
    if fetch_value(connection, "select pg_catalog.to_regnamespace('pgops') is null"):
        execute(connection, _MAKE_SCHEMA)


def close_own_schema(connection: PgConnection) -> None:
    """Take from the API's roles whatever rights they have in the schema; after every object that is made in it."""
    execute(connection, _CLOSE)
