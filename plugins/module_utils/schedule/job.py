# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs brought to what the inventory declares, looked at, run at once, and taken back with the run that scheduled them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, PgopsError, State
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    execute,
    fetch_all,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.own_schema import utc_text
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import (
    message_without_values,
    server_error,
    short_transaction,
    taken_back,
)
from ansible_collections.pgops.supabase.plugins.module_utils.schedule import pg_cron
from ansible_collections.pgops.supabase.plugins.module_utils.schedule.documents import (
    Author,
    Change,
    Definition,
    JobChange,
    JobEntry,
    JobRun,
    ScheduledJobs,
    Timer,
    WantedJob,
)
from ansible_collections.pgops.supabase.plugins.module_utils.schedule.record import (
    JobEvent,
    append_event,
    append_run,
    newest_by_name,
    read_events,
)
from ansible_collections.pgops.supabase.plugins.module_utils.schedule.timer import require_crontab_schedule
from ansible_collections.pgops.supabase.plugins.module_utils.schedule.trial import try_out

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

_TIMER_RUNS = f"""
select count(*), count(*) filter (where status = 'failed'), {utc_text('max(started_at)')},
    (array_agg(status order by run_number desc))[1]
from pgops.scheduled_job_run where name = %s
"""


def bring(
    options: ConnectionOptions, wanted: Sequence[WantedJob], author: Author, *, pretend: bool, settings: SessionSettings
) -> tuple[list[JobChange], dict[str, tuple[str, str]]]:
    """Have the jobs be as declared, all in one transaction, and record what was done.

    What was not there or differs is tried first: its SQL is executed and rolled back. A job of the same name that somebody
    else scheduled is left alone where it is as declared, and brought to that where it is not.

    :param pretend: only say what would be done; the SQL is tried all the same.
    :returns: what was done, and each job that changed in words, before and after.
    :raises InputError: when a declaration is not usable, or two have one name.
    :raises StatementFailed: when the SQL of a job fails, or pg_cron refuses its schedule; nothing is scheduled then.
    :raises PrivilegeError: when the role may not schedule.
    """
    _require_declarations(wanted)
    changes, shown = [], {}
    with session(options, settings, autocommit=True) as connection, short_transaction(connection):
        is_cron = pg_cron.is_there(connection)
        if is_cron:
            pg_cron.require_usable(connection)
        events = read_events(connection)
        for job in wanted:
            before = _present(connection, job.name, events, is_cron=is_cron)
            after = _definition_of(job, author, before, is_cron=is_cron)
            change = _described(job.name, before, after, events, is_cron=is_cron)
            changes.append(change)
            if change.change:
                shown[job.name] = (before.in_words if before else "", after.in_words if after else "")
                if after is not None and (before is None or before.command != after.command):
                    change.note = try_out(options, job.name, after.command, settings)
                _write(connection, job.name, before, after)
                append_event(connection, job.name, author, before, after)
        if pretend:
            # What pg_cron says of a schedule is known by now.
            execute(connection, "rollback; begin")
    return changes, shown


def _described(
    name: str, before: Definition | None, after: Definition | None, events: Sequence[JobEvent], *, is_cron: bool
) -> JobChange:
    return JobChange(
        name=name,
        change=_change(before, after),
        through="pg_cron" if is_cron else "timer",
        schedule=after.schedule if after else None,
        host=(after or before or _NONE).host,
        timer=_timer(name, events, after),
    )


_NONE = Definition(through="pg_cron", schedule="", command="")


def _require_declarations(wanted: Sequence[WantedJob]) -> None:
    names = [job.name for job in wanted]
    for job in wanted:
        if not job.name.strip() or job.name != " ".join(job.name.split()) or names.count(job.name) > 1:
            raise InputError(
                f"{job.name!r} is no name of a job: it has to be there, on one line, and once",
                where="project_scheduled_jobs",
                next_step="Give each job a name of its own.",
            )
        if not job.absent and not (job.schedule and job.command):
            raise InputError(
                f"Job {job.name} lacks its {'command' if job.schedule else 'schedule'}",
                where=f"job {job.name}",
                next_step="Give schedule and command, or state: absent.",
            )


