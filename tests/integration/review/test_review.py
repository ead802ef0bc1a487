# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A review of a run, on a server: what it finds of indexes, policies, tables, jobs and tasks; and the playbook."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject, RunModule

# In every way in which a policy may be slow or never matter, and as it should be.
MIGRATION = """
create table public.notes (id int primary key, owner uuid not null, team int, body text);
create index notes_owner on public.notes (owner);
create index notes_team on public.notes (team);
create unique index notes_body on public.notes (body);
create index "notes Odd" on public.notes (id, team);
alter table public.notes enable row level security;
create policy by_the_advice on public.notes for select to authenticated using (owner = (select auth.uid()));
create policy row_by_row on public.notes for update to authenticated using (owner = auth.uid());
create policy also_row_by_row on public.notes for update to authenticated using (team = 1);
create table public.closed (id int);
alter table public.closed enable row level security;
create table public.open (id int);
create policy has_no_effect on public.open for select to authenticated using (true);
create table public.no_rights (id int);
alter table public.no_rights enable row level security;
create policy not_reached on public.no_rights for delete to anon using (true);
revoke all on public.no_rights from anon;
grant select on public.no_rights to anon;
insert into public.no_rights values (1);
"""
ROWS = """
insert into public.notes select i, gen_random_uuid(), i % 9, 'body ' || i from generate_series(1, 5000) i;
insert into public.open values (1);
set enable_seqscan = off;
select count(*) from public.notes where team = 3;
"""


class Reviewed:
    """A project with a run, and the module."""

    def __init__(self, application: Application, run_module: RunModule) -> None:
        self.application, self._run_module = application, run_module
        project = application.project
        project.psql(TABLES)
        record: dict[str, Any] = {"state_dir": str(application.state_dir), "project": "shop"}
        self.run_dir = Path(run_module("run_record", **record)["run_dir"])
        application.migration("20260101000000_notes", MIGRATION)
        done = application.apply(run_id=self.run_dir.name, run_dir=str(self.run_dir))
        assert done["changed"], done
        run_module("row_counts", stage="after", run_dir=str(self.run_dir), **project.login)
        run_module("run_record", state="finished", run_dir=str(self.run_dir))

    def __call__(self, check: bool = False, **more: Any) -> dict[str, Any]:
        login = self.application.project.login
        return self._run_module("review", check=check, run_dir=str(self.run_dir), **login, **more)

    def twice(self, **more: Any) -> dict[str, Any]:
        """Each time the same, but for the time, and nothing in the database is different."""
        before = self.application.snapshot()
        results = [self(check=True, **more), self(**more), self(**more)]
        assert self.application.snapshot() == before
        assert not [result for result in results if result.get("failed")], results
        found = [{**result["review"], "reviewed_at": ""} for result in results]
        assert found[1] == found[2]
        assert not results[2]["changed"]
        document: dict[str, Any] = json.loads((Path(results[2]["review_dir"]) / "review.json").read_text())
        assert document == results[2]["review"]
        return results[2]

    def tasks(self, **more: Any) -> dict[str, str]:
        return {task["name"]: task["state"] for task in self.twice(**more)["review"]["tasks"]}


@pytest.fixture
def reviewed(project: LiveProject, run_module: RunModule, tmp_path: Path) -> Reviewed:
    return Reviewed(Application(project, tmp_path / "supabase"), run_module)


def test_what_the_database_says(reviewed: Reviewed) -> None:
    project = reviewed.application.project
    project.psql(ROWS)
    # In a session of its own: what the other inserted is counted by now.
    project.psql("analyze public.notes")
    assert not reviewed(check=True).get("failed") and not (reviewed.run_dir / "review").exists()
    found = reviewed.twice(period="month1")["review"]
    indexes = {index["name"]: index for index in found["indexes"]}
    assert set(indexes) == {
        *(f"public.notes_{name}" for name in ("owner", "team", "body", "pkey")),
        'public."notes Odd"',
    }
    by_psql = dict(
        line.split("|")
        for line in project.psql(
            "select schemaname || '.' || quote_ident(indexrelname), idx_scan from pg_stat_user_indexes where relname = 'notes'"
        ).splitlines()
    )
    assert {name: str(index["scans"]) for name, index in indexes.items()} == {name: by_psql[name] for name in indexes}
    assert indexes["public.notes_team"]["scans"] > 0 == indexes["public.notes_owner"]["scans"]
    assert indexes["public.notes_body"]["keeps_constraint"] and not indexes["public.notes_owner"]["keeps_constraint"]

    policies = {(one["table"], one["policy"]): one["says"] for one in found["policies"]}
    assert set(policies) == {
        ("public.notes", "row_by_row"),
        ("public.notes", "also_row_by_row, row_by_row"),
        ("public.closed", ""),
        ("public.open", "has_no_effect"),
        ("public.no_rights", "not_reached"),
    }
    assert "auth.uid() is asked for each row" in policies["public.notes", "row_by_row"]
    assert "there is no policy" in policies["public.closed", ""]
    assert "row level security is off" in policies["public.open", "has_no_effect"]
    assert "anon may not delete there anyway" in policies["public.no_rights", "not_reached"]
    [notes] = [table for table in found["growth"] if table["name"] == "public.notes"]
    assert (notes["rows_then"], notes["rows_now_estimate"]) == (0, 5000)
    assert str(notes["bytes"]) == project.psql("select pg_total_relation_size('public.notes')")
    assert any("counts no use of a policy" in text for text in found["not_seen"])
    assert any("health_info was not asked" in text for text in found["not_seen"])

    project.psql("drop index public.notes_owner")
    gone = {index["name"]: index["scans"] for index in reviewed.twice()["review"]["indexes"]}
    assert gone["public.notes_owner"] is None


