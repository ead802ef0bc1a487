# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scheduled jobs on servers: with pg_cron as Debian builds it, with its stand-in, and without."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import ensure_absent, ensure_started
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.integration.application import Application
from tests.integration.conftest import FAST_SETTINGS
from tests.integration.installations import SUITES, programs_of
from tests.integration.live import LiveProject, NewProject, RunModule

TABLES = """
create table public.errors (id int primary key, at timestamptz not null);
insert into public.errors select i, now() - make_interval(days => i) from generate_series(1, 100) i;
"""
CLEAN_UP = "delete from public.errors where at < now() - interval '90 days'"
JOBS = "select jobname, schedule, command, active, username from cron.job order by jobname"
EVENTS = "select name, run_id, before is null, after is null from pgops.scheduled_job_event order by event_id"
_LONGEST = 180


def job(name: str = "clean up", schedule: str = "0 3 * * *", command: str = CLEAN_UP) -> dict[str, str]:
    return {"name": name, "schedule": schedule, "command": command}


def wait_for(project: LiveProject, query: str, answer: str) -> None:
    """Wait until psql sees it."""
    deadline = time.monotonic() + _LONGEST
    while (found := project.psql(query)) != answer:
        assert time.monotonic() < deadline, f"{query}: {found}"
        time.sleep(0.2)


class Jobs:
    """The module on one project. Its SQL is in nothing that it returns."""

    def __init__(self, project: LiveProject, run_module: RunModule) -> None:
        self.project, self._run_module = project, run_module

    def __call__(self, *jobs: dict[str, str], check: bool = False, **more: Any) -> dict[str, Any]:
        given = {"jobs": list(jobs)} if jobs else {}
        result = self._run_module("scheduled_job", check=check, diff=True, **given, **self.project.login, **more)
        shown = str({name: value for name, value in result.items() if name != "invocation"})
        assert not [one for one in jobs if one.get("command") and one["command"] in shown]
        return result

    def twice(self, *jobs: dict[str, str], **more: Any) -> dict[str, Any]:
        """Predicted in check mode, done, and then nothing to do."""
        state = self.state()
        predicted = self(*jobs, check=True, **more)
        assert predicted["changed"], predicted
        assert self.state() == state
        done = self(*jobs, **more)
        assert done["changed"] and (done["diff"], done["jobs"]) == (predicted["diff"], predicted["jobs"])
        state = self.state()
        for check in (True, False):
            again = self(*jobs, check=check, **more)
            assert not again["changed"] and again["diff"] == {"before": "", "after": ""}
            assert [one["change"] for one in again["jobs"]] == [""] * len(jobs)
        assert self.state() == state
        return done

    def refused(self, code: str, *texts: str, jobs: list[dict[str, str]]) -> None:
        """Each time, checked or not, and nothing is scheduled."""
        state = self.state()
        for check in (True, False, False):
            result = self(*jobs, check=check)
            assert result.get("failed") and not result["changed"], result
            assert result["error"]["code"] == code and result["error"]["outcome"] == "unchanged", result
            assert not [text for text in texts if text not in result["msg"]], result["msg"]
        assert self.state() == state

    def look(self) -> dict[str, Any]:
        found = [self._run_module("scheduled_job_info", **self.project.login) for dummy in range(2)]
        assert found[0] == found[1] and not found[0]["changed"]
        scheduled: dict[str, Any] = found[0]["scheduled"]
        return scheduled

    def state(self) -> tuple[str, str, str]:
        there = self.project.psql("select to_regclass('cron.job') is not null") == "t"
        record = self.project.psql("select to_regclass('pgops.scheduled_job_event') is not null") == "t"
        rows = self.project.psql("select count(*) from public.errors")
        return (self.project.psql(JOBS) if there else "", self.project.psql(EVENTS) if record else "", rows)


@pytest.fixture
def jobs(project: LiveProject, run_module: RunModule) -> Jobs:
    """A project without pg_cron."""
    project.psql(TABLES)
    return Jobs(project, run_module)


@pytest.fixture
def cron_jobs(jobs: Jobs) -> Jobs:
    """A project with the stand-in of pg_cron."""
    jobs.project.psql("create extension pg_cron")
    return jobs


