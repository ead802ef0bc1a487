# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of pg_cron as SQL: they lie in its own table, which pg_dump leaves to the extension and a restore must not write to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.identifiers import literal

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

CRON_JOBS_NAME = "cron-jobs.sql"
# pg_cron schedules a job for the session's own user (github.com/citusdata/pg_cron, cron.schedule).
_JOBS = """
select jobname, schedule, command, active from cron.job
where username = current_user and database = current_database() order by jobid
"""
_HEAD = (
    "-- The jobs of pg_cron that belonged to the role of the backup. Those that are there already stay as they are.\n"
)


def read_cron_jobs(connection: PgConnection) -> tuple[str, int]:
    """The session's own jobs as a script that has them be there, and how many; run twice it changes nothing.

    There are none where pg_cron is not there, or where the role may not read its jobs.
    """
    import psycopg2

    execute(connection, "savepoint pgops_cron_jobs")
    try:
        if fetch_value(connection, "select pg_catalog.to_regclass('cron.job') is null"):
            return "", 0
        jobs = fetch_all(connection, _JOBS)
    except psycopg2.Error:
        if connection.closed:
            raise
        execute(connection, "rollback to savepoint pgops_cron_jobs")
        return "", 0
    finally:
        if not connection.closed:
            execute(connection, "release savepoint pgops_cron_jobs")
    return _HEAD + "".join(_statements(*job) for job in jobs) if jobs else "", len(jobs)


def schedule_cron_jobs(connection: PgConnection, directory: Path) -> str | None:
    """Have the jobs of a backup be there again, in the open transaction; what has to be said of it, None of a backup without jobs.

    A job that is refused costs no restore: the script is there for a person.
    """
    import psycopg2

    script = directory / CRON_JOBS_NAME
    if not script.is_file():
        return None
    execute(connection, "savepoint pgops_cron_jobs")
    try:
        execute(connection, script.read_text(encoding="utf-8"))
    except psycopg2.Error as error:
        if connection.closed:
            raise
        execute(connection, "rollback to savepoint pgops_cron_jobs")
        reason = error.diag.message_primary or "the server refused"
        return f"the cron jobs did not come back ({reason}): {CRON_JOBS_NAME} in the backup brings them, with psql"
    finally:
        if not connection.closed:
            execute(connection, "release savepoint pgops_cron_jobs")
    return f"the cron jobs of the backup are scheduled, beside those that came since ({CRON_JOBS_NAME})"


def _statements(name: str | None, schedule: str, command: str, active: bool) -> str:
    when, what = literal(schedule), literal(command)
    if name is not None:
        same = f"jobname = {literal(name)} and username = current_user"
        lines = [f"select cron.schedule({literal(name)}, {when}, {what});"]
    else:
        same = f"jobname is null and schedule = {when} and command = {what} and username = current_user"
        lines = [f"select cron.schedule({when}, {what}) where not exists (select from cron.job where {same});"]
    lines.append(f"select cron.alter_job(jobid, active := {str(active).lower()}) from cron.job where {same};")
    return "\n".join(lines) + "\n"