def test_tasks_are_done_by_evidence_or_by_somebodys_word(reviewed: Reviewed, run_module: RunModule) -> None:
    project = reviewed.application.project
    assert set(reviewed.tasks().values()) == {"open", "asked"}
    assert "training" not in reviewed.tasks() and reviewed.tasks(period="week1")["training"] == "asked"
    script = reviewed.application.validation("select 'PASS: all is well' as verdict;")
    validation = run_module("validation", files=[str(script)], **project.login)["validation"]
    project.psql("create extension pg_cron")
    jobs = [{"name": "clean up", "schedule": "@daily", "command": "select 1"}]
    run_module("scheduled_job", jobs=jobs, run_id=reviewed.run_dir.name, **project.login)
    metric = {"name": "audits", "verdict": "FAIL", "message": "it is not true", "value": 3.0, "expect": "x"}
    health: dict[str, Any] = {
        "sample": {"metrics": [metric]},
        "unused_indexes": [
            {"name": "public.orders_pkey", "table": "public.orders", "bytes": 8192, "scans": 0, "same_as": []}
        ],
        "duplicate_indexes": [],
        "not_seen": ["nothing of a replica"],
    }
    given = {"validation": validation, "health": health}
    watch = {"state": "finished", "samples": 288, "started_at": "2026-01-01", "episodes": []}
    (reviewed.run_dir / "monitor.json").write_text(json.dumps(watch))
    states = reviewed.tasks(period="week1", **given)
    for name, state in {"checks": "done", "performance": "done", "clean_up": "done", "audit_anomalies": "open"}.items():
        assert states[name] == state

    assert reviewed(check=True, done=["logs"])["changed"] and reviewed.tasks()["logs"] == "asked"
    assert reviewed(done=["logs", "training"])["changed"] and not reviewed(done=["logs"])["changed"]
    states = reviewed.tasks(period="month1", **given)
    assert states["logs"] == states["training"] == "confirmed" and states["categories"] == "asked"
    [logs] = [task for task in reviewed(**given)["review"]["tasks"] if task["name"] == "logs"]
    confirmed = json.loads((reviewed.run_dir / "review" / "done.json").read_text())["confirmed"]
    assert f"{confirmed[0]['operator']} at {confirmed[0]['at']}" == logs["evidence"]

    directory = reviewed.run_dir / "review" / "month1"
    assert sorted(path.name for path in directory.iterdir()) == ["review.html", "review.json", "review.md"]
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for name in ("review.md", "review.html"):
        text = (directory / name).read_text()
        for part in ("public.orders_pkey", "it is not true", "clean up", "nothing of a replica", "public.notes_owner"):
            assert part in text, (name, part)
    page = (directory / "review.html").read_text()
    assert "<script" not in page and "Content-Security-Policy" in page


def test_what_cannot_be_reviewed_is_said(reviewed: Reviewed, run_module: RunModule, tmp_path: Path) -> None:
    for dummy in range(2):
        unknown = reviewed(done=["tea"])
        assert unknown["error"]["code"] == "input" and "The tasks are: checks, " in unknown["msg"]
        empty = run_module("review", run_dir=str(tmp_path), **reviewed.application.project.login)
        assert empty["error"]["code"] == "input" and "not the directory of a run" in empty["msg"]
    record: dict[str, Any] = {"state_dir": str(reviewed.application.state_dir), "project": "shop"}
    running = run_module("run_record", **record)["run_dir"]
    for dummy in range(2):
        refused = run_module("review", run_dir=running, **reviewed.application.project.login)
        assert refused["error"]["code"] == "input" and "has migrated nothing" in refused["msg"]
    # A role that may see little is told little, and no error.
    little = reviewed(session_role="anon")
    assert not little.get("failed"), little


def test_the_playbook_reviews_the_last_run_and_fails_for_nothing_that_it_finds(reviewed: Reviewed) -> None:
    application = reviewed.application
    application.validation("select 'FAIL: the total is wrong' as verdict;")
    # A run that was opened and never ended is not the one.
    metrics = [{"name": "notes", "query": "select count(*) as n from public.notes", "expect": "[0].n > `0`"}]
    for dummy in range(2):
        played = application.play("review", project_monitor={"metrics": metrics}, review_done=["logs"])
        assert played.returncode == 0, played.stdout + played.stderr
        document = json.loads((reviewed.run_dir / "review" / "day1" / "review.json").read_text())
        states = {task["name"]: task["state"] for task in document["tasks"]}
        assert (states["checks"], states["logs"]) == ("open", "confirmed")
        assert [metric["verdict"] for metric in document["metrics"]] == ["FAIL"]
        assert "1 failed" in [task["evidence"] for task in document["tasks"] if task["name"] == "checks"][0]
    assert application.play("review", project_state_dir=str(application.directory / "none")).returncode == 0
