# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The marker in a database that says which project it is, so that dev is never taken for prod."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.own_schema import (
    close_own_schema,
    make_own_schema,
    utc_text,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

_MAKE_MARKER = """
create table pgops.project_marker (
    singleton boolean primary key default true check (singleton),
    project text not null,
    ref text,
    environment text not null,
    created_at timestamptz not null default clock_timestamp(),
    system_identifier text
);
comment on table pgops.project_marker is 'Which project this database is. One row, written once by a person''s decision.';
"""


@dataclass(frozen=True)
class Marker:
    """What the database was marked as, and on which server that was."""

    project: str
    ref: str | None
    environment: str
    created_at: str
    system_identifier: str | None


def read_marker(connection: PgConnection) -> Marker | None:
    """What the database was marked as, None when it never was. Reads only."""
    if fetch_value(connection, "select pg_catalog.to_regclass('pgops.project_marker') is null"):
        return None
    rows = fetch_all(
        connection,
        "select project, ref, environment, "
        f"{utc_text('created_at')}, system_identifier "
        "from pgops.project_marker",
    )
    return Marker(*rows[0]) if rows else None


def write_marker(
    connection: PgConnection, *, project: str, ref: str | None, environment: str, system_identifier: str | None
) -> None:
    """Mark the database, in the caller's transaction. One that is marked already is left as it is."""
    if fetch_value(connection, "select pg_catalog.to_regclass('pgops.project_marker') is null"):
        make_own_schema(connection)
        execute(connection, _MAKE_MARKER)
        close_own_schema(connection)
    execute(
        connection,
        "insert into pgops.project_marker (project, ref, environment, system_identifier) values (%s, %s, %s, %s) "
        "on conflict do nothing",
        [project, ref, environment, system_identifier],
    )
