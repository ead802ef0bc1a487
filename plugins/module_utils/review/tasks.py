# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks of the time after a migration: what of them is done, by evidence or by somebody's word. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.review.documents import (
    PERIODS,
    Confirmation,
    Period,
    Task,
    TaskState,
)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a review found. ``documents`` are those of the run, ``monitor`` the record of the watch."""

    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notification: Mapping[str, Any] = field(default_factory=dict)
    monitor: Mapping[str, Any] = field(default_factory=dict)
    # As the module returned it now; None where there is no script, or it could not be run.
    validation: Mapping[str, Any] | None = None
    metrics: Sequence[Mapping[str, Any]] | None = None
    jobs: Sequence[Mapping[str, Any]] = ()
    unused_indexes: int | None = None
    unread_made_indexes: int = 0
    policy_findings: int = 0


Judged = tuple[TaskState, str]
_NOT_SEEN = "only people know"


def tasks_of(evidence: Evidence, period: Period, confirmed: Sequence[Confirmation]) -> list[Task]:
    """The tasks that are due by then, in their order."""
    due = PERIODS[: PERIODS.index(period) + 1]
    said = {one.task: one for one in confirmed}
    tasks = []
    for when, name, what, judge in _TASKS:
        if when not in due:
            continue
        judged: Judged = judge(evidence) if judge else ("asked", "")
        state, found = judged
        if state in ("asked", "open") and name in said:
            state, found = "confirmed", f"{said[name].operator} at {said[name].at}" + (f"; {found}" if found else "")
        elif state == "asked":
            found = found or _NOT_SEEN
        tasks.append(Task(name=name, period=when, what=what, state=state, evidence=found))
    return tasks


def require_known(names: Sequence[str]) -> None:
    """What is confirmed has to be a task.

    :raises InputError: when it is none.
    """
    known = [name for _when, name, _what, _judge in _TASKS]
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            f"There is no task {', '.join(unknown)}",
            where="review_done",
            next_step=f"The tasks are: {', '.join(known)}.",
        )


def _checks(evidence: Evidence) -> Judged:
    found = evidence.validation
    if found is None or found.get("verdict") is None:
        return "open", "no validation script could be run"
    said = f"{found.get('passed', 0)} passed, {found.get('failed', 0)} failed, {found.get('warnings', 0)} warnings, just now"
    return ("open" if found.get("failed") else "done"), said


def _watch(evidence: Evidence) -> Judged:
    watch = evidence.monitor
    if not watch:
        return "open", "nobody has watched it: ansible-playbook pgops.supabase.monitor"
    episodes = watch.get("episodes", [])
    counted = f"{number(watch.get('samples', 0), 'sample')} since {watch.get('started_at')}"
    said = f"{watch.get('state')}: {counted}, {number(len(episodes), 'episode')}"
    # A timer's watch has no end.
    is_done = watch.get("state") == "finished" or watch.get("state") == "timer" and _lasted(watch) >= timedelta(days=1)
    return ("done" if is_done else "open"), said


def _lasted(watch: Mapping[str, Any]) -> timedelta:
    first, last = watch.get("started_at"), watch.get("last_sample_at")
    return datetime.fromisoformat(last) - datetime.fromisoformat(first) if first and last else timedelta()


def _team(evidence: Evidence) -> Judged:
    told = [
        delivery["channel"]
        for delivery in evidence.notification.get("deliveries", [])
        if delivery.get("status") == "delivered" and delivery.get("event") in (None, "migrated")
    ]
    return ("done", f"the message arrived on {', '.join(dict.fromkeys(told))}") if told else ("asked", "")


def _signed(evidence: Evidence) -> Judged:
    approvals = evidence.documents.get("preflight", {}).get("approvals") or []
    names = ", ".join(dict.fromkeys(approval["principal"] for approval in approvals))
    return ("done", f"the plan was signed by {names}") if names else ("asked", "nobody has signed the plan")


def _published(evidence: Evidence) -> Judged:
    types, published = evidence.documents.get("types", {}), evidence.documents.get("publication", {})
    if published.get("pushed"):
        said = f"{published['commit'][:12]} on {published['remote']}/{published['branch']}"
        return "done", f"types and run in {said}" if types else f"the run in {said}"
    if types:
        return "open", f"{types['path']} was generated, and is not pushed: ansible-playbook pgops.supabase.publish"
    return "asked", "the run has generated no types, and was not published"


def _anomalies(evidence: Evidence) -> Judged:
    if not evidence.metrics:
        return "asked", "no metrics are declared (project_monitor.metrics)"
    wrong = [metric for metric in evidence.metrics if metric.get("verdict") != "PASS"]
    said = f"{len(evidence.metrics) - len(wrong)} of {number(len(evidence.metrics), 'metric')} are as expected"
    if wrong:
        return "open", f"{said}; not so: {', '.join(str(metric['name']) for metric in wrong)}"
    return "done", said


def _jobs(evidence: Evidence) -> Judged:
    if not evidence.jobs:
        return "open", "no run has scheduled a job (project_scheduled_jobs)"
    failing = [job["name"] for job in evidence.jobs if job.get("last_status") == "failed"]
    idle = [job["name"] for job in evidence.jobs if not job.get("active")]
    said = ", ".join(f"{job['name']} ({job['schedule']})" for job in evidence.jobs)
    if failing or idle:
        return "open", f"{said}; failed last: {', '.join(failing) or 'none'}; paused: {', '.join(idle) or 'none'}"
    return "done", said


def _policies(evidence: Evidence) -> Judged:
    return "asked", f"{number(evidence.policy_findings, 'finding')} below"


def _indexes(evidence: Evidence) -> Judged:
    unused = "not known" if evidence.unused_indexes is None else str(evidence.unused_indexes)
    return "asked", f"not read yet: {evidence.unread_made_indexes} that the run made, {unused} of all"


def _archiving(evidence: Evidence) -> Judged:
    return "asked", "the largest tables are below; how old their rows are nobody but you knows"


_TASKS: Sequence[tuple[Period, str, str, Any]] = (
    ("day1", "checks", "Every check of the validation scripts passes", _checks),
    ("day1", "sign_off", "The run is signed off", _signed),
    ("day1", "types", "Types and evidence are in the repository", _published),
    ("day1", "logs", "The application's logs show no new errors", None),
    ("day1", "performance", "The database was watched over the first day", _watch),
    ("day1", "documentation", "The documentation tells of what is new", None),
    ("day1", "team", "The team knows what is new", _team),
    ("week1", "audit_anomalies", "Nothing is odd in what the new tables collect", _anomalies),
    ("week1", "dashboard", "A dashboard shows the errors that are collected", None),
    ("week1", "clean_up", "Old rows are cleaned up by a job", _jobs),
    ("week1", "training", "Those who help users know what is new", None),
    ("week1", "query_examples", "The team has examples of queries", None),
    ("month1", "audit_insights", "What the collected rows tell was looked at", None),
    ("month1", "policies", "Row level security does what it should", _policies),
    ("month1", "indexes", "Indexes were held against their use", _indexes),
    ("month1", "archiving", "It is decided how long rows are kept, and where old ones go", _archiving),
    ("month1", "categories", "The kinds of errors still fit", None),
)
