# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sample held against the thresholds and the baseline, and what comes of it over several samples. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ansible_collections.pgops.supabase.plugins.module_utils.health.documents import Counters, HealthSample
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.documents import (
    Baseline,
    Episode,
    Finding,
    MonitorRecord,
    MonitorSample,
    Row,
    Thresholds,
)

_ERRORS_FACTOR = 2.0
_NAMED = 5


def since_before(sample: MonitorSample, before: Counters | None, seconds: float | None) -> None:
    """Fill in what the database did since the sample before; nothing where its counters were reset meanwhile."""
    if sample.health is None or before is None or seconds is None:
        return
    now = sample.health.counters
    if (
        now.stats_reset != before.stats_reset
        or now.committed < before.committed
        or now.rolled_back < before.rolled_back
    ):
        return
    sample.seconds_since = round(seconds, 3)
    # A sample's own transaction and those of its metrics are rolled back too, and would be errors of a database where little is done.
    own = 1 + len(sample.health.metrics)
    sample.rolled_back = max(0, now.rolled_back - before.rolled_back - own)
    sample.transactions = now.committed - before.committed + sample.rolled_back
    hit, read = now.blocks_hit - before.blocks_hit, now.blocks_read - before.blocks_read
    sample.cache_hit_share = round(hit / (hit + read), 4) if hit + read > 0 else None
    sample.deadlocks = now.deadlocks - before.deadlocks
    sample.temporary_bytes = now.temporary_bytes - before.temporary_bytes
    if now.wal_bytes is not None and before.wal_bytes is not None:
        sample.wal_bytes = now.wal_bytes - before.wal_bytes


def error_share(counters: Counters) -> float:
    """The share of transactions that were rolled back, since the statistics were reset."""
    return counters.rolled_back / max(1, counters.committed + counters.rolled_back)


def findings(sample: MonitorSample, baseline: Baseline, limits: Thresholds, metrics: Sequence[str]) -> list[Finding]:
    """What the sample says of everything that is watched.

    One cause is one finding: where the database cannot be reached, nothing is said of what depends on it.

    :param metrics: the names of the user's own.
    """
    if sample.health is None:
        unknown = ("api_errors", "api_times", "connections", "errors", "transactions", "locks", "invalid")
        return [
            Finding(key="database", judged="bad", message=sample.unreachable),
            *(Finding(key=key, judged="unknown") for key in (*unknown, *(f"metric {name}" for name in metrics))),
        ]
    return [
        Finding(key="database", judged="good"),
        *_api(sample, baseline, limits),
        *_sessions(sample.health, limits),
        _errors(sample, baseline, limits),
        _invalid(sample.health, baseline),
        *(
            Finding(
                key=f"metric {metric.name}",
                judged="good" if metric.verdict == "PASS" else "bad",
                message=metric.message and f"{metric.name}: {metric.message}",
            )
            for metric in sample.health.metrics
        ),
    ]


def api_limit(p95_seconds: float, limits: Thresholds) -> float:
    """What an endpoint's 95th percentile has to be below."""
    return max(limits.api_factor * p95_seconds, p95_seconds + limits.api_floor_seconds)


def _api(sample: MonitorSample, baseline: Baseline, limits: Thresholds) -> Iterator[Finding]:
    if not sample.probes:
        return
    failed, slow, measured = [], [], False
    for probe in sample.probes:
        before = baseline.probes.get(probe.name)
        if probe.verdict == "FAIL" and not (before and before.failed):
            failed.append(f"{probe.name}: {probe.message}")
        if probe.p95_seconds is None or before is None or before.failed:
            continue
        measured = True
        limit = api_limit(before.p95_seconds, limits)
        if probe.p95_seconds >= limit:
            slow.append(
                f"{probe.name}: 95th percentile {_ms(probe.p95_seconds)}, in the baseline {_ms(before.p95_seconds)}, "
                f"to be below {_ms(limit)}"
            )
    yield Finding(key="api_errors", judged="bad" if failed else "good", message=_several(failed))
    yield Finding(key="api_times", judged="bad" if slow else "good" if measured else "unknown", message=_several(slow))


def _sessions(health: HealthSample, limits: Thresholds) -> Iterator[Finding]:
    share = health.connections_used / max(1, health.connections_limit)
    yield _over(
        "connections",
        share >= limits.connections_share,
        f"{health.connections_used} of {health.connections_limit} connections are in use ({share:.0%}), "
        f"to be below {limits.connections_share:.0%}",
    )
    longest, wait = health.longest_transaction_seconds, health.longest_lock_wait_seconds
    yield _over(
        "transactions",
        longest >= limits.longest_transaction_seconds,
        f"a transaction is open for {longest:.0f} s, to be below {limits.longest_transaction_seconds:.0f} s",
    )
    yield _over(
        "locks",
        wait >= limits.lock_wait_seconds,
        f"{health.lock_waits} sessions wait for a lock, the longest for {wait:.0f} s, to be below {limits.lock_wait_seconds:.0f} s",
    )


def _errors(sample: MonitorSample, baseline: Baseline, limits: Thresholds) -> Finding:
    if sample.rolled_back is None or sample.transactions is None:
        return Finding(key="errors", judged="unknown")
    limit = max(limits.error_share, _ERRORS_FACTOR * (baseline.error_share or 0))
    share = sample.rolled_back / max(1, sample.transactions)
    return _over(
        "errors",
        sample.rolled_back >= limits.error_count and share >= limit,
        f"{sample.rolled_back} of {sample.transactions} transactions were rolled back ({share:.0%}), to be below {limit:.0%}",
    )


def _invalid(health: HealthSample, baseline: Baseline) -> Finding:
    new = [name for name in health.invalid if name not in (baseline.invalid or ())]
    return _over("invalid", bool(new), f"not valid, and was not so when the watch began: {_several(new)}")


def _over(key: str, is_bad: bool, message: str) -> Finding:
    return Finding(key=key, judged="bad" if is_bad else "good", message=message if is_bad else "")


def _several(texts: Sequence[str]) -> str:
    more = len(texts) - _NAMED
    return "; ".join(texts[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def follow(record: MonitorRecord, sample: MonitorSample, limits: Thresholds) -> None:
    """Count the sample's findings, and begin or end episodes where enough of them in a row say so.

    What is unknown neither begins nor ends anything, and breaks no row.
    """
    for finding in sample.findings:
        if finding.judged == "unknown":
            continue
        row = record.rows.get(finding.key)
        if row is None or row.judged != finding.judged:
            row = record.rows[finding.key] = Row(judged=finding.judged, number=0, since=sample.at)
        row.number += 1
        present = open_episode(record, finding.key)
        if row.number < limits.confirm_samples:
            continue
        if finding.judged == "bad" and present is None:
            record.episodes.append(Episode(key=finding.key, message=finding.message, since=row.since))
        elif finding.judged == "good" and present is not None:
            present.until = row.since


def open_episode(record: MonitorRecord, key: str) -> Episode | None:
    """The episode of one thing that is not over."""
    return next((one for one in record.episodes if one.key == key and one.until is None), None)


def open_episodes(record: MonitorRecord) -> list[Episode]:
    """All that are not over."""
    return [one for one in record.episodes if one.until is None]
