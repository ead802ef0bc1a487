# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sample: the database asked how it is, and the application's endpoints that only read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict, utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import ConnectionFailed
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import read_json
from ansible_collections.pgops.supabase.plugins.module_utils.health.job import SETTINGS
from ansible_collections.pgops.supabase.plugins.module_utils.health.metrics import Asked, ask_metrics
from ansible_collections.pgops.supabase.plugins.module_utils.health.sampling import look_around, take_sample
from ansible_collections.pgops.supabase.plugins.module_utils.health.statements import (
    Spent,
    slower_means,
    statement_counters,
    statements,
)
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.documents import (
    Baseline,
    MonitorRecord,
    MonitorSample,
    ProbeSample,
    ProbeTimes,
    SlowerStatement,
)
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.judgement import error_share, since_before
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import ConnectionOptions, session
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import message_without_values
from ansible_collections.pgops.supabase.plugins.module_utils.probes.declared import Api
from ansible_collections.pgops.supabase.plugins.module_utils.probes.documents import ProbeReport
from ansible_collections.pgops.supabase.plugins.module_utils.probes.job import probe

_FROM_RUN = (("probes-before.json", "before the migration"), ("probes-after.json", "right after the migration"))


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What is asked in every sample."""

    options: ConnectionOptions
    probes: Sequence[Mapping[str, Any]] = ()
    api: Api = field(default_factory=Api)
    metrics: Sequence[Asked] = ()


def take(watched: Watched, record: MonitorRecord) -> MonitorSample:
    """Ask everything once. The first sample of a watch is its baseline where the run has left none.

    :raises InputError: when a probe cannot be used.
    """
    at = utc_now()
    sample = MonitorSample(at=at)
    _ask_database(watched, record, sample)
    if watched.probes:
        sample.probes = _ask_api(watched, record.baseline)
    _since_counters(sample, record)
    return sample


def _since_counters(sample: MonitorSample, record: MonitorRecord) -> None:
    # Records of earlier releases do not say of which sample their counters are.
    counted_at = record.counters_at or record.last_sample_at
    seconds = _seconds_between(counted_at, sample.at) if counted_at else None
    since_before(sample, record.counters, seconds)
    if sample.health is not None:
        record.counters, record.counters_at = sample.health.counters, sample.at


def baseline_of_run(run_dir: Path) -> Baseline:
    """What the probes of the migration's run found, where there is such a run."""
    baseline = Baseline(taken_at=utc_now())
    for name, origin in _FROM_RUN:
        with suppress(OSError, ValueError, TypeError):
            report = from_dict(ProbeReport, read_json(run_dir / name))
            for result in report.probes:
                if result.name not in baseline.probes and (result.p95_seconds is not None or result.verdict == "FAIL"):
                    baseline.probes[result.name] = ProbeTimes(
                        p95_seconds=result.p95_seconds or 0.0, origin=origin, failed=result.verdict == "FAIL"
                    )
    return baseline


def _ask_database(watched: Watched, record: MonitorRecord, sample: MonitorSample) -> None:
    import psycopg2

    baseline = record.baseline
    try:
        with session(watched.options, SETTINGS) as connection:
            seen = look_around(connection)
            health = take_sample(connection, seen)
            now = statement_counters(connection, seen) or {}
            if baseline.statements:
                before = {queryid: Spent(int(calls), spent) for queryid, (calls, spent) in baseline.statements.items()}
                slower = slower_means(now, before)
                # The texts lie in a file, and are worth reading only then.
                texts = {one.queryid: one.statement for one in statements(connection, seen) or []} if slower else {}
                sample.slower_statements = [
                    SlowerStatement(
                        statement=texts.get(queryid, "not known any more"),
                        mean_seconds=round(is_now, 6),
                        baseline_mean_seconds=round(was, 6),
                    )
                    for queryid, (was, is_now) in slower.items()
                ]
            connection.rollback()
            health.metrics = ask_metrics(connection, watched.metrics)
    except ConnectionFailed as error:
        sample.unreachable = error.what
        return
    except psycopg2.Error as error:
        sample.unreachable = f"the database did not answer: {message_without_values(error)}"
        return
    sample.health, record.not_seen = health, seen.not_seen
    if baseline.error_share is None:
        baseline.error_share = round(error_share(health.counters), 6)
        baseline.invalid = list(health.invalid)
        baseline.statements = {queryid: [spent.calls, round(spent.seconds, 6)] for queryid, spent in now.items()}


def _ask_api(watched: Watched, baseline: Baseline) -> list[ProbeSample]:
    """Ask the endpoints that only read. As in the stage before a migration: it is held against the baseline elsewhere."""
    report = probe(
        watched.options, watched.probes, watched.api, stage="before", reads_only=True, required=False, wait_seconds=0
    )
    for result in report.probes:
        if result.name not in baseline.probes and result.p95_seconds is not None:
            baseline.probes[result.name] = ProbeTimes(p95_seconds=result.p95_seconds, origin="when the watch began")
    return [
        ProbeSample(
            name=result.name,
            verdict=result.verdict,
            message=result.message,
            p50_seconds=result.p50_seconds,
            p95_seconds=result.p95_seconds,
        )
        for result in report.probes
    ]


def _seconds_between(first: str, second: str) -> float:
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()
