# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a database on a session that is open: cheap, read-only, and without a row of any table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.health import queries
from ansible_collections.pgops.supabase.plugins.module_utils.health.documents import (
    Counters,
    HealthSample,
    Replica,
    TableHealth,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

_LOCK_TIMEOUT_MS = 20


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Whose database it is that is looked at, and how much of it the role may see."""

    database: str
    server_version: str
    version_number: int
    role: str
    in_recovery: bool
    reads_all_stats: bool
    counts: bool
    # The schema of pg_stat_statements, quoted where it has to be; None: it is not there.
    statements_schema: str | None

    @property
    def not_seen(self) -> list[str]:
        """What cannot be seen, in sentences."""
        said = []
        if not self.reads_all_stats:
            said.append(
                f"the role {self.role} lacks pg_read_all_stats: state, transaction and standby of other roles' sessions, and their "
                "statements, are not shown to it; grant pg_monitor to it, or connect as postgres"
            )
        if not self.counts:
            said.append("track_counts is off: dead tuples, scans of indexes and what the database did are not counted")
        if self.statements_schema is None:
            said.append("pg_stat_statements is not installed: how long statements take is not counted")
        return said


def look_around(connection: PgConnection) -> Seen:
    """What server it is, and what the role may see there."""
    ((database, version, number, role, in_recovery, reads_all, counts, schema),) = fetch_all(connection, queries.SERVER)
    return Seen(
        database=database,
        server_version=version.split(" ")[0],
        version_number=number,
        role=role,
        in_recovery=in_recovery,
        reads_all_stats=reads_all,
        counts=counts,
        statements_schema=schema,
    )


def take_sample(connection: PgConnection, seen: Seen) -> HealthSample:
    """Ask the database how it is now. The user's own metrics are not among it."""
    began = time.monotonic()
    # A worker that is started for it is a burden of its own.
    execute(connection, "set local max_parallel_workers_per_gather = 0")
    connections = {str(state): int(number) for state, number in fetch_all(connection, queries.CONNECTIONS)}
    limit = int(fetch_value(connection, queries.LIMIT))
    ((longest, idle),) = fetch_all(connection, queries.TRANSACTIONS)
    ((waits, longest_wait),) = fetch_all(connection, queries.LOCK_WAITS)
    (number, size, dead), tables = _tables(connection)
    return HealthSample(
        taken_at=utc_now(),
        connections=connections,
        connections_used=sum(connections.values()),
        connections_limit=limit,
        longest_transaction_seconds=round(longest, 3),
        idle_in_transaction=idle,
        lock_waits=waits,
        longest_lock_wait_seconds=round(longest_wait, 3),
        counters=_counters(connection),
        invalid=_invalid(connection, seen),
        tables=tables,
        tables_total=number,
        dead_tuples_total=dead,
        size_bytes_estimate=size,
        replicas=[
            Replica(name=name, active=active, lag_bytes=lag, lag_seconds=seconds)
            for name, active, lag, seconds in fetch_all(connection, queries.REPLICAS)
        ],
        database_seconds=round(time.monotonic() - began, 4),
    )


def _counters(connection: PgConnection) -> Counters:
    names = ("committed", "rolled_back", "blocks_hit", "blocks_read", "temporary_files", "temporary_bytes", "deadlocks")
    (row,) = fetch_all(connection, queries.COUNTERS)
    figures: Mapping[str, Any] = dict(zip((*names, "stats_reset"), row, strict=True))
    return Counters(**figures, wal_bytes=fetch_value(connection, queries.WAL))


def _invalid(connection: PgConnection, seen: Seen) -> list[str]:
    has_enforced = seen.version_number >= queries.FIRST_WITH_CONENFORCED
    broken = queries.NOT_VALIDATED_OR_ENFORCED if has_enforced else queries.NOT_VALIDATED
    found = fetch_all(connection, queries.INVALID_INDEXES)
    found += fetch_all(connection, queries.INVALID_CONSTRAINTS.format(broken=broken))
    return [str(name) for (name,) in found]


def _tables(connection: PgConnection) -> tuple[Sequence[int], list[TableHealth]]:
    """How many tables, bytes and dead tuples there are, and the tables that are worth a closer look, the largest first."""
    rows = fetch_all(connection, queries.TABLES)
    totals = [int(total) for total in rows[0][:3]]
    found = [row[3:] for row in rows if row[3] is not None]
    oids = [row[0] for row in found]
    bloat = dict(fetch_all(connection, queries.BLOAT, [oids]))
    sizes = _sizes(connection, oids)
    tables = [
        TableHealth(
            name=name,
            total_bytes=sizes.get(oid) or total,
            live_tuples=live,
            dead_tuples=dead,
            bloat_bytes_estimate=bloat.get(oid),
            last_vacuum=vacuum,
            last_analyze=analyze,
        )
        for oid, name, total, dead, live, vacuum, analyze in found
    ]
    return totals, sorted(tables, key=lambda table: -table.total_bytes)


def _sizes(connection: PgConnection, oids: Sequence[int]) -> dict[int, int]:
    """Their sizes with indexes and TOAST; none where one of them is locked, for whoever watches must not wait for it."""
    import psycopg2

    execute(connection, "savepoint before_sizes")
    try:
        execute(connection, f"set local lock_timeout = {_LOCK_TIMEOUT_MS}")
        sizes = {int(oid): int(size or 0) for oid, size in fetch_all(connection, queries.SIZES, [oids])}
    except psycopg2.errors.LockNotAvailable:
        sizes = {}
    execute(connection, "rollback to savepoint before_sizes")
    return sizes
