# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In a run's report: the types that were generated, where the run was published, and which follow-up needs attention. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord


def attention(run: RunRecord) -> str:
    """What a headline says of follow-ups that failed; the migration is what the verdict says all the same."""
    return f"; needs attention: {', '.join(run.follow_ups)}" if run.follow_ups else ""


def follow_up_rows(run: RunRecord, documents: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """The follow-ups: what was done, and of what failed the reason and what to type."""
    failed = run.follow_ups or {}
    if "types" not in failed and (types := documents.get("types")):
        what = "changed" if types["changed"] else "as they were"
        held = f"{number(types['relations'], 'relation')}, {number(types['enums'], 'enum')}"
        yield "types", f"{types['path']}: {what}; {held}"
        yield "types by", types["generator"]
    for job in documents.get("scheduled_jobs", {}).get("jobs", []) if "scheduled_jobs" not in failed else []:
        where = "pg_cron" if job["through"] == "pg_cron" else f"the crontab of {job['host']}"
        said = f"{job['name']}: {job['change'] or 'as it was'}, {job['schedule'] or 'no more'}, by {where}"
        yield "scheduled job", f"{said}; {job['note']}" if job["note"] else said
    published = documents.get("publication", {})
    if "publish" not in failed and published.get("commit"):
        yield "published", f"{published['commit']} on {published['remote']}/{published['branch']}, {number(len(published['files']), 'file')}"
    for name, failure in failed.items():
        for index, line in enumerate(failure.splitlines()):
            yield (f"{name} failed" if index == 0 else ""), line