@pytest.fixture(scope="module", params=[*SUITES])
def real_pg_cron(request: pytest.FixtureRequest, server_state: Path) -> Iterator[LiveProject]:
    """A server of Debian's packages with pg_cron itself, which starts a job's worker without a password."""
    state_dir = server_state / f"cron-{request.param}"
    settings = {**FAST_SETTINGS, "cron.use_background_workers": True, "max_worker_processes": 20}
    programs = programs_of(request.param)
    server = ensure_started(state_dir, "one", pg_bin=programs, settings=settings, extensions=["pg_cron"]).project
    assert server is not None
    project = LiveProject(server, "postgres")
    assert "stand-in" not in project.psql(
        "select coalesce(obj_description(oid, 'pg_extension'), '') from pg_extension where extname = 'pg_cron'"
    )
    yield project
    ensure_absent(state_dir, "one")


@pytest.mark.timeout(400)
def test_pg_cron_itself_runs_the_jobs_and_tells_how_they_ended(
    real_pg_cron: LiveProject, run_module: RunModule
) -> None:
    project = real_pg_cron
    project.psql(TABLES)
    assert project.psql("select rolsuper from pg_roles where rolname = current_user") == "f"
    project.psql("select cron.schedule('of somebody else', '0 0 1 1 *', 'select 1')")
    jobs = Jobs(project, run_module)
    # What the first run cannot see fails later: a job outlives what it names.
    project.psql("create table public.short_lived (id int)")
    # Seconds came with pg_cron 1.5.
    has_seconds = project.psql("select extversion >= '1.5' from pg_extension where extname = 'pg_cron'") == "t"
    often = "1 second" if has_seconds else "* * * * *"
    broken = job("broken", often, "select id from public.short_lived")
    jobs.refused("statement", "The SQL of job clean up fails", "division by zero", jobs=[job(command="select 1/0")])
    jobs.refused(
        "statement", "invalid schedule: every day", "Next: Correct its schedule", jobs=[job(schedule="every day")]
    )
    jobs.twice(job(schedule=often), broken, run_id="20260101T000000Z-0001")
    wait_for(project, "select count(*) from public.errors", "89")
    project.psql("drop table public.short_lived")
    failed = "select count(*) > 0 from cron.job_run_details where status = 'failed'"
    wait_for(project, failed, "t")
    jobs.twice(job(), {**broken, "state": "absent"}, run_id="20260101T000000Z-0002")
    wait_for(project, "select count(*) from cron.job_run_details where status in ('starting', 'running')", "0")

    found = jobs.look()
    assert found["others"] == 1 and found["notes"] == []
    [entry] = found["jobs"]
    assert (entry["name"], entry["through"], entry["schedule"]) == ("clean up", "pg_cron", "0 3 * * *")
    assert (entry["run_id"], entry["active"], entry["failed"]) == ("20260101T000000Z-0002", True, 0)
    of_it = "where jobid = (select jobid from cron.job where jobname = 'clean up')"
    assert str(entry["runs"]) == project.psql(f"select count(*) from cron.job_run_details {of_it}")
    assert entry["last_status"] == "succeeded" and entry["last_run_at"].endswith("+00:00")

    project.psql("update cron.job set active = false where jobname = 'clean up'", user=SUPERUSER)
    assert [one["active"] for one in jobs.look()["jobs"]] == [False]
    assert "paused" in jobs.twice(job())["diff"]["before"]
    project.psql("select cron.unschedule('clean up')")
    assert jobs.look()["jobs"] == [] and "taken away by hand" in jobs.look()["notes"][0]
    project.psql("select cron.unschedule('of somebody else'); drop table public.errors")


def test_jobs_are_scheduled_changed_and_taken_away(cron_jobs: Jobs) -> None:
    project = cron_jobs.project
    made = cron_jobs.twice(job(), job("archive", "@weekly", "select 1"))
    assert [one["change"] for one in made["jobs"]] == ["scheduled", "scheduled"]
    assert made["msg"] == "by pg_cron: clean up: scheduled (0 3 * * *); archive: scheduled (@weekly)"
    assert project.psql(JOBS) == f"archive|@weekly|select 1|t|postgres\nclean up|0 3 * * *|{CLEAN_UP}|t|postgres"
    changed = cron_jobs.twice(job(schedule="30 4 * * *"), {"name": "archive", "state": "absent"})
    assert [one["change"] for one in changed["jobs"]] == ["changed", "unscheduled"]
    assert project.psql(JOBS) == f"clean up|30 4 * * *|{CLEAN_UP}|t|postgres"
    before, after = changed["diff"]["before"].splitlines(), changed["diff"]["after"].splitlines()
    assert before[0].startswith("clean up: 0 3 * * * by pg_cron, active, SQL with SHA-256 ")
    assert len(before) == 2 and len(after) == 1
    # Nobody but the roles that work with the project may read the record.
    for role in ("anon", "authenticated", "service_role"):
        assert "permission denied" in project.psql_error(f"set role {role}; select * from pgops.scheduled_job_event")


