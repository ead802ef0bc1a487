# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a file got that runs outside a transaction: each statement by hash, before it begins and after it ended.

The log is there only while the file is not applied. With it a run that was killed goes on at the first statement that did not
finish, and knows what that statement may have left behind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.ledger.documents import HalfDoneMigration
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.own_schema import utc_text
from ansible_collections.pgops.supabase.plugins.module_utils.sql.shown import shown

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

# The place of what was there before the first statement.
BEFORE_ALL = -1

_MAKE_LOG = """
create table pgops.statement_log (
    version text not null,
    position integer not null,
    sha256 text not null,
    state text not null check (state in ('started', 'finished')),
    context jsonb not null default '{}',
    run_id text,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (version, position)
);
comment on table pgops.statement_log is
    'Statements of migrations that run outside a transaction and are not applied as a whole yet.';
revoke all on pgops.statement_log from public;
"""

_HALF_DONE = f"""
select version,
       count(*) filter (where state = 'finished')::int,
       max(context ->> 'sql') filter (where state = 'started'),
       (array_agg(run_id order by recorded_at desc))[1],
       {utc_text("max(recorded_at)")}
from pgops.statement_log where position <> %s group by version order by version
"""


@dataclass(frozen=True)
class LoggedStatement:
    """One statement of an unfinished file. ``context`` is what was there when it began, to tell what it left behind."""

    position: int
    sha256: str
    state: Literal["started", "finished"]
    context: dict[str, Any]


def make_statement_log(connection: PgConnection) -> None:
    """Make the log where it is missing, in the caller's transaction; the ledger's schema has to be there."""
    if fetch_value(connection, "select pg_catalog.to_regclass('pgops.statement_log') is null"):
        execute(connection, _MAKE_LOG)


def read_statement_log(connection: PgConnection, version: str) -> dict[int, LoggedStatement]:
    """What is known of a version's statements, by position; nothing when no run of it was ever begun."""
    if fetch_value(connection, "select pg_catalog.to_regclass('pgops.statement_log') is null"):
        return {}
    rows = fetch_all(
        connection,
        "select position, sha256, state, context from pgops.statement_log where version = %s order by position",
        [version],
    )
    return {position: LoggedStatement(position, sha256, state, context) for position, sha256, state, context in rows}


def versions_begun(connection: PgConnection) -> frozenset[str]:
    """The versions of which some statements are done and some are not."""
    if fetch_value(connection, "select pg_catalog.to_regclass('pgops.statement_log') is null"):
        return frozenset()
    rows = fetch_all(connection, "select distinct version from pgops.statement_log where position <> %s", [BEFORE_ALL])
    return frozenset(version for (version,) in rows)


def read_half_done(connection: PgConnection) -> list[HalfDoneMigration]:
    """The files that were cut short, and how far each got."""
    if fetch_value(connection, "select pg_catalog.to_regclass('pgops.statement_log') is null"):
        return []
    rows = fetch_all(connection, _HALF_DONE, [BEFORE_ALL])
    return [
        HalfDoneMigration(
            version=version,
            finished=finished,
            begun=shown(begun) if begun else None,
            run_id=run_id,
            recorded_at=recorded_at,
        )
        for version, finished, begun, run_id, recorded_at in rows
    ]


def log_statement(
    connection: PgConnection,
    version: str,
    position: int,
    sha256: str,
    state: Literal["started", "finished"],
    *,
    run_id: str | None,
    context: Mapping[str, Any] | None = None,
    role: str | None = None,
) -> None:
    """Record that a statement begins, or that it ended; what was there when it began is kept.

    :param role: the session's own, as its setting of that name had it when it was opened. The file may have taken another one,
        which may not write here, and which is in force again after the transaction, or after this when none is open.
    """
    execute(
        connection,
        "select pg_catalog.set_config('role', coalesce(%s, pg_catalog.current_setting('role')), true); "
        "insert into pgops.statement_log (version, position, sha256, state, context, run_id) values (%s, %s, %s, %s, %s, %s) "
        "on conflict (version, position) do update set sha256 = excluded.sha256, state = excluded.state, "
        "context = case when excluded.state = 'started' then excluded.context else statement_log.context - 'sql' end, "
        "run_id = excluded.run_id, recorded_at = clock_timestamp()",
        [role, version, position, sha256, state, json.dumps(dict(context or {})), run_id],
    )


def forget_statements(connection: PgConnection, version: str) -> None:
    """Empty the log of a version, as when it is applied as a whole."""
    execute(connection, "delete from pgops.statement_log where version = %s", [version])
