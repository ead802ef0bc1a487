# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of pg_cron, through its own functions, as the session's own role (github.com/citusdata/pg_cron, README)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import PrivilegeError
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.own_schema import utc_text
from ansible_collections.pgops.supabase.plugins.module_utils.schedule.documents import Definition

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

_SHOWN = """
select case when pg_catalog.has_schema_privilege('cron', 'usage') then pg_catalog.has_table_privilege('cron.job', 'select') else false end
"""
_MAY = """
select pg_catalog.has_function_privilege('cron.schedule(text, text, text)', 'execute')
    and pg_catalog.has_function_privilege('cron.unschedule(bigint)', 'execute')
"""
# A job belongs to the role that scheduled it, and its name is that role's own.
_OWN = "from cron.job where jobname = %s and username = current_user and database = pg_catalog.current_database()"
_RUNS = f"""
select count(*), count(*) filter (where d.status = 'failed'), {utc_text('max(d.start_time)')},
    (array_agg(d.status order by d.start_time desc nulls last, d.runid desc))[1]
from cron.job_run_details d where d.jobid = (select jobid {_OWN})
"""


def is_there(connection: PgConnection) -> bool:
    """Whether pg_cron is in this database: it can be in one of a server (its setting C(cron.database_name))."""
    return bool(
        fetch_value(connection, "select exists (select from pg_catalog.pg_extension where extname = 'pg_cron')")
    )


def is_shown(connection: PgConnection) -> bool:
    """Whether the role may read the jobs of pg_cron, which is there; who may not use its schema may not even ask for the table."""
    return bool(fetch_value(connection, _SHOWN))


def require_usable(connection: PgConnection) -> None:
    """The role has to be allowed to schedule.

    :raises PrivilegeError: when it is not.
    """
    if not is_shown(connection) or not fetch_value(connection, _MAY):
        role = fetch_value(connection, "select current_user")
        raise PrivilegeError(
            f"pg_cron is in this database, and role {role} may not schedule with it",
            where="schema cron",
            next_step=f'Give it the right, as the extension\'s owner: grant usage on schema cron to "{role}"; '
            f'grant select on cron.job to "{role}"; grant execute on all functions in schema cron to "{role}".',
        )


def read(connection: PgConnection, name: str) -> Definition | None:
    """The role's own job of that name, None when there is none."""
    rows = fetch_all(connection, f"select schedule, command, active {_OWN}", [name])
    if not rows:
        return None
    schedule, command, active = rows[0]
    return Definition(through="pg_cron", schedule=schedule, command=command, active=active)


def write(connection: PgConnection, name: str, wanted: Definition | None) -> None:
    """Have the job be so, in the caller's transaction; None takes it away."""
    present = read(connection, name)
    # Scheduling it again leaves a paused job paused, and not every role that may schedule may alter jobs.
    if present is not None and (wanted is None or not present.active):
        execute(connection, f"select cron.unschedule(jobid) {_OWN}", [name])
    if wanted is None:
        return
    execute(connection, "select cron.schedule(%s::text, %s::text, %s::text)", [name, wanted.schedule, wanted.command])
    if not wanted.active:
        execute(connection, f"select cron.alter_job(jobid, active := false) {_OWN}", [name])


def runs_of(connection: PgConnection, name: str) -> tuple[int, int, str | None, str | None]:
    """How often it ran, how often it failed, when it last began, and how that ended, of what pg_cron has kept."""
    if not fetch_value(connection, "select pg_catalog.has_table_privilege('cron.job_run_details', 'select')"):
        return 0, 0, None, None
    ran, failed, last, status = fetch_all(connection, _RUNS, [name])[0]
    return int(ran), int(failed), last, status


def count_all(connection: PgConnection) -> int:
    """How many jobs the role sees. Without BYPASSRLS these are its own."""
    return int(fetch_value(connection, "select count(*) from cron.job"))
