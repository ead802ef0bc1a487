# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A review as sections: review.md, review.html and what the terminal shows. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from ansible_collections.pgops.supabase.plugins.module_utils.base.sizes import human_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.report.section import Section
from ansible_collections.pgops.supabase.plugins.module_utils.review.documents import Review

_TITLES = {"day1": "day 1", "week1": "week 1", "month1": "month 1"}


def headline(review: Review) -> str:
    """The review in one line."""
    done = len(review.tasks) - len(review.left)
    return (
        f"{review.project}: REVIEW of {_TITLES[review.period]} after run {review.run_id}: "
        f"{done} of {number(len(review.tasks), 'task')} done, {number(len(_looks(review)), 'thing')} to look at"
    )


def _confirm(review: Review) -> str:
    names = [task.name for task in review.left if task.state == "asked"] or ["logs"]
    done = json.dumps({"review_done": names[:1]})
    return f"ansible-playbook pgops.supabase.review -l {shlex.quote(review.project)} -e {shlex.quote(done)}"


def _looks(review: Review) -> list[str]:
    """What the database shows that somebody should look at."""
    metrics = [str(metric["name"]) for metric in review.metrics or [] if metric.get("verdict") != "PASS"]
    indexes = [index.name for index in review.indexes if index.scans == 0 and not index.keeps_constraint]
    return [
        *metrics,
        *indexes,
        *(finding.policy for finding in review.policies),
        *(str(index["name"]) for index in review.duplicate_indexes or []),
    ]


def sections(review: Review) -> Iterator[Section]:
    """All of it; what is in order is folded away on the page."""
    identity = [
        ("run", f"{review.run_id}, ended {review.run_finished_at}"),
        ("reviewed", f"{review.reviewed_at}, by {review.operator}"),
        ("database", review.database),
        ("confirm a task", _confirm(review)),
        ("statistics since", review.statistics_since or "the server was made: they were never reset"),
    ]
    yield Section("Review", ("", ""), identity)
    tasks = [(task.state, _TITLES[task.period], task.name, task.what, task.evidence) for task in review.tasks]
    tasks.sort(key=lambda row: row[0] in ("done", "confirmed"))
    header = ("state", "when", "task", "what", "evidence, or what is known")
    yield Section("Tasks", header, tasks, in_order=lambda row: row[0] in ("done", "confirmed"))
    yield from _metrics(review)
    yield from _indexes(review)
    if review.policies:
        found = [(one.table, one.policy, one.says) for one in review.policies]
        yield Section("Policies", ("table", "policy", "what can be seen"), found)
    if review.growth:
        sizes = [(t.name, human_bytes(t.bytes), t.rows_now_estimate, t.rows_then) for t in review.growth]
        heads = ("table", "size", "rows now, about", "rows after the run")
        yield Section("Largest tables", heads, sizes, in_order=lambda row: row[2] == row[3])
    yield from _jobs(review)
    if review.not_seen:
        yield Section("Not seen", ("",), [(text,) for text in review.not_seen])


def _metrics(review: Review) -> Iterator[Section]:
    if review.metrics:
        rows = [
            (m.get("verdict"), m.get("name"), m.get("value"), m.get("expect"), m.get("message")) for m in review.metrics
        ]
        header = ("verdict", "metric", "value", "expected", "says")
        yield Section("Metrics", header, rows, in_order=lambda row: row[0] == "PASS")


def _jobs(review: Review) -> Iterator[Section]:
    if review.jobs:
        jobs = [
            (
                job["name"],
                job["schedule"],
                job["through"],
                job["last_run_at"] or "never",
                job["last_status"],
                job["failed"],
            )
            for job in review.jobs
        ]
        header = ("job", "schedule", "by", "last run", "ended", "failures on record")
        yield Section("Scheduled jobs", header, jobs, in_order=lambda row: row[4] in ("", "succeeded"))


def _indexes(review: Review) -> Iterator[Section]:
    if review.indexes:
        rows = []
        for index in review.indexes:
            size = "-" if index.bytes is None else human_bytes(index.bytes)
            says = (
                "it is not there any more"
                if index.scans is None
                else "a constraint needs it" if index.keeps_constraint else ""
            )
            if index.scans == 0 and not says:
                says = "nothing has read it"
            rows.append((index.name, index.table, size, index.scans, index.table_scans, says))
        rows.sort(key=lambda row: row[5] != "nothing has read it")
        header = ("index", "table", "size", "scans", "scans of the whole table", "says")
        ordered = ("", "a constraint needs it")
        yield Section("Indexes that the run made", header, rows, in_order=lambda row: row[5] in ordered)
    unused = [(i["name"], i["table"], human_bytes(i["bytes"])) for i in review.unused_indexes or []]
    if unused:
        yield Section("Indexes that nothing reads", ("index", "table", "size"), unused)
    twice = [
        (i["name"], i["table"], ", ".join(i.get("same_as", [])), human_bytes(i["bytes"]))
        for i in review.duplicate_indexes or []
    ]
    if twice:
        yield Section("Indexes that say the same", ("index", "table", "the same as", "size"), twice)


def markdown(review: Review) -> str:
    """The review as Markdown, for review.md."""
    lines = [f"# {headline(review)}", ""]
    for section in sections(review):
        lines += section.as_markdown()
    return "\n".join(lines).rstrip() + "\n"


def summary_lines(review: Review, directory: str | None) -> list[str]:
    """What the terminal shows: the tasks that are left, and how much there is to look at."""
    lines = [headline(review)]
    left = [(task.state, _TITLES[task.period], task.name, task.evidence) for task in review.left]
    if left:
        lines += ["", *Section("Left to do", ("state", "when", "task", "what is known"), left).as_text()]
        lines += [f"  Confirm what is done: {_confirm(review)}"]
    counted = [
        (section.title, f"{len(section.shown)} of {len(section.rows)} to look at")
        for section in sections(review)
        if section.title not in ("Review", "Tasks", "Not seen", "Largest tables") and section.shown
    ]
    if counted:
        lines += ["", *Section("To look at", ("", ""), counted).as_text()]
    if directory is not None:
        lines += ["", "Documents", f"  {directory}"]
    return lines