def test_a_job_of_somebody_else_that_is_as_declared_stays_theirs(cron_jobs: Jobs) -> None:
    cron_jobs.project.psql(f"select cron.schedule('clean up', '0 3 * * *', $${CLEAN_UP}$$)")
    for dummy in range(2):
        assert not cron_jobs(job())["changed"]
    found = cron_jobs.look()
    assert found["jobs"] == [] and found["others"] == 1


def test_sql_is_tried_before_it_is_scheduled(cron_jobs: Jobs) -> None:
    project = cron_jobs.project
    project.psql(
        "create procedure public.in_parts() language plpgsql as $$ begin delete from public.errors; commit; end $$;"
        "alter table public.errors add constraint later unique (at) deferrable initially deferred"
    )
    cases = {
        "select public.no_such_function()": "no_such_function",
        "delete from public.no_such_table": "no_such_table",
        "selec 1": "selec",
        "insert into public.errors select 1000 + id, at from public.errors": "later",
    }
    for command, text in cases.items():
        code = "sql_script" if text == "selec" else "statement"
        cron_jobs.refused(code, text, "State: ", "Next: ", jobs=[job("good", command="select 1"), job(command=command)])
    # Rows are in no message.
    result = cron_jobs(job(command="insert into public.errors select id, at from public.errors where id = 77"))
    assert result["failed"] and "77" not in str({k: v for k, v in result.items() if k != "invocation"})
    for bad in (job(command=""), job(schedule=""), job(name=" "), job(command=" -- nothing\n")):
        cron_jobs.refused("input", "Next: ", jobs=[bad])
    cron_jobs.refused("input", "once", jobs=[job(), job()])
    untried = ["vacuum public.errors", "call public.in_parts()", "begin; delete from public.errors; commit"]
    for number, command in enumerate(untried):
        done = cron_jobs.twice(job(f"untried {number}", command=command))
        assert "not tried" in done["jobs"][0]["note"] and "not tried" in str(done["warnings"])
    assert project.psql("select count(*) from public.errors") == "100"
    # What waits for a lock is not wrong.
    with project_locked(project):
        done = cron_jobs(job("locked"), lock_timeout_seconds=0.2)
    assert done["changed"] and "another session holds a lock" in done["jobs"][0]["note"]


class project_locked:  # noqa: N801
    """Another session holds a lock on the table."""

    def __init__(self, project: LiveProject) -> None:
        self._options = project.options

    def __enter__(self) -> None:
        from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import connect, execute

        self._connection = connect(self._options)
        execute(self._connection, "lock table public.errors in access exclusive mode")

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def test_who_may_not_schedule_is_told_what_to_grant(cron_jobs: Jobs) -> None:
    cron_jobs.project.psql("grant anon to postgres")
    for dummy in range(2):
        result = cron_jobs(job(), session_role="anon")
        assert result["error"]["code"] == "privilege" and 'grant usage on schema cron to "anon"' in result["msg"]


def test_who_may_not_look_is_told_what_is_not_shown(cron_jobs: Jobs, run_module: RunModule) -> None:
    project = cron_jobs.project
    assert cron_jobs(job())["changed"]
    project.psql("grant anon to postgres")

    def look() -> tuple[Any, ...]:
        found = run_module("scheduled_job_info", session_role="anon", **project.login)["scheduled"]
        return found["jobs"], found["others"], *found["notes"]

    for dummy in range(2):
        assert look() == ([], None, "the record of the jobs, in the schema pgops, is not shown to this role")
    project.psql("grant usage on schema pgops to anon; grant select on all tables in schema pgops to anon")
    for dummy in range(2):
        assert look() == ([], None, "job clean up is not shown to this role, which may not read cron.job")


