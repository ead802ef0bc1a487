# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of scheduled jobs: what is wanted, what is there, what was changed, and how jobs ran. None holds a row's value."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document

Through = Literal["pg_cron", "timer"]
Change = Literal["", "scheduled", "changed", "unscheduled"]
Timer = Literal["", "present", "absent"]


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A job as it is scheduled. The SQL is for the server only.

    ``host``: the machine whose crontab has the entry, None with pg_cron.
    """

    through: Through
    schedule: str
    command: str = field(repr=False)
    active: bool = True
    host: str | None = None

    @property
    def in_words(self) -> str:
        """What diff mode shows: everything but the SQL, of which the hash tells whether it is the same."""
        digest = hashlib.sha256(self.command.encode()).hexdigest()[:12]
        where = f"the crontab of {self.host}" if self.through == "timer" else "pg_cron"
        return f"{self.schedule} by {where}, {'active' if self.active else 'paused'}, SQL with SHA-256 {digest}"


@dataclass(frozen=True, kw_only=True)
class WantedJob:
    """A job as the inventory declares it."""

    name: str
    schedule: str | None = None
    command: str | None = field(default=None, repr=False)
    absent: bool = False


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who schedules: a run, or a person where there is no ``run_id``; ``timer_host`` is the machine whose crontab would have it."""

    run_id: str | None
    operator: str
    timer_host: str


@dataclass(kw_only=True)
class JobChange:
    """What was done to one job.

    ``timer``: what the crontab of ``host`` has to be brought to, V(present), V(absent) or nothing. ``note``: what is to be
    known, such as that the SQL could not be tried.
    """

    name: str
    change: Change
    through: Through
    schedule: str | None
    host: str | None
    timer: Timer = ""
    note: str = ""


@dataclass(kw_only=True)
class JobEntry:
    """One job of this project's runs, as status shows it; times are UTC. ``failed`` counts within the ``runs`` that are on record."""

    name: str
    through: Through
    schedule: str
    active: bool
    run_id: str | None
    operator: str
    scheduled_at: str
    host: str | None = None
    runs: int = 0
    failed: int = 0
    last_run_at: str | None = None
    last_status: str | None = None


@dataclass(kw_only=True)
class ScheduledJobs(Document):
    """All that is scheduled: the jobs of this project's runs, and how many of others there are (None: the role may not see)."""

    kind: ClassVar[str] = "scheduled_jobs"
    jobs: list[JobEntry]
    others: int | None
    # What cannot be told of what is on record: a job that somebody has taken away by hand.
    notes: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class JobRun(Document):
    """One run of a job by hand or by its timer."""

    kind: ClassVar[str] = "scheduled_job_run"
    name: str
    status: Literal["succeeded", "failed"]
    started_at: str
    duration_seconds: float
    error: dict[str, Any] | None = None
