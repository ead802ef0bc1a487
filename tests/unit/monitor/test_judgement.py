# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sample says beside the baseline, and what comes of several: pure."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.health.documents import (
    Counters,
    HealthSample,
    Metric,
    Replica,
    TableHealth,
)
from ansible_collections.pgops.supabase.plugins.module_utils.health.metrics import read_metrics
from ansible_collections.pgops.supabase.plugins.module_utils.health.statements import Spent, slower_means
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.documents import (
    Baseline,
    Finding,
    MonitorRecord,
    MonitorSample,
    ProbeSample,
    ProbeTimes,
    Thresholds,
)
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.job import _append, read_samples, write_page
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.judgement import (
    findings,
    follow,
    open_episodes,
    since_before,
)
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.page import page
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.sampling import _since_counters
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.textfile import exposition

COUNTERS = Counters(
    committed=1000, rolled_back=10, blocks_hit=900, blocks_read=100, temporary_files=0, temporary_bytes=0, deadlocks=0
)
HEALTH = HealthSample(
    taken_at="",
    database_seconds=0.02,
    connections={"idle": 3, 'odd "state"\\': 1},
    connections_used=4,
    connections_limit=100,
    longest_transaction_seconds=0,
    idle_in_transaction=0,
    lock_waits=0,
    longest_lock_wait_seconds=0,
    counters=COUNTERS,
    invalid=[],
    tables=[TableHealth(name='public."a\nb"', total_bytes=1, live_tuples=1, dead_tuples=0)],
    tables_total=1,
    dead_tuples_total=0,
    size_bytes_estimate=8192,
    replicas=[
        Replica(name="standby one", active=True, lag_bytes=5),
        Replica(name="standby one", active=True, lag_bytes=7),
    ],
    metrics=[Metric(name="audits", verdict="PASS", value=2.0)],
)
BASELINE = Baseline(
    taken_at="", probes={"users": ProbeTimes(p95_seconds=0.2, origin="")}, error_share=0.01, invalid=["index a"]
)
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def sample(number: int = 0, **health: Any) -> MonitorSample:
    """One sample, with what is otherwise in its health."""
    return MonitorSample(at=(START + timedelta(minutes=number)).isoformat(), health=replace(HEALTH, **health))


def judged(one: MonitorSample, key: str, **limits: Any) -> str:
    """What it says of one thing."""
    found = findings(one, BASELINE, Thresholds(**limits), ["audits"])
    return next(finding.judged for finding in found if finding.key == key)


@pytest.mark.parametrize(
    ("before", "now", "is_judged"),
    # A tenth more, and at least fifty milliseconds more.
    [
        (0.001, 0.002, "good"),
        (0.001, 0.0509, "good"),
        (0.2, 0.249, "good"),
        (0.2, 0.25, "bad"),
        (1.0, 1.09, "good"),
        (1.0, 1.1, "bad"),
    ],
)
def test_times_of_the_api_have_a_factor_and_a_floor(before: float, now: float, is_judged: str) -> None:
    one = replace(sample(), probes=[ProbeSample(name="users", verdict="PASS", p95_seconds=now)])
    baseline = replace(BASELINE, probes={"users": ProbeTimes(p95_seconds=before, origin="")})
    found = findings(one, baseline, Thresholds(), [])
    assert next(finding.judged for finding in found if finding.key == "api_times") == is_judged


@pytest.mark.parametrize(
    ("key", "health", "is_judged"),
    [
        ("connections", {"connections_used": 79}, "good"),
        ("connections", {"connections_used": 80}, "bad"),
        ("transactions", {"longest_transaction_seconds": 300.0}, "bad"),
        ("locks", {"lock_waits": 2, "longest_lock_wait_seconds": 29.0}, "good"),
        ("locks", {"lock_waits": 2, "longest_lock_wait_seconds": 30.0}, "bad"),
        ("invalid", {"invalid": ["index a"]}, "good"),
        ("invalid", {"invalid": ["index a", "constraint b of c"]}, "bad"),
        ("metric audits", {"metrics": [Metric(name="audits", verdict="FAIL", message="x")]}, "bad"),
        ("errors", {}, "unknown"),
    ],
)
def test_each_thing_has_its_limit(key: str, health: dict[str, Any], is_judged: str) -> None:
    assert judged(sample(**health), key) == is_judged


@pytest.mark.parametrize(
    ("committed", "rolled_back", "is_judged"),
    # Two of those that were rolled back are the sample's own: itself and its one metric.
    [(1100, 31, "good"), (1100, 32, "bad"), (3000, 32, "good"), (1100, 10, "good"), (900, 32, "unknown")],
)
def test_errors_are_a_share_of_what_was_done_since(committed: int, rolled_back: int, is_judged: str) -> None:
    one = sample(counters=replace(COUNTERS, committed=committed, rolled_back=rolled_back))
    since_before(one, COUNTERS, 60)
    assert judged(one, "errors", error_count=20) == is_judged


def test_counters_that_were_reset_say_nothing() -> None:
    one = sample(counters=replace(COUNTERS, committed=2000, stats_reset="2026-01-01"))
    since_before(one, COUNTERS, 60)
    assert one.transactions is None and one.seconds_since is None