def _definition_of(job: WantedJob, author: Author, before: Definition | None, *, is_cron: bool) -> Definition | None:
    if job.absent:
        return None
    schedule, command = str(job.schedule).strip(), str(job.command).strip()
    if is_cron:
        return Definition(through="pg_cron", schedule=schedule, command=command)
    require_crontab_schedule(job.name, schedule)
    # Who else runs the same declaration leaves the timer on the machine where it is.
    host = before.host if before is not None and before.through == "timer" else author.timer_host
    return Definition(through="timer", schedule=schedule, command=command, host=host)


def _present(connection: PgConnection, name: str, events: Sequence[JobEvent], *, is_cron: bool) -> Definition | None:
    """The job as it is now; of a timer the record knows, of pg_cron its own table."""
    there = pg_cron.read(connection, name) if is_cron else None
    last = newest_by_name(events).get(name)
    timed = last.after if last is not None and last.after is not None and last.after.through == "timer" else None
    return there or timed


def _change(before: Definition | None, after: Definition | None) -> Change:
    if before == after:
        return ""
    if after is None:
        return "unscheduled"
    return "scheduled" if before is None else "changed"


def _timer(name: str, events: Sequence[JobEvent], after: Definition | None) -> Timer:
    """What the crontab has to have of a job that is or was in one."""
    if after is not None and after.through == "timer":
        return "present"
    return "absent" if any(e.name == name and e.after and e.after.through == "timer" for e in events) else ""


def _write(connection: PgConnection, name: str, before: Definition | None, after: Definition | None) -> None:
    """Bring pg_cron from one to the other; a timer is the crontab's, of which there is the record only.

    :raises StatementFailed: when pg_cron refuses, the schedule above all.
    """
    import psycopg2

    is_cron = [definition is not None and definition.through == "pg_cron" for definition in (before, after)]
    if not any(is_cron):
        return
    try:
        pg_cron.write(connection, name, after if is_cron[1] else None)
    except psycopg2.Error as error:
        raise server_error(
            error,
            f"Job {name} could not be {'scheduled' if after else 'unscheduled'}",
            f"job {name}",
            state=State("nothing was scheduled"),
            otherwise="Correct its schedule in project_scheduled_jobs, then run again.",
        ) from error


def take_back(connection: PgConnection, run_ids: Collection[str], author: Author) -> list[JobChange]:
    """Unschedule what these runs scheduled, and bring back what they changed, in the caller's transaction.

    A job that somebody has changed since stays, and is said so. What pg_cron refuses stays too: a job is no reason to keep
    a migration that has to go.
    """
    import psycopg2

    events = read_events(connection)
    is_cron = pg_cron.is_there(connection)
    is_hidden = is_cron and not pg_cron.is_shown(connection)
    done = []
    for name in dict.fromkeys(event.name for event in events if event.run_id in run_ids):
        own = [event for event in events if event.name == name and event.run_id in run_ids]
        if is_hidden and any(d is not None and d.through == "pg_cron" for d in (own[0].before, own[-1].after)):
            note = "it stays, because this role may not read cron.job"
            done.append(JobChange(name=name, change="", through="pg_cron", schedule=None, host=None, note=note))
            continue
        before, there = own[0].before, _present(connection, name, events, is_cron=is_cron and not is_hidden)
        kind = (there or own[-1].after or _NONE).through
        change = JobChange(name=name, change="", through=kind, schedule=None, host=(there or _NONE).host)
        if there == before:
            continue
        done.append(change)
        if there != own[-1].after:
            change.note = "it was changed since, and stays"
            continue
        execute(connection, "savepoint pgops_job")
        try:
            pg_cron_touched = [d for d in (there, before) if d is not None and d.through == "pg_cron"]
            if pg_cron_touched and is_cron:
                pg_cron.write(connection, name, before if before and before.through == "pg_cron" else None)
            append_event(connection, name, author, there, before)
            change.change, change.schedule = _change(there, before), before.schedule if before else None
            change.timer = _timer(name, events, before)
        except psycopg2.Error as error:
            if connection.closed:
                raise
            execute(connection, "rollback to savepoint pgops_job")
            change.note = f"it stays, because the server refused: {message_without_values(error)}"
        execute(connection, "release savepoint pgops_job")
    return done


