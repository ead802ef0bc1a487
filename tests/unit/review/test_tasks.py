# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tasks are due, and what is known of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.review.documents import Confirmation, Period
from ansible_collections.pgops.supabase.plugins.module_utils.review.job import period_of
from ansible_collections.pgops.supabase.plugins.module_utils.review.tasks import Evidence, require_known, tasks_of

JOB = {"name": "clean up", "schedule": "@daily", "active": True, "last_status": "succeeded"}


@pytest.mark.parametrize(
    ("now", "period"),
    [
        ("2026-01-01T13:00:00.000+00:00", "day1"),
        ("2026-01-08T11:59:59.000+00:00", "day1"),
        ("2026-01-08T12:00:00.000+00:00", "week1"),
        ("2026-01-31T11:59:59.000+00:00", "week1"),
        ("2026-01-31T12:00:00.000+00:00", "month1"),
        ("2028-01-31T12:00:00.000+00:00", "month1"),
    ],
)
def test_the_age_of_the_run_says_which_is_due(now: str, period: str) -> None:
    assert period_of("2026-01-01T12:00:00.000+00:00", now) == period


@pytest.mark.parametrize(("period", "number"), [("day1", 7), ("week1", 12), ("month1", 17)])
def test_tasks_of_earlier_times_are_due_later_too(period: Period, number: int) -> None:
    tasks = tasks_of(Evidence(), period, [])
    assert len(tasks) == number == len({task.name for task in tasks})
    assert {task.state for task in tasks} == {"open", "asked"}
    assert all(task.evidence for task in tasks)


@pytest.mark.parametrize(
    ("task", "evidence", "state"),
    [
        ("checks", {"validation": {"verdict": "PASS", "passed": 3, "failed": 0}}, "done"),
        ("checks", {"validation": {"verdict": "FAIL", "passed": 2, "failed": 1}}, "open"),
        ("checks", {"validation": None}, "open"),
        ("sign_off", {"documents": {"preflight": {"approvals": [{"principal": "dba@example.com"}]}}}, "done"),
        ("sign_off", {"documents": {"preflight": {"approvals": []}}}, "asked"),
        ("types", {"documents": {"types": {"path": "types.ts"}}}, "open"),
        (
            "types",
            {"documents": {"publication": {"pushed": True, "commit": "abc", "remote": "origin", "branch": "main"}}},
            "done",
        ),
        (
            "performance",
            {"monitor": {"state": "finished", "samples": 288, "started_at": "then", "episodes": []}},
            "done",
        ),
        ("performance", {"monitor": {"state": "running", "samples": 3, "started_at": "then"}}, "open"),
        (
            "performance",
            {"monitor": {"state": "timer", "started_at": "2026-01-01T12:00", "last_sample_at": "2026-01-02T12:01"}},
            "done",
        ),
        (
            "performance",
            {"monitor": {"state": "timer", "started_at": "2026-01-01T12:00", "last_sample_at": "2026-01-02T11:00"}},
            "open",
        ),
        (
            "team",
            {"notification": {"deliveries": [{"channel": "a", "status": "delivered", "event": "migrated"}]}},
            "done",
        ),
        (
            "team",
            {"notification": {"deliveries": [{"channel": "a", "status": "failed", "event": "migrated"}]}},
            "asked",
        ),
        (
            "team",
            {"notification": {"deliveries": [{"channel": "a", "status": "delivered", "event": "started"}]}},
            "asked",
        ),
        ("audit_anomalies", {"metrics": [{"name": "audits", "verdict": "PASS"}]}, "done"),
        ("audit_anomalies", {"metrics": [{"name": "audits", "verdict": "FAIL"}]}, "open"),
        ("audit_anomalies", {"metrics": []}, "asked"),
        ("clean_up", {"jobs": [JOB]}, "done"),
        ("clean_up", {"jobs": [JOB, {**JOB, "last_status": "failed"}]}, "open"),
        ("clean_up", {"jobs": [{**JOB, "active": False}]}, "open"),
    ],
)
def test_a_task_is_done_by_its_evidence(task: str, evidence: dict[str, Any], state: str) -> None:
    found = {one.name: one for one in tasks_of(Evidence(**evidence), "month1", [])}
    assert found[task].state == state
    word = Confirmation(task=task, operator="somebody", at="2026-01-01T12:00:00.000+00:00")
    confirmed = {one.name: one for one in tasks_of(Evidence(**evidence), "month1", [word])}
    # What is seen to be done needs nobody's word.
    assert confirmed[task].state == ("done" if state == "done" else "confirmed")
    assert state == "done" or "somebody at 2026-01-01" in confirmed[task].evidence
    others = [dataclasses.asdict(one) for name, one in found.items() if name != task]
    assert others == [dataclasses.asdict(one) for name, one in confirmed.items() if name != task]


def test_only_tasks_are_confirmed() -> None:
    require_known(["logs", "training"])
    with pytest.raises(InputError, match="There is no task tea"):
        require_known(["logs", "tea"])