def test_without_pg_cron_there_is_a_record_and_a_timer(jobs: Jobs) -> None:
    project = jobs.project
    jobs.refused("input", "A crontab has no such schedule: 30 seconds", jobs=[job(schedule="30 seconds")])
    jobs.refused("statement", "no_such", jobs=[job(command="select no_such()")])
    made = jobs.twice(job(), run_id="20260101T000000Z-0001", timer_host="one.example")
    assert [made["jobs"][0][key] for key in ("through", "timer", "host")] == ["timer", "present", "one.example"]
    # Another machine leaves the timer where it is.
    for dummy in range(2):
        again = jobs(job(), timer_host="two.example")
        assert not again["changed"] and again["jobs"][0]["host"] == "one.example"
    assert jobs(now="clean up", check=True)["changed"] and project.psql("select count(*) from public.errors") == "100"
    ran = jobs(now="clean up")
    assert ran["changed"] and ran["run"]["status"] == "succeeded"
    assert project.psql("select count(*) from public.errors") == "89"
    project.psql("alter table public.errors rename to problems")
    for dummy in range(2):
        failed = jobs(now="clean up")
        assert failed["failed"] and failed["error"]["outcome"] == "unknown" and "[42P01]" in failed["msg"]
    runs = "select status, sqlstate from pgops.scheduled_job_run order by run_number"
    assert project.psql(runs) == "succeeded|\nfailed|42P01\nfailed|42P01"
    project.psql("alter table public.problems rename to errors")
    [entry] = jobs.look()["jobs"]
    assert (entry["through"], entry["runs"], entry["failed"], entry["last_status"]) == ("timer", 3, 2, "failed")
    for dummy in range(2):
        assert jobs(now="another")["error"]["code"] == "input"
    # Where pg_cron comes later the job moves to it, and the crontab's entry has to go.
    project.psql("create extension pg_cron")
    moved = jobs.twice(job())
    assert [moved["jobs"][0][key] for key in ("change", "through", "timer")] == ["changed", "pg_cron", "absent"]
    gone = jobs.twice({"name": "clean up", "state": "absent"})
    assert gone["jobs"][0]["timer"] == "absent" and jobs.look()["jobs"] == []


@pytest.mark.parametrize("is_cron", [True, False], ids=["pg_cron", "timer"])
def test_a_rollback_takes_back_what_the_run_scheduled(
    is_cron: bool, new_project: NewProject, run_module: RunModule, tmp_path: Path
) -> None:
    for dummy in range(2):
        project = new_project()
        project.psql(TABLES)
        if is_cron:
            project.psql("create extension pg_cron")
        jobs, application = Jobs(project, run_module), Application(project, tmp_path / "supabase")
        jobs(job("earlier"), job("other", command="select 1"), run_id="20260101T000000Z-0001")
        application.migration("20260101000000_wider", "create table public.notes (id int)")
        application.way_back("20260101000000_wider", "drop table public.notes")
        application.applies(run_id="20260101T000000Z-0002")
        mine: dict[str, Any] = {"run_id": "20260101T000000Z-0002"}
        jobs(job("new", command="select count(*) from public.notes"), job("earlier", "5 5 * * *"), **mine)
        jobs(job("touched"), **mine)
        jobs(job("touched", "6 6 * * *"))
        arguments = {"supabase_dir": str(application.directory), "reason": "a test", **project.login}
        state = jobs.state()
        predicted = run_module("rollback", check=True, **arguments)
        assert jobs.state() == state
        done = run_module("rollback", **arguments)
        assert done["changed"], done
        assert done["rollback"]["jobs"] == predicted["rollback"]["jobs"]
        told = {one["name"]: one["change"] or one["note"] for one in done["rollback"]["jobs"]}
        kept = "it was changed since, and stays"
        assert told == {"new": "unscheduled", "earlier": "changed", "touched": kept}
        assert "scheduled jobs: new unscheduled, earlier changed" in done["msg"]
        timers = {one["name"]: one["timer"] for one in done["rollback"]["jobs"]}
        assert timers == {"touched": "", **dict.fromkeys(["new", "earlier"], "")} | (
            {} if is_cron else {"new": "absent", "earlier": "present"}
        )
        left = {entry["name"]: entry["schedule"] for entry in jobs.look()["jobs"]}
        assert left == {"earlier": "0 3 * * *", "other": "0 3 * * *", "touched": "6 6 * * *"}
        if is_cron:
            assert project.psql("select count(*) from cron.job") == "3"
        assert not run_module("rollback", **arguments)["changed"]
