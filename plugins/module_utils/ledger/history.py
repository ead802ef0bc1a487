# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database says was applied: Supabase's history and our ledger, read and written on an open connection.

The history, C(supabase_migrations.schema_migrations), is Supabase's and shared with its CLI. The ledger, C(pgops.ledger), is ours:
append-only events that say who did what with which file in which run, failures and rollbacks included.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import HistoryError
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.own_schema import (
    close_own_schema,
    make_own_schema,
    utc_text,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

Event = Literal["applied", "verified", "adopted", "rolled_back", "restored", "failed"]

# Two integers name the advisory lock of an apply; the first is this collection's own ("pgop" in ASCII).
ADVISORY_LOCK = (0x70676F70, 1)

_HISTORY = "supabase_migrations.schema_migrations"
_IN_ORDER = 'order by version collate "C"'
# The columns are those that the Supabase CLI makes in a new database; hosted projects may have more, which stay as they are.
_MAKE_HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text;
"""

_MAKE_LEDGER = """
create table pgops.ledger (
    event_id bigint generated always as identity primary key,
    recorded_at timestamptz not null default clock_timestamp(),
    event text not null check (event in ('applied', 'verified', 'adopted', 'rolled_back', 'restored', 'failed')),
    version text not null,
    name text not null,
    sha256 text not null,
    run_id text,
    operator text not null,
    database_role text not null default session_user,
    duration_seconds double precision,
    details jsonb not null default '{}'
);
create index ledger_version_idx on pgops.ledger (version, event_id);
create function pgops.refuse_change() returns trigger language plpgsql set search_path = '' as $function$
begin
    raise exception 'pgops.ledger is append-only' using errcode = 'insufficient_privilege';
end
$function$;
create trigger ledger_is_append_only before update or delete on pgops.ledger
    for each row execute function pgops.refuse_change();
create trigger ledger_is_never_emptied before truncate on pgops.ledger
    for each statement execute function pgops.refuse_change();
"""

_WIDEN_LEDGER = """
alter table pgops.ledger drop constraint if exists ledger_event_check;
alter table pgops.ledger add constraint ledger_event_check
    check (event in ('applied', 'verified', 'adopted', 'rolled_back', 'restored', 'failed'));
"""


@dataclass(frozen=True)
class HistoryRow:
    """One row of Supabase's history; ``statements`` is None where the tool that wrote it did not record them."""

    version: str
    name: str | None
    statements: tuple[str, ...] | None

    @property
    def recorded(self) -> int | None:
        """How many statements were recorded, None for none."""
        return None if self.statements is None else len(self.statements)


@dataclass(frozen=True)
class HistoryEntry:
    """A row of Supabase's history without the text of its statements, of which ``recorded`` is the number."""

    version: str
    name: str | None
    recorded: int | None


@dataclass(frozen=True)
class LedgerEvent:
    """One event of the ledger."""

    event_id: int
    recorded_at: str
    event: Event
    version: str
    name: str
    sha256: str
    run_id: str | None
    operator: str
    details: dict[str, Any] = field(default_factory=dict)


class Told(Protocol):
    """What is needed of an event to know what is applied."""

    @property
    def event(self) -> str: ...

    @property
    def version(self) -> str: ...


_Event = TypeVar("_Event", bound=Told)


class Recordable(Protocol):
    """A migration as the ledger knows it: its file, the script that takes it back, or an earlier event."""

    @property
    def version(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True)
class NewEvent:
    """An event to append to the ledger."""

    event: Event
    version: str
    name: str
    sha256: str
    run_id: str | None
    operator: str
    duration_seconds: float | None
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def about(
        cls,
        migration: Recordable,
        event: Event,
        *,
        run_id: str | None,
        operator: str,
        seconds: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> NewEvent:
        """What happened to a migration, by whom, and how long it took."""
        return cls(event, migration.version, migration.name, migration.sha256, run_id, operator, seconds, details or {})


def exists(connection: PgConnection, relation: str) -> bool:
    """Whether a relation, given as schema.name, exists."""
    return fetch_value(connection, "select pg_catalog.to_regclass(%s) is not null", [relation]) is True


def read_history(connection: PgConnection, versions: Sequence[str] | None = None) -> list[HistoryRow]:
    """The rows of Supabase's history in its order; none when the table does not exist yet.

    :param versions: only these; None for all.
    """
    if not exists(connection, _HISTORY):
        return []
    rows = fetch_all(
        connection,
        "select to_jsonb(m) ->> 'version', to_jsonb(m) ->> 'name', to_jsonb(m) -> 'statements' "
        f"from {_HISTORY} m where %s or version = any(%s) {_IN_ORDER}",
        [versions is None, list(versions or ())],
    )
    return [
        HistoryRow(version, name, None if statements is None else tuple(statements))
        for version, name, statements in rows
    ]


def list_history(connection: PgConnection) -> list[HistoryEntry]:
    """All rows of Supabase's history in its order, without their text, which is most of it."""
    columns = _history_columns(connection)
    if not columns:
        return []
    name = "name" if "name" in columns else "null"
    recorded = "pg_catalog.cardinality(statements)" if "statements" in columns else "null"
    rows = fetch_all(connection, f"select version, {name}, {recorded} from {_HISTORY} {_IN_ORDER}")
    return [HistoryEntry(*row) for row in rows]


def read_ledger(connection: PgConnection, *, details: bool = True) -> list[LedgerEvent]:
    """All events of the ledger, oldest first; none when there is no ledger yet.

    :param details: without them, which are most of it, only those of V(adopted) are read; see :func:`is_anothers`.
    :raises HistoryError: when what has the ledger's name is something else.
    """
    import psycopg2.errors

    if not exists(connection, "pgops.ledger"):
        return []
    try:
        rows = fetch_all(
            connection,
            f"select event_id, {utc_text('recorded_at')}, event, "
            "version, name, sha256, run_id, operator, case when %s or event = 'adopted' then details else '{}' end "
            "from pgops.ledger order by event_id",
            [details],
        )
    except psycopg2.errors.UndefinedColumn as error:
        raise HistoryError(
            f"What is called pgops.ledger here is not the ledger of this collection: {error.diag.message_primary}",
            where="pgops.ledger",
            next_step="The collection keeps its records in a schema of its own; rename yours: alter schema pgops rename to ...",
        ) from error
    return [LedgerEvent(*row) for row in rows]


def make_history(connection: PgConnection) -> None:
    """Make Supabase's history where it is missing, in the caller's transaction; columns that older tools left out are added."""
    if not {"version", "statements", "name"} <= _history_columns(connection):
        execute(connection, _MAKE_HISTORY)


def make_ledger(connection: PgConnection) -> None:
    """Make the ledger where it is missing, in the caller's transaction."""
    if not exists(connection, "pgops.ledger"):
        make_own_schema(connection)
        execute(connection, _MAKE_LEDGER)
        close_own_schema(connection)


def widen_ledger(connection: PgConnection) -> None:
    """Let a ledger that was made earlier take the events that came later, in the caller's transaction."""
    known = fetch_value(
        connection,
        "select pg_catalog.strpos(pg_catalog.pg_get_constraintdef(oid), 'restored') > 0 from pg_catalog.pg_constraint "
        "where conrelid = 'pgops.ledger'::regclass and conname = 'ledger_event_check'",
    )
    if not known:
        execute(connection, _WIDEN_LEDGER)


# Adds a migration to Supabase's history: its version, its name, its statements.
RECORD_APPLIED = "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)"


def record_removed(connection: PgConnection, version: str) -> None:
    """Take a migration out of Supabase's history, as after its rollback."""
    execute(connection, "delete from supabase_migrations.schema_migrations where version = %s", [version])


def append_event(connection: PgConnection, event: NewEvent) -> None:
    """Append one event to the ledger."""
    append_events(connection, [event])


def append_events(connection: PgConnection, events: Sequence[NewEvent]) -> None:
    """Append events to the ledger, in their order, some hundreds in one statement."""
    from psycopg2.extras import execute_values

    rows = [
        (
            event.event,
            event.version,
            event.name,
            event.sha256,
            event.run_id,
            event.operator,
            event.duration_seconds,
            json.dumps(dict(event.details), ensure_ascii=False),
        )
        for event in events
    ]
    insert = (
        "insert into pgops.ledger (event, version, name, sha256, run_id, operator, duration_seconds, details) values %s"
    )
    with connection.cursor() as cursor:
        execute_values(cursor, insert, rows, page_size=500)


def _history_columns(connection: PgConnection) -> set[str]:
    rows = fetch_all(
        connection,
        "select attname from pg_catalog.pg_attribute where attrelid = "
        "pg_catalog.to_regclass('supabase_migrations.schema_migrations') and attnum > 0 and not attisdropped",
    )
    return {name for (name,) in rows}


def newest_applied_events(ledger: Iterable[_Event]) -> dict[str, _Event]:
    """For each version that the ledger holds as applied now, the event that says so: V(applied), or V(adopted)."""
    current: dict[str, _Event] = {}
    for event in ledger:
        if event.event in ("applied", "adopted"):
            current[event.version] = event
        elif event.event == "rolled_back":
            current.pop(event.version, None)
    return current


def is_anothers(event: LedgerEvent) -> bool:
    """Whether another tool applied it, and the ledger took it over: then it knows the file, but neither the time nor the change.

    What a restore brought back is V(adopted), too, but was applied by this collection; only the other kind was compared.
    """
    return event.event == "adopted" and "compared" in event.details
