# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other sessions on the database: ended when their default has to change, and watched for those that write all the same.

A session takes the database's settings when it begins and keeps them (PostgreSQL, ALTER DATABASE: "Whenever a new session is
subsequently started"), so what an API's pool holds open has to go, when writes are stopped and when they are let on again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import PrivilegeError
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    SessionSettings,
    execute,
    fetch_all,
    fetch_value,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

# Ours are told by name and role together: they set their own default, and end soon. Superusers' cannot be ended by who is none
# (PostgreSQL, "Server Signaling Functions"); where we are one, those are left alone too.
_OTHERS = f"""
from pg_catalog.pg_stat_activity a join pg_catalog.pg_roles r on r.oid = a.usesysid
where a.datname = pg_catalog.current_database() and a.backend_type = 'client backend' and a.pid <> pg_catalog.pg_backend_pid()
and not (a.application_name = '{SessionSettings.application_name}' and a.usename = session_user)
"""
_OLDER = f"{_OTHERS} and a.backend_start < %s::timestamptz"
_LEFT = f"select a.pid {_OLDER} and not r.rolsuper"
_END = f"select count(pg_catalog.pg_terminate_backend(a.pid)) {_OLDER} and not r.rolsuper and (%s or a.state = 'idle')"
_SUPERUSERS = f"select a.usename, a.application_name, count(*) {_OTHERS} and r.rolsuper group by 1, 2 order by 1, 2"
_WRITING = f"select a.usename, a.application_name, r.rolsuper {_OTHERS} and a.backend_xid is not null"
# All databases of the server draw from it; only when it moves is it worth looking closer.
_TRANSACTIONS = "select pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text"
_ROWS = (
    "select schemaname || '.' || relname, n_tup_ins + n_tup_upd + n_tup_del from pg_catalog.pg_stat_user_tables "
    "where schemaname <> 'pgops'"
)
# A server process hands its numbers on once a second at the most (PostgreSQL, "The Cumulative Statistics System").
_LOOK_CLOSER_SECONDS = 2.2
_WATCH_SECONDS = 0.25
_PAUSE_SECONDS = 0.02
_END_SECONDS = 10.0


@dataclass(frozen=True)
class Writers:
    """Who still writes, in words, and whether it may all be superusers'."""

    found: tuple[str, ...]
    only_superusers: bool


def end_sessions(connection: PgConnection, before: str, drain_seconds: float) -> int:
    """End the sessions of others that began before a moment: idle ones at once, the others when their transaction has ended.

    :param connection: in autocommit mode.
    :param before: a time of the server's.
    :param drain_seconds: how long a transaction that is open may go on.
    :returns: how many were ended.
    :raises PrivilegeError: when the role may not end them, or they do not end.
    """
    import psycopg2

    drained = time.monotonic() + drain_seconds
    deadline = drained + _END_SECONDS
    ended: set[int] = set()
    while True:
        try:
            left = {pid for (pid,) in fetch_all(connection, _LEFT, [before])}
            ended |= left
            if not left:
                return len(ended)
            execute(connection, _END, [before, time.monotonic() >= drained])
        except psycopg2.errors.InsufficientPrivilege as error:
            raise PrivilegeError(
                f"The sessions of the application cannot be ended: {error.diag.message_primary}",
                where="pg_terminate_backend",
                next_step="Connect as postgres (login_user), or: grant pg_signal_backend to the role, as a role that may.",
            ) from error
        if time.monotonic() > deadline:
            raise PrivilegeError(
                f"Sessions of the application that do not end: {len(left)}",
                where="pg_stat_activity",
                next_step="Look at them: select pid, usename, state, query_start from pg_stat_activity; then run again.",
            )
        time.sleep(_PAUSE_SECONDS)


def superusers_here(connection: PgConnection) -> list[str]:
    """Sessions of superusers, which nobody but a superuser can end: role, program and number."""
    return [
        f"{role} ({program or 'no name'}, {number})" for role, program, number in fetch_all(connection, _SUPERUSERS)
    ]


def watch_writers(connection: PgConnection) -> Writers:
    """Look for a moment whether somebody still writes, and for two seconds more where a transaction number was given out meanwhile.

    :param connection: in autocommit mode.
    """
    rows, first = dict(fetch_all(connection, _ROWS)), fetch_value(connection, _TRANSACTIONS)
    deadline = time.monotonic() + _WATCH_SECONDS
    looked_closer = False
    while True:
        if writing := fetch_all(connection, _WRITING):
            writers = sorted({f"{role} ({program or 'no name'})" for role, program, _is_superuser in writing})
            return Writers(tuple(writers), all(is_superuser for _role, _program, is_superuser in writing))
        if looked_closer:
            changed = sorted(name for name, number in fetch_all(connection, _ROWS) if number > rows.get(name, 0))
            if changed:
                # Whose rows these are no view tells. A superuser's may also be from before: they are counted late.
                found = (f"somebody, into {', '.join(changed[:5])}",)
                return Writers(found, bool(fetch_all(connection, _SUPERUSERS)))
        if time.monotonic() >= deadline:
            if looked_closer or fetch_value(connection, _TRANSACTIONS) == first:
                return Writers((), True)
            looked_closer, deadline = True, time.monotonic() + _LOOK_CLOSER_SECONDS
        time.sleep(_PAUSE_SECONDS)
