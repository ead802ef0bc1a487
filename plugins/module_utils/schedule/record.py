# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of scheduled jobs in the database: who scheduled what in which run, and what was there before. Append-only."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.own_schema import (
    close_own_schema,
    make_own_schema,
    utc_text,
)
from ansible_collections.pgops.supabase.plugins.module_utils.schedule.documents import Author, Definition, JobRun

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

# The definitions hold the SQL of jobs: the schema is closed to the API's roles, as all that is in it.
_MAKE = """
create table if not exists pgops.scheduled_job_event (
    event_id bigint generated always as identity primary key,
    name text not null,
    run_id text,
    operator text not null,
    recorded_at timestamptz not null default clock_timestamp(),
    before jsonb,
    after jsonb
);
comment on table pgops.scheduled_job_event is
    'Jobs that were scheduled, changed or unscheduled: each as it was before and after, null for none. Append-only.';
create table if not exists pgops.scheduled_job_run (
    run_number bigint generated always as identity primary key,
    name text not null,
    started_at timestamptz not null,
    ended_at timestamptz not null default clock_timestamp(),
    status text not null check (status in ('succeeded', 'failed')),
    sqlstate text
);
create index if not exists scheduled_job_run_name on pgops.scheduled_job_run (name, started_at);
comment on table pgops.scheduled_job_run is 'How jobs ended that ran by a timer or by hand; those of pg_cron are in its own table.';
"""
_EVENTS = f"select name, run_id, operator, {utc_text('recorded_at')}, before, after from pgops.scheduled_job_event order by event_id"


@dataclass(frozen=True)
class JobEvent:
    """One change of a job's schedule."""

    name: str
    run_id: str | None
    operator: str
    recorded_at: str
    before: Definition | None
    after: Definition | None


def has_record(connection: PgConnection) -> bool:
    """Whether anything was ever scheduled here."""
    return bool(fetch_value(connection, "select pg_catalog.to_regclass('pgops.scheduled_job_event') is not null"))


def read_events(connection: PgConnection) -> list[JobEvent]:
    """All events, oldest first. Reads only."""
    if not has_record(connection):
        return []
    rows = fetch_all(connection, _EVENTS)
    return [
        JobEvent(name, run_id, operator, at, _definition(before), _definition(after))
        for name, run_id, operator, at, before, after in rows
    ]


def newest_by_name(events: Collection[JobEvent]) -> dict[str, JobEvent]:
    """The last event of each job; pure."""
    return {event.name: event for event in events}


def append_event(
    connection: PgConnection, name: str, author: Author, before: Definition | None, after: Definition | None
) -> None:
    """Record a change in the caller's transaction; makes the tables where they are missing."""
    if not has_record(connection):
        make_own_schema(connection)
        execute(connection, _MAKE)
        close_own_schema(connection)
    execute(
        connection,
        "insert into pgops.scheduled_job_event (name, run_id, operator, before, after) values (%s, %s, %s, %s, %s)",
        [name, author.run_id, author.operator, _json(before), _json(after)],
    )


def append_run(connection: PgConnection, run: JobRun) -> None:
    """Record how a job ran, in the caller's transaction."""
    sqlstate = ((run.error or {}).get("details") or {}).get("sqlstate")
    execute(
        connection,
        "insert into pgops.scheduled_job_run (name, started_at, status, sqlstate) values (%s, %s, %s, %s)",
        [run.name, run.started_at, run.status, sqlstate],
    )


def _json(definition: Definition | None) -> str | None:
    return None if definition is None else json.dumps(dataclasses.asdict(definition))


def _definition(data: dict[str, Any] | None) -> Definition | None:
    return None if data is None else from_dict(Definition, data)