def look(options: ConnectionOptions) -> ScheduledJobs:
    """What is scheduled, and how it ran. Reads only; what the role may not see is left out and said."""
    with session(options, SessionSettings(read_only=True)) as connection:
        return read_jobs(connection)


def read_jobs(connection: PgConnection) -> ScheduledJobs:
    """The same in a session that is open."""
    is_cron = pg_cron.is_there(connection)
    is_shown = is_cron and pg_cron.is_shown(connection)
    found = ScheduledJobs(jobs=[], others=None if is_cron and not is_shown else 0)
    events = _shown_events(connection, found)
    in_pg_cron = 0
    for name, event in sorted(newest_by_name(events).items()):
        if event.after is None:
            continue
        if event.after.through == "pg_cron" and is_cron and not is_shown:
            found.notes.append(f"job {name} is not shown to this role, which may not read cron.job")
            continue
        there = _present(connection, name, events, is_cron=is_shown)
        if there is None or (event.after.through == "pg_cron" and not is_cron):
            found.notes.append(
                f"job {name} was taken away by hand; run {event.run_id or 'of a person'} had scheduled it"
            )
            continue
        in_pg_cron += there.through == "pg_cron"
        if there.through == "pg_cron":
            ran, failed, last, status = pg_cron.runs_of(connection, name)
        else:
            ran, failed, last, status = fetch_all(connection, _TIMER_RUNS, [name])[0]
        entry = JobEntry(
            name=name,
            through=there.through,
            schedule=there.schedule,
            active=there.active,
            run_id=event.run_id,
            operator=event.operator,
            scheduled_at=event.recorded_at,
            host=there.host,
            runs=ran,
            failed=failed,
            last_run_at=last,
            last_status=status,
        )
        found.jobs.append(entry)
    if is_shown:
        found.others = pg_cron.count_all(connection) - in_pg_cron
    return found


def _shown_events(connection: PgConnection, found: ScheduledJobs) -> list[JobEvent]:
    import psycopg2.errors

    try:
        with taken_back(connection, "pgops_jobs"):
            return read_events(connection)
    except psycopg2.errors.InsufficientPrivilege:
        found.notes.append("the record of the jobs, in the schema pgops, is not shown to this role")
        return []


def run_now(options: ConnectionOptions, name: str, settings: SessionSettings) -> JobRun:
    """Run a job once, as its timer does: its SQL as one message to the server, in autocommit mode. How it ended is recorded.

    :raises InputError: when there is no such job on record.
    :raises StatementFailed: when its SQL fails; what that had committed before stays.
    """
    import psycopg2

    with session(options, settings, autocommit=True) as connection:
        events = read_events(connection)
        job = _present(connection, name, events, is_cron=pg_cron.is_there(connection))
        if job is None or name not in newest_by_name(events):
            raise InputError(
                f"No run has scheduled a job {name} here",
                where=options.place,
                next_step="Look at the jobs: ansible-playbook pgops.supabase.status -l PROJECT.",
            )
        run = JobRun(name=name, status="succeeded", started_at=utc_now(), duration_seconds=0.0)
        began = time.monotonic()
        failure: PgopsError | None = None
        try:
            execute(connection, job.command)
        except psycopg2.Error as error:
            failure = server_error(
                error,
                f"The SQL of job {name} failed",
                f"job {name}",
                state=State(
                    "the statement that failed did nothing; what the job had committed before it stays", "unknown"
                ),
                otherwise="Correct its command in project_scheduled_jobs, and bring it: "
                "ansible-playbook pgops.supabase.scheduled_job.",
            )
            run.status, run.error = "failed", failure.as_dict()
        run.duration_seconds = round(time.monotonic() - began, 3)
    # The job's own session may be lost, or in whatever its SQL has set.
    with session(options, settings, autocommit=True) as connection:
        append_run(connection, run)
    if failure is not None:
        failure.details["result"] = {"changed": True, "run": {**run.as_dict(), "error": None}}
        raise failure
    return run
