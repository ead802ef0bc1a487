# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of a review: what is left to do after a migration, and what the database says some time later."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document

Period = Literal["day1", "week1", "month1"]
PERIODS: tuple[Period, ...] = ("day1", "week1", "month1")
# done: the evidence is there. confirmed: a person said so. open: it can be seen, and is not so. asked: only people know.
TaskState = Literal["done", "confirmed", "open", "asked"]


@dataclass(kw_only=True)
class Task:
    """One task of the time after a migration."""

    name: str
    period: Period
    what: str
    state: TaskState
    # What is there, who confirmed it, or what to do.
    evidence: str


@dataclass(kw_only=True)
class Confirmation:
    """Who said of a task that it is done, and when."""

    task: str
    operator: str
    at: str


@dataclass(kw_only=True)
class Confirmations(Document):
    """done.json of a run's reviews."""

    kind: ClassVar[str] = "review_done"
    confirmed: list[Confirmation] = field(default_factory=list)


@dataclass(kw_only=True)
class MadeIndex:
    """An index that the run made. ``scans`` since the statistics were reset, or since it was made; None: it is not there any more."""

    name: str
    table: str
    bytes: int | None
    scans: int | None
    # Whether a constraint needs it, read or not.
    keeps_constraint: bool = False
    # Scans of the whole table meanwhile.
    table_scans: int | None = None


@dataclass(kw_only=True)
class PolicyFinding:
    """What can be seen of a policy, or of a table that has none."""

    table: str
    policy: str
    says: str


@dataclass(kw_only=True)
class TableGrowth:
    """A table by what it takes. Rows now are PostgreSQL's estimate, rows then were counted by the run."""

    name: str
    bytes: int
    rows_now_estimate: int
    rows_then: int | None


@dataclass(kw_only=True)
class Review(Document):
    """review.json: the follow-up of one run at one time. Times are UTC, sizes bytes."""

    kind: ClassVar[str] = "review"
    project: str
    run_id: str
    run_finished_at: str
    period: Period
    reviewed_at: str
    operator: str
    database: str
    # None: never, so since the server was made.
    statistics_since: str | None
    tasks: list[Task]
    indexes: list[MadeIndex]
    policies: list[PolicyFinding]
    policies_total: int
    growth: list[TableGrowth]
    # As health_info returned them; None where it was not asked.
    metrics: list[dict[str, Any]] | None = None
    unused_indexes: list[dict[str, Any]] | None = None
    duplicate_indexes: list[dict[str, Any]] | None = None
    jobs: list[dict[str, Any]] = field(default_factory=list)
    # What cannot be told, in sentences.
    not_seen: list[str] = field(default_factory=list)

    @property
    def left(self) -> list[Task]:
        """The tasks that nobody has done, or said to be done."""
        return [task for task in self.tasks if task.state in ("open", "asked")]
