# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of a watch: what is kept from one sample to the next, and what each sample said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document
from ansible_collections.pgops.supabase.plugins.module_utils.health.documents import Counters, HealthSample

# V(unknown): it could not be looked at, so nothing is said of it.
Judged = Literal["good", "bad", "unknown"]
WatchState = Literal["running", "finished", "stopped", "timer"]


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What is worse than it has to be."""

    # An endpoint's 95th percentile: this much of the baseline's, and at least so much more, for below that it is noise.
    api_factor: float = 1.1
    api_floor_seconds: float = 0.05
    # Of the connections that there may be.
    connections_share: float = 0.8
    # Transactions rolled back since the sample before, of all: this share, and so many; and twice the share from before.
    error_share: float = 0.05
    error_count: int = 20
    longest_transaction_seconds: float = 300.0
    lock_wait_seconds: float = 30.0
    # Samples in a row that say the same before somebody is told.
    confirm_samples: int = 2


@dataclass(kw_only=True)
class Finding:
    """What one sample says of one thing that is watched."""

    key: str
    judged: Judged
    message: str = ""


@dataclass(kw_only=True)
class Episode:
    """A time in which one thing was worse than it has to be. People are told when it begins and when it is over."""

    key: str
    message: str
    # Of the first sample that said so.
    since: str
    until: str | None = None
    # The channels that need not be told any more, that it began or that it is over.
    told: list[str] = field(default_factory=list)
    # Those of them that were, and have to hear of the end.
    reached: list[str] = field(default_factory=list)
    told_end: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Row:
    """How many samples in a row have said the same of one thing."""

    judged: str
    number: int
    since: str


@dataclass(kw_only=True)
class ProbeTimes:
    """An endpoint before: its 95th percentile in seconds, and where that is from."""

    p95_seconds: float
    origin: str
    # Whether it failed then already.
    failed: bool = False


@dataclass(kw_only=True)
class Baseline:
    """What the samples are held against."""

    taken_at: str
    probes: dict[str, ProbeTimes] = field(default_factory=dict)
    # None until a database was seen.
    error_share: float | None = None
    # What was not valid when the watch began.
    invalid: list[str] | None = None
    # By queryid: calls and seconds.
    statements: dict[str, list[float]] = field(default_factory=dict)


@dataclass(kw_only=True)
class ProbeSample:
    """One endpoint in one sample."""

    name: str
    verdict: str
    message: str = ""
    p50_seconds: float | None = None
    p95_seconds: float | None = None


@dataclass(kw_only=True)
class SlowerStatement:
    """A statement that is slower since the watch began than before, without the values in it."""

    statement: str
    mean_seconds: float
    baseline_mean_seconds: float


@dataclass(kw_only=True)
class MonitorSample:
    """A line of monitor.jsonl."""

    at: str
    # Why the database could not be asked; empty where it could.
    unreachable: str = ""
    health: HealthSample | None = None
    # Since the sample before in which the database was reached; None where there is none or the counters were reset between.
    seconds_since: float | None = None
    transactions: int | None = None
    rolled_back: int | None = None
    cache_hit_share: float | None = None
    deadlocks: int | None = None
    temporary_bytes: int | None = None
    wal_bytes: int | None = None
    probes: list[ProbeSample] = field(default_factory=list)
    slower_statements: list[SlowerStatement] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass(kw_only=True)
class MonitorRecord(Document):
    """monitor.json: how far a watch is. A watch that is started again goes on with it."""

    kind: ClassVar[str] = "monitor"
    project: str
    state: WatchState
    started_at: str
    # None of a timer's, which has no end.
    ends_at: str | None
    interval_seconds: float
    samples: int = 0
    last_sample_at: str | None = None
    counters: Counters | None = None
    # Of which sample they are: none has them of a time in which the database could not be reached.
    counters_at: str | None = None
    baseline: Baseline
    rows: dict[str, Row] = field(default_factory=dict)
    episodes: list[Episode] = field(default_factory=list)
    # What the role cannot see, in sentences.
    not_seen: list[str] = field(default_factory=list)
