# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""monitor.html: one file that loads nothing, drawn from a watch's samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.sizes import human_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.documents import MonitorRecord, MonitorSample
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.judgement import open_episodes
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.page_template import WATCH
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.telling import watched
from ansible_collections.pgops.supabase.plugins.module_utils.report.page import Tile, environment
from ansible_collections.pgops.supabase.plugins.module_utils.report.plots import line_plot
from ansible_collections.pgops.supabase.plugins.module_utils.report.section import Section

_LARGEST = 5
_STATES = {"running": "goes on", "finished": "is over", "stopped": "was ended early", "timer": "goes on, by a timer"}


@dataclass(frozen=True)
class Plot:
    """A drawing with what it shows."""

    title: str
    svg: Any


def page(record: MonitorRecord, samples: Sequence[MonitorSample]) -> str:
    """The watch as one HTML file.

    :raises ImportError: when Jinja2 is not installed.
    """
    made = environment()
    made.loader.mapping["watch"] = WATCH
    still_open = open_episodes(record)
    missing = ""
    try:
        plots = list(_plots(record, samples))
    except ImportError:
        plots, missing = [], "The plots need the Python package pygal, which is not installed where this page was made."
    text: str = made.get_template("watch").render(
        record=record,
        tone="bad" if still_open else "warn" if record.episodes else "good",
        word=(
            f"{len(still_open)} open {'alert' if len(still_open) == 1 else 'alerts'}" if still_open else "No open alert"
        ),
        how=f"The watch {_STATES[record.state]}; {record.samples} samples since {record.started_at}",
        tiles=list(_tiles(record, samples)),
        sections=list(enumerate(_sections(record, samples), 1)),
        plots=plots,
        plots_missing=missing,
    )
    return text


def _tiles(record: MonitorRecord, samples: Sequence[MonitorSample]) -> Iterator[Tile]:
    yield Tile("Samples", str(record.samples), f"every {record.interval_seconds:.0f} s")
    yield Tile("Alerts", str(len(record.episodes)), f"{len(open_episodes(record))} open")
    last = next((sample.health for sample in reversed(samples) if sample.health), None)
    if last is not None:
        yield Tile("Connections", str(last.connections_used), f"of {last.connections_limit}")
        yield Tile("Database", human_bytes(last.size_bytes_estimate), f"{last.tables_total} tables, an estimate")
        yield Tile("Asked in", f"{last.database_seconds * 1000:.0f} ms", "from the first question to the last answer")


def _sections(record: MonitorRecord, samples: Sequence[MonitorSample]) -> Iterator[Section]:
    rows = [
        (watched(one.key), one.message, one.since, one.until or "still so")
        for one in sorted(record.episodes, key=lambda one: one.since, reverse=True)
    ]
    yield Section("Alerts", ("what", "message", "since", "until"), rows or [("none", "", "", "")])
    last = next((sample for sample in reversed(samples) if sample.health), None)
    if last is None or last.health is None:
        return
    baseline = record.baseline
    endpoints = [
        (
            probe.name,
            probe.verdict,
            _ms(probe.p95_seconds),
            _ms(baseline.probes[probe.name].p95_seconds) if probe.name in baseline.probes else "",
            baseline.probes[probe.name].origin if probe.name in baseline.probes else "",
        )
        for probe in last.probes
    ]
    if endpoints:
        yield Section(
            "Endpoints, last", ("endpoint", "verdict", "95th percentile", "baseline", "baseline from"), endpoints
        )
    tables = [
        (
            table.name,
            human_bytes(table.total_bytes),
            "" if table.bloat_bytes_estimate is None else human_bytes(table.bloat_bytes_estimate),
            f"{table.dead_tuples:,}",
            table.last_vacuum or "never",
        )
        for table in last.health.tables
    ]
    yield Section("Largest tables, last", ("table", "size", "bloat, estimated", "dead tuples", "vacuumed"), tables)
    slower = [(one.statement, _ms(one.mean_seconds), _ms(one.baseline_mean_seconds)) for one in last.slower_statements]
    if slower:
        yield Section("Statements that are slower than before", ("statement", "mean", "mean before"), slower)
    metrics = [
        (one.name, one.verdict, "" if one.value is None else f"{one.value:g}", one.message)
        for one in last.health.metrics
    ]
    if metrics:
        yield Section("Metrics, last", ("metric", "verdict", "value", "message"), metrics)
    there = [(name, "when the watch began") for name in record.baseline.invalid or ()]
    there += [(name, "since") for name in last.health.invalid if name not in (record.baseline.invalid or ())]
    if there:
        yield Section("Not valid", ("what", "from"), there)
    if record.not_seen:
        yield Section("Not seen", ("what",), [(text,) for text in record.not_seen])


