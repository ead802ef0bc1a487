# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of maintenance in the database: one row in C(pgops.maintenance), written in one transaction with what it tells of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.process import is_gone
from ansible_collections.pgops.supabase.plugins.module_utils.maintenance.documents import MaintenanceRecord, Strategy
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.own_schema import (
    close_own_schema,
    make_own_schema,
    utc_text,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

# A server process may not have heard yet that somebody else has just made it.
_MAKE = """
create table if not exists pgops.maintenance (
    singleton boolean primary key default true check (singleton),
    strategy text not null,
    run_id text,
    operator text not null,
    host text not null,
    process text,
    since timestamptz not null default clock_timestamp(),
    before jsonb not null
);
comment on table pgops.maintenance is 'Who has turned the application''s writes off. At most one row; none when they are on.';
"""
_READ = f"select strategy, run_id, operator, host, process, {utc_text('since')}, before from pgops.maintenance"
# A run holds the project's lease for as long as it works, and renews it; who has not got it any more is over.
_HOLDS_LEASE = "select exists (select from pgops.lease where owner = %s and expires_at > pg_catalog.clock_timestamp())"
# "pgops" and "main", as numbers: whoever turns maintenance on or off, one after the other.
_LOCK = "select pg_catalog.pg_advisory_xact_lock(1885826931, 1835100526)"


@dataclass(frozen=True)
class Claim:
    """Who wants to turn the writes off or on: a run, or a person where there is no ``run_id``."""

    run_id: str | None
    operator: str
    host: str
    process: str | None = None


def read_record(connection: PgConnection) -> MaintenanceRecord | None:
    """The record as it is, None when the writes are on. Reads only."""
    if fetch_value(connection, "select pg_catalog.to_regclass('pgops.maintenance') is null"):
        return None
    rows = fetch_all(connection, _READ)
    if not rows:
        return None
    strategy, run_id, operator, host, process, since, before = rows[0]
    return MaintenanceRecord(
        strategy=strategy,
        run_id=run_id,
        operator=operator,
        host=host,
        process=process,
        since=since,
        before=before,
        left_behind=run_id is not None and _is_over(connection, run_id, process),
    )


def lock_record(connection: PgConnection) -> MaintenanceRecord | None:
    """The record for a change in the caller's transaction: nobody else changes it before that ends. Makes the table where it is missing."""
    execute(connection, _LOCK)
    if fetch_value(connection, "select pg_catalog.to_regclass('pgops.maintenance') is null"):
        make_own_schema(connection)
        execute(connection, _MAKE)
        close_own_schema(connection)
    return read_record(connection)


def write_record(connection: PgConnection, claim: Claim, strategy: Strategy, before: Mapping[str, Any]) -> None:
    """Say who turned the writes off, in the caller's transaction; what a dead run left is taken over since when that was."""
    execute(
        connection,
        "insert into pgops.maintenance as held (strategy, run_id, operator, host, process, before) "
        "values (%s, %s, %s, %s, %s, %s) on conflict (singleton) do update set run_id = excluded.run_id, "
        "operator = excluded.operator, host = excluded.host, process = excluded.process",
        [strategy, claim.run_id, claim.operator, claim.host, claim.process, json.dumps(before)],
    )


def delete_record(connection: PgConnection) -> None:
    """Say that the writes are on again, in the caller's transaction."""
    execute(connection, "delete from pgops.maintenance")


def whose(record: MaintenanceRecord) -> str:
    """The holder in words."""
    run = f"run {record.run_id}, which is over, " if record.left_behind else f"run {record.run_id} "
    return f"{run if record.run_id else ''}by {record.operator} on {record.host} since {record.since} (strategy {record.strategy})"


def _is_over(connection: PgConnection, run_id: str, process: str | None) -> bool:
    if process is not None and is_gone(process):
        return True
    if fetch_value(connection, "select pg_catalog.to_regclass('pgops.lease') is null"):
        return True
    return not fetch_value(connection, _HOLDS_LEASE, [run_id])