def test_a_database_that_is_gone_is_one_cause_and_no_other() -> None:
    gone = MonitorSample(
        at="", unreachable="no server", probes=[ProbeSample(name="users", verdict="FAIL", message="503")]
    )
    found = findings(gone, BASELINE, Thresholds(), ["audits"])
    assert [one.key for one in found if one.judged == "bad"] == ["database"]
    assert {one.judged for one in found if one.key != "database"} == {"unknown"}


def record() -> MonitorRecord:
    """The record of a watch that begins."""
    return MonitorRecord(
        project='a "shop"', state="running", started_at="", ends_at=None, interval_seconds=60, baseline=BASELINE
    )


def test_an_episode_begins_and_ends_after_samples_in_a_row() -> None:
    watch, limits = record(), Thresholds(confirm_samples=2)
    number_open = []
    for number, said in enumerate("gbgbbubgbggbb"):
        one = sample(number)
        words = {"g": "good", "b": "bad", "u": "unknown"}
        one.findings = [Finding(key="locks", judged=words[said], message=str(number))]  # type: ignore[arg-type]
        follow(watch, one, limits)
        # As a watch that is started again reads it.
        watch = from_dict(MonitorRecord, watch.as_dict())
        number_open.append(len(open_episodes(watch)))
    assert number_open == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 1]
    assert [(one.message, one.since[14:16], (one.until or "")[14:16]) for one in watch.episodes] == [
        ("4", "03", "09"),
        ("12", "11", ""),
    ]


def test_the_text_file_is_what_prometheus_reads() -> None:
    one = replace(sample(), probes=[ProbeSample(name="users", verdict="PASS", p95_seconds=0.25)])
    one.findings = findings(one, BASELINE, Thresholds(), ["audits"])
    families = {family.name: family for family in text_string_to_metric_families(exposition(record(), one))}
    (up,) = families["pgops_monitor_up"].samples
    assert (up.labels, up.value) == ({"project": 'a "shop"'}, 1)
    assert families["pgops_monitor_table_bytes"].samples[0].labels["table"] == 'public."a\nb"'
    assert {found.labels["state"] for found in families["pgops_monitor_connections"].samples} == {
        "idle",
        'odd "state"\\',
    }
    assert families["pgops_monitor_transactions_committed"].type == "counter"
    for family in families.values():
        series = [(found.name, tuple(sorted(found.labels.items()))) for found in family.samples]
        assert len(series) == len(set(series)), family.name


def test_the_page_is_whole_with_gaps_and_with_a_day_of_samples(tmp_path: Path) -> None:
    watch = record()
    many = [sample(number * 5) for number in range(1000)]
    for number, one in enumerate(many):
        since_before(one, COUNTERS, 300)
        one.probes = [ProbeSample(name="<users>", verdict="PASS", p95_seconds=0.1 + number % 7 / 100)]
    many[500] = MonitorSample(at=many[500].at, unreachable="gone", findings=[Finding(key="database", judged="bad")])
    file = tmp_path / "monitor.jsonl"
    file.write_text("".join(json.dumps(asdict(one)) + "\n" for one in many))
    shown = read_samples(file)
    assert len(shown) < 400 and shown[-1] == many[-1] and many[500] in shown
    text = page(watch, shown)
    assert text.count("<svg") >= 6 and "<script" not in text and "&lt;users&gt;" in text and "<users>" not in text
    assert len(text) < 2_000_000
    assert "No open alert" in page(watch, [])


def test_a_line_that_a_crash_cut_off_takes_no_other_with_it(tmp_path: Path) -> None:
    file = tmp_path / "monitor.jsonl"
    _append(file, sample(0))
    with file.open("a") as stream:
        stream.write('{"at": "20')
    _append(file, sample(1))
    assert read_samples(file) == [sample(0), sample(1)]


def test_without_jinja2_there_is_no_page_and_the_watch_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    write_page(tmp_path, record())
    assert list(tmp_path.iterdir()) == []


def test_rates_after_a_time_without_the_database_are_of_all_that_time() -> None:
    watch, gone = record(), MonitorSample(at=sample(5).at, unreachable="gone")
    for one in (sample(0), gone, after := sample(10, counters=replace(COUNTERS, committed=1600))):
        _since_counters(one, watch)
        watch.last_sample_at = one.at
    assert (after.transactions, after.seconds_since) == (600, 600)


def test_statements_are_slower_by_their_calls_since() -> None:
    before = {"a": Spent(100, 1.0), "b": Spent(100, 1.0), "c": Spent(100, 0.01), "d": Spent(0, 0.0)}
    now = {"a": Spent(120, 1.8), "b": Spent(105, 9.0), "c": Spent(200, 0.2), "d": Spent(99, 99.0), "e": Spent(99, 99.0)}
    assert list(slower_means(now, before)) == ["a"]


def test_two_metrics_of_one_name_are_refused() -> None:
    with pytest.raises(Exception, match="two metrics have this name"):
        read_metrics([{"name": "a", "query": "select 1"}, {"name": "a", "query": "select 2"}])