def _plots(record: MonitorRecord, samples: Sequence[MonitorSample]) -> Iterator[Plot]:
    from markupsafe import Markup

    if not samples:
        return
    labels = [f"{datetime.fromisoformat(sample.at):%d %H:%M}" for sample in samples]
    shown = 0
    for title, unit, lines in _figures(record, samples):
        drawn = {name: values for name, values in lines.items() if any(value is not None for value in values)}
        if drawn:
            shown += 1
            yield Plot(title, Markup(line_plot(f"plot{shown}", title, labels, drawn, unit)))


def _figures(
    record: MonitorRecord, samples: Sequence[MonitorSample]
) -> Iterator[tuple[str, str, dict[str, list[float | None]]]]:
    """What is drawn: a title, a unit, and lines."""

    def line(read: Callable[[MonitorSample], float | None]) -> list[float | None]:
        return [read(sample) for sample in samples]

    def of_health(name: str, factor: float = 1) -> list[float | None]:
        return line(lambda sample: getattr(sample.health, name) * factor if sample.health else None)

    def rate(name: str) -> list[float | None]:
        return line(lambda sample: _per_second(sample, name))

    names = dict.fromkeys(probe.name for sample in samples for probe in sample.probes)
    latency = {name: line(lambda sample, name=name: _p95(sample, name)) for name in names}  # type: ignore[misc]
    yield "Endpoints: 95th percentile", "milliseconds", latency
    yield (
        "Connections",
        "sessions",
        {"in use": of_health("connections_used"), "limit": of_health("connections_limit")},
    )
    yield (
        "Transactions",
        "a second",
        {"all": rate("transactions"), "rolled back": rate("rolled_back")},
    )
    yield (
        "Open transactions and waits for locks",
        "seconds",
        {
            "longest transaction": of_health("longest_transaction_seconds"),
            "longest wait for a lock": of_health("longest_lock_wait_seconds"),
        },
    )
    hit = line(lambda sample: None if sample.cache_hit_share is None else sample.cache_hit_share * 100)
    yield "Blocks found in the cache", "percent", {"found": hit}
    yield "WAL and temporary files", "bytes a second", {"WAL": rate("wal_bytes"), "temporary": rate("temporary_bytes")}
    tables = dict.fromkeys(
        table.name for sample in samples[-1:] if sample.health for table in sample.health.tables[:_LARGEST]
    )
    sizes = {name: line(lambda sample, name=name: _size(sample, name)) for name in tables}  # type: ignore[misc]
    yield "Largest tables", "MiB", sizes
    for metric in dict.fromkeys(one.name for sample in samples if sample.health for one in sample.health.metrics):
        yield f"Metric: {metric}", "value", {metric: line(lambda sample, name=metric: _metric(sample, name))}  # type: ignore[misc]


def _p95(sample: MonitorSample, name: str) -> float | None:
    found = next((probe.p95_seconds for probe in sample.probes if probe.name == name), None)
    return None if found is None else round(found * 1000, 2)


def _per_second(sample: MonitorSample, name: str) -> float | None:
    number: int | None = getattr(sample, name)
    return None if number is None or not sample.seconds_since else round(number / sample.seconds_since, 2)


def _size(sample: MonitorSample, name: str) -> float | None:
    tables = sample.health.tables if sample.health else []
    return next((round(table.total_bytes / 2**20, 3) for table in tables if table.name == name), None)


def _metric(sample: MonitorSample, name: str) -> float | None:
    metrics = sample.health.metrics if sample.health else []
    return next((metric.value for metric in metrics if metric.name == name), None)


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f} ms"
