# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The run's lease: one run at a time per project, also between the phases of a run, when no session is open.

The lease is one row with an owner and an expiry by the server's clock. It is taken, renewed and taken over by one statement, so
that of any number of runs that want it exactly one gets it. It keeps runs apart; what keeps two applies apart within the
database is an advisory lock, besides.

A run that was killed gives nothing back. On the machine on which it ran its lease is taken over at once, because its process is
gone; elsewhere within minutes, because a living run renews its lease while a module of it works (:func:`kept_alive`).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ansible_collections.pgops.supabase.plugins.module_utils.base.background import in_background
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BusyError, InputError
from ansible_collections.pgops.supabase.plugins.module_utils.base.process import is_gone
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.documents import Lease
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    execute,
    fetch_all,
    fetch_value,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.own_schema import (
    close_own_schema,
    make_own_schema,
    utc_text,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

LeaseAction = Literal["acquired", "renewed", "taken_over", "released", "none"]

SETTINGS = SessionSettings(lock_timeout_ms=5_000, statement_timeout_ms=30_000)
# What several runs that make the table at the same moment see: the schema, the table or its type came into being meanwhile.
_MADE_BY_ANOTHER = ("23505", "42P06", "42P07", "42710")
_ATTEMPTS_TO_MAKE = 5
# A lease lasts some of these.
HEARTBEAT_SECONDS = 60.0

_MAKE_LEASE = """
create table pgops.lease (
    singleton boolean primary key default true check (singleton),
    owner text not null,
    run_id text,
    operator text not null,
    host text not null,
    acquired_at timestamptz not null,
    renewed_at timestamptz not null,
    expires_at timestamptz not null,
    taken_over_from jsonb,
    process text
);
comment on table pgops.lease is 'Which run may work on this project, and until when. At most one row.';
"""

_COLUMNS = f"""
owner, run_id, operator, host,
{utc_text("acquired_at")},
{utc_text("renewed_at")},
{utc_text("expires_at")},
expires_at <= clock_timestamp(), taken_over_from, process
"""

_READ = f"select {_COLUMNS} from pgops.lease"
# As releases before the column have left it, for a reader that may not change it.
_READ_OLD = _READ.replace("taken_over_from, process", "taken_over_from, null::text")
_ADD_PROCESS = "alter table pgops.lease add column if not exists process text"
_HAS_PROCESS = (
    "select exists (select from pg_catalog.pg_attribute where attrelid = pg_catalog.to_regclass('pgops.lease') "
    "and attname = 'process' and not attisdropped)"
)

# Whoever waits here for another's row sees, when it goes on, the row as that one has left it. A lease is also free when it is
# still the one whose process was found to be gone.
_TAKE = f"""
insert into pgops.lease as held (owner, run_id, operator, host, process, acquired_at, renewed_at, expires_at)
select %s, %s, %s, %s, %s, t.now, t.now, t.now + make_interval(secs => %s)
from (select clock_timestamp() as now) as t
on conflict (singleton) do update set
    owner = excluded.owner, run_id = excluded.run_id, operator = excluded.operator, host = excluded.host,
    process = excluded.process,
    acquired_at = case when held.owner = excluded.owner then held.acquired_at else excluded.acquired_at end,
    renewed_at = excluded.renewed_at,
    expires_at = excluded.expires_at,
    taken_over_from = case when held.owner = excluded.owner then held.taken_over_from
                           else to_jsonb(held) - 'singleton' - 'taken_over_from' end
where held.owner = excluded.owner or held.expires_at <= excluded.renewed_at or held.process = %s
returning {_COLUMNS}, acquired_at = renewed_at
"""

_RENEW = f"""
update pgops.lease as held
set renewed_at = t.now, expires_at = t.now + make_interval(secs => %s)
from (select clock_timestamp() as now) as t
where held.owner = %s
returning {_COLUMNS}
"""
_KEEP_ALIVE = """
update pgops.lease set renewed_at = t.now, expires_at = t.now + (expires_at - renewed_at)
from (select clock_timestamp() as now) as t where owner = %s
"""

_RELEASE = f"delete from pgops.lease where owner = %s returning {_COLUMNS}"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Claim:
    """Who wants the lease: the ``owner`` is what one is recognised by, the rest is for people."""

    owner: str
    run_id: str | None
    operator: str
    host: str
    process: str | None = None


@dataclass(frozen=True)
class LeaseResult:
    """What was done, the lease as it is now (None when nobody holds it) and, where it is another one, as it was before."""

    action: LeaseAction
    lease: Lease | None
    previous: dict[str, Any] | None = None


def read_lease(connection: PgConnection) -> Lease | None:
    """The lease as it is, None when nobody holds it or there never was one. Reads only."""
    if fetch_value(connection, "select pg_catalog.to_regclass('pgops.lease') is null"):
        return None
    rows = fetch_all(connection, _READ if fetch_value(connection, _HAS_PROCESS) else _READ_OLD)
    return _lease(rows[0]) if rows else None


def take_lease(
    options: ConnectionOptions, claim: Claim, *, expires_seconds: float, pretend: bool = False
) -> LeaseResult:
    """Take the lease, renew it when it is the claimant's already, or take it over when it has expired or its run is dead.

    :param expires_seconds: from now, by the server's clock.
    :param pretend: only say what would be done.
    :raises BusyError: when somebody else holds it.
    """
    _require_lifetime(expires_seconds)

    def take(connection: PgConnection) -> LeaseResult:
        if pretend:
            return _foreseen(read_lease(connection), claim, options)
        _make_lease(connection)
        present = read_lease(connection)
        dead = present.process if present is not None and present.expired else None
        row = [claim.owner, claim.run_id, claim.operator, claim.host, claim.process, expires_seconds, dead]
        rows = fetch_all(connection, _TAKE, row)
        if not rows:
            raise _busy(read_lease(connection), options)
        lease, is_new = _lease(rows[0][:-1]), rows[0][-1]
        if not is_new:
            return LeaseResult("renewed", lease)
        return LeaseResult("taken_over" if lease.taken_over_from else "acquired", lease, lease.taken_over_from)

    return _in_session(options, take)


def renew_lease(
    options: ConnectionOptions, owner: str, *, expires_seconds: float, pretend: bool = False
) -> LeaseResult:
    """Renew a lease that has to be held: a phase that finds it gone must not go on as if nobody had come between.

    A lease that expired without being taken over is still the owner's.

    :param pretend: only say what would be done; a lease that nobody holds is no error then, as nobody took it before.
    :raises BusyError: when it is not held by the owner any more.
    """
    _require_lifetime(expires_seconds)

    def renew(connection: PgConnection) -> LeaseResult:
        present = read_lease(connection)
        if present is None and not pretend:
            raise BusyError(
                f"The lease of {owner} is not there any more: somebody released it, or it expired and another run came and went",
                where=options.place,
                next_step="Begin a new run: what this one has found out about the project may not hold any more.",
            )
        if pretend:
            if present is not None and present.owner != owner:
                raise _busy(present, options)
            return LeaseResult("renewed", present)
        rows = fetch_all(connection, _RENEW, [expires_seconds, owner])
        if not rows:
            raise _busy(read_lease(connection), options)
        return LeaseResult("renewed", _lease(rows[0]))

    return _in_session(options, renew)


def release_lease(options: ConnectionOptions, owner: str, *, pretend: bool = False) -> LeaseResult:
    """Give the lease back. When nobody holds it there is nothing to do.

    :param pretend: only say what would be done.
    :raises BusyError: when somebody else holds it.
    """

    def release(connection: PgConnection) -> LeaseResult:
        present = read_lease(connection)
        if present is None:
            return LeaseResult("none", None)
        if present.owner != owner:
            raise _busy(present, options)
        if pretend:
            return LeaseResult("released", None, present.as_dict())
        rows = fetch_all(connection, _RELEASE, [owner])
        if not rows:
            # It changed hands since it was read.
            raise _busy(read_lease(connection), options)
        return LeaseResult("released", None, _lease(rows[0]).as_dict())

    return _in_session(options, release)


@contextmanager
def kept_alive(options: ConnectionOptions, owner: str) -> Iterator[None]:
    """Renew the owner's lease, for as long as it was taken, while the block runs. Who holds none is not disturbed.

    What fails here fails nothing else: the lease is looked at before each phase.
    """
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(Exception):
                _in_session(options, lambda connection: execute(connection, _KEEP_ALIVE, [owner]))

    in_background(renew)
    try:
        yield
    finally:
        ended.set()


def who_holds(lease: Lease) -> str:
    """The holder in words: who, from where, since when, until when."""
    run = f"run {lease.run_id} " if lease.run_id and lease.run_id != lease.owner else ""
    ending = "expired" if lease.expired else "expires"
    return (
        f"{lease.owner} ({run}by {lease.operator} on {lease.host}) since {lease.acquired_at}, "
        f"renewed {lease.renewed_at}, {ending} {lease.expires_at}"
    )


def how_to_free(lease: Lease) -> str:
    """What to type when the lease is another's."""
    return (
        f"Wait until it is released or expires ({lease.expires_at}). If that run is surely dead: "
        f"pgops.supabase.run_lease with state: released, owner: {lease.owner}, then run again."
    )


def _in_session(options: ConnectionOptions, job: Callable[[PgConnection], _T]) -> _T:
    """Statement by statement."""
    with session(options, SETTINGS, autocommit=True) as connection:
        return job(connection)


def _make_lease(connection: PgConnection) -> None:
    """Make the table where it is missing. Several runs may do so at once: all but one see that it was made meanwhile."""
    import psycopg2

    for attempt in range(_ATTEMPTS_TO_MAKE):
        if fetch_value(connection, _HAS_PROCESS):
            return
        connection.autocommit = False
        try:
            make_own_schema(connection)
            if fetch_value(connection, "select pg_catalog.to_regclass('pgops.lease') is null"):
                execute(connection, _MAKE_LEASE)
            else:
                execute(connection, _ADD_PROCESS)
            close_own_schema(connection)
            connection.commit()
        except psycopg2.Error as error:
            connection.rollback()
            if error.pgcode not in _MADE_BY_ANOTHER or attempt == _ATTEMPTS_TO_MAKE - 1:
                raise
        finally:
            connection.autocommit = True


def _lease(row: tuple[Any, ...]) -> Lease:
    owner, run_id, operator, host, acquired_at, renewed_at, expires_at, expired, taken_over_from, process = row
    return Lease(
        owner=owner,
        run_id=run_id,
        operator=operator,
        host=host,
        acquired_at=acquired_at,
        renewed_at=renewed_at,
        expires_at=expires_at,
        # Whose process is gone renews nothing any more.
        expired=expired or (process is not None and is_gone(process)),
        taken_over_from=taken_over_from,
        process=process,
    )


def _foreseen(present: Lease | None, claim: Claim, options: ConnectionOptions) -> LeaseResult:
    if present is None:
        return LeaseResult("acquired", None)
    if present.owner == claim.owner:
        return LeaseResult("renewed", present)
    if present.expired:
        return LeaseResult("taken_over", present, present.as_dict())
    raise _busy(present, options)


def _busy(lease: Lease | None, options: ConnectionOptions) -> BusyError:
    if lease is None:
        return BusyError(
            "Another run held the project a moment ago and has released it", where=options.place, next_step="Run again."
        )
    return BusyError(
        f"Another run holds the project: {who_holds(lease)}",
        where=options.place,
        next_step=how_to_free(lease),
        details={"result": {"lease": lease.as_dict()}},
    )


def _require_lifetime(seconds: float) -> None:
    if seconds <= 0:
        raise InputError(
            f"A lease cannot expire after {seconds:g} seconds",
            where="expires_seconds",
            next_step="Give a number above 0; it should exceed the longest phase.",
        )
