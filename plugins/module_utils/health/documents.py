# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database says of itself. Times are UTC, durations seconds, sizes bytes; None is what could not be seen or is not counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document


@dataclass(kw_only=True)
class Counters:
    """What PostgreSQL counts for the database since stats_reset, and where its WAL is: two samples of them make a rate."""

    committed: int
    rolled_back: int
    blocks_hit: int
    blocks_read: int
    temporary_files: int
    temporary_bytes: int
    deadlocks: int
    # Bytes of WAL since the server was made, of the whole server.
    wal_bytes: int | None = None
    # None: never.
    stats_reset: str | None = None


@dataclass(kw_only=True)
class TableHealth:
    """One of the largest tables, or of those with the most dead tuples."""

    name: str
    # With its indexes and its TOAST table; of a table that is locked, what it had itself at the last VACUUM or ANALYZE.
    total_bytes: int
    live_tuples: int
    dead_tuples: int
    # An estimate, from pg_stats: what the table itself has beyond what its rows take. None where it was never analyzed, or the role may
    # not read it.
    bloat_bytes_estimate: int | None = None
    # By hand or by autovacuum, whichever was later.
    last_vacuum: str | None = None
    last_analyze: str | None = None


@dataclass(kw_only=True)
class Replica:
    """A standby that receives WAL, or a slot that keeps it."""

    name: str
    # None: the role may not see it.
    active: bool | None
    # Bytes of WAL that it has not replayed, or that the slot keeps.
    lag_bytes: int | None = None
    lag_seconds: float | None = None


@dataclass(kw_only=True)
class Metric:
    """A query of the user's own. Of its rows nothing is kept but one number."""

    name: str
    verdict: str
    # What is wrong; empty when nothing is.
    message: str = ""
    value: float | None = None
    expect: str = ""


@dataclass(kw_only=True)
class HealthSample:
    """One look at a database, cheap enough for every few minutes."""

    taken_at: str
    # How long the database took for it, the user's own metrics left out.
    database_seconds: float
    # Client sessions of the whole server by state, and how many of them may be.
    connections: dict[str, int]
    connections_used: int
    connections_limit: int
    # Of client sessions on this database, ours left out.
    longest_transaction_seconds: float
    idle_in_transaction: int
    lock_waits: int
    longest_lock_wait_seconds: float
    counters: Counters
    # Indexes that are not valid and that nobody is building, and constraints that are not validated or not enforced.
    invalid: list[str]
    tables: list[TableHealth]
    tables_total: int
    # Of the 200 largest tables.
    dead_tuples_total: int
    # Of all relations as of their last VACUUM or ANALYZE (pg_class.relpages), so an estimate between two of those.
    size_bytes_estimate: int
    replicas: list[Replica] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)


@dataclass(kw_only=True)
class StatementHealth:
    """A statement by pg_stat_statements, as it may be shown: without the values in it."""

    queryid: str
    statement: str
    calls: int
    total_seconds: float
    mean_seconds: float
    max_seconds: float
    rows: int
    temporary_blocks: int
    # The mean in the baseline, where it was known there.
    baseline_mean_seconds: float | None = None


@dataclass(kw_only=True)
class IndexHealth:
    """An index that nothing reads, or that says the same as others."""

    name: str
    table: str
    bytes: int
    # Those that say the same; empty of one that nothing reads.
    same_as: list[str] = field(default_factory=list)
    # Scans since stats_reset on this server; a replica counts its own.
    scans: int = 0


@dataclass(kw_only=True)
class HealthReport(Document):
    """health.json: a sample, and what takes longer to look for."""

    kind: ClassVar[str] = "health"
    database: str
    server_version: str
    role: str
    in_recovery: bool
    sample: HealthSample
    # Those that took most time in all. None: pg_stat_statements is not there, or its view is of another shape.
    statements: list[StatementHealth] | None = None
    # Statements that are at least twice as slow as in the baseline.
    slower_statements: list[StatementHealth] = field(default_factory=list)
    unused_indexes: list[IndexHealth] = field(default_factory=list)
    duplicate_indexes: list[IndexHealth] = field(default_factory=list)
    # What this role cannot see, or this server does not count, in sentences.
    not_seen: list[str] = field(default_factory=list)
