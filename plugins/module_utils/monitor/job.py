# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project watched for some time, or once; what it is held against, who is told, and what is left behind.

Everything is written down after each sample, so a watch that is ended in any way goes on where it was when it is started again.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.claims import cleaning_up_when_ended
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict, utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BusyError, ConnectionFailed, InputError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import (
    PRIVATE_FILE,
    make_private_directory,
    read_json,
    write_atomically,
    write_json,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.progress import Progress
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.documents import (
    MonitorRecord,
    MonitorSample,
    Thresholds,
    WatchState,
)
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.judgement import findings, follow, open_episodes
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.page import page
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.sampling import Watched, baseline_of_run, take
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.telling import People, tell
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.textfile import exposition
from ansible_collections.pgops.supabase.plugins.module_utils.notify.job import check_channels

RECORD_FILE = "monitor.json"
SAMPLES_FILE = "monitor.jsonl"
PAGE_FILE = "monitor.html"
# The node exporter runs as somebody else.
_READABLE = 0o644
_TICK_SECONDS = 0.5
# A page is drawn anew at each sample until there are many, then now and then and at the end: reading them all takes a while.
_PAGE_EVERY = 12
# What a page is drawn from at most, for a timer has no end: a month of samples every five minutes.
_MOST_SAMPLES = 8_640
# As many moments as a drawing of that width can show.
_MOST_POINTS = 360


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What is to be watched, for how long and how often."""

    project: str
    run_dir: Path
    watched: Watched
    duration_seconds: float = 86_400.0
    interval_seconds: float = 300.0
    # One sample, for a timer, which has no end.
    once: bool = False
    thresholds: Thresholds = field(default_factory=Thresholds)
    people: People = field(default_factory=People)
    textfile: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Watching:
    """How far the watch is when this call ends."""

    record: MonitorRecord
    # What could not be told to people, in sentences.
    problems: list[str]


def monitor(watch: Watch, *, pretend: bool = False) -> Watching:
    """Watch until the time is over, or take one sample.

    SIGTERM and Ctrl-C end it early, and what was seen so far is written down.

    :param pretend: take one sample and judge it; write nothing and tell nobody.
    :raises InputError: when a channel, a probe or the record cannot be used.
    :raises ConnectionFailed: when the database cannot be reached for the very first sample: later that is an alert.
    :raises BusyError: when another watch is at work on the same directory.
    """
    _check(watch)
    check_channels(watch.people.channels, watch.people.templates)
    if pretend:
        record = _record_of(watch)
        _sample(watch, record)
        return Watching(record=record, problems=[])
    make_private_directory(watch.run_dir)
    with _alone(watch.run_dir):
        record = _record_of(watch)
        problems: list[str] = []
        try:
            with cleaning_up_when_ended():
                _go_on(watch, record, problems)
        except (KeyboardInterrupt, SystemExit):
            record.state = "stopped"
        _keep(watch, record)
        write_page(watch.run_dir, record)
        return Watching(record=record, problems=problems)


def _go_on(watch: Watch, record: MonitorRecord, problems: list[str]) -> None:
    progress = Progress("monitor", watch.project)
    with progress.phase("watching"):
        while _once(watch, record, problems, progress):
            pass


def _once(watch: Watch, record: MonitorRecord, problems: list[str], progress: Progress) -> bool:
    """Take a sample, write it down, tell of it, and wait for the next; whether there is one."""
    began = time.monotonic()
    sample = _sample(watch, record)
    _append(watch.run_dir / SAMPLES_FILE, sample)
    _keep(watch, record)
    if watch.textfile is not None:
        write_atomically(watch.textfile, exposition(record, sample).encode(), mode=_READABLE)
    where = f"{socket.gethostname()}:{(watch.run_dir / PAGE_FILE).absolute()}"
    told = tell(watch.people, record, where, lambda: _keep(watch, record))
    # A channel that is gone for a day fails at each sample.
    problems += [problem for problem in told if problem not in problems]
    if watch.once:
        return False
    if record.samples <= _PAGE_EVERY or record.samples % _PAGE_EVERY == 0:
        write_page(watch.run_dir, record)
    if _wait(record, began + watch.interval_seconds, progress):
        return True
    record.state = "finished"
    return False


def _wait(record: MonitorRecord, until: float, progress: Progress) -> bool:
    """Wait for the next sample; whether there is one."""
    if record.ends_at is None:
        raise AssertionError("a single sample is not waited for")
    started, ends = datetime.fromisoformat(record.started_at), datetime.fromisoformat(record.ends_at)
    total = max(1, round((ends - started).total_seconds() / record.interval_seconds))
    alerts = len(open_episodes(record))
    while True:
        progress.at("watching", samples_done=record.samples, samples_total=total, alerts_open=alerts)
        if datetime.now(timezone.utc) >= ends:
            return False
        if (left := until - time.monotonic()) <= 0:
            return True
        time.sleep(min(left, _TICK_SECONDS))


def _sample(watch: Watch, record: MonitorRecord) -> MonitorSample:
    sample = take(watch.watched, record)
    if sample.health is None and record.baseline.error_share is None and record.samples == 0:
        raise ConnectionFailed(
            f"The watch cannot begin: {sample.unreachable}",
            where=watch.project,
            next_step="See that the database can be reached, then start the watch again.",
        )
    names = [metric.name for metric in watch.watched.metrics]
    sample.findings = findings(sample, record.baseline, watch.thresholds, names)
    follow(record, sample, watch.thresholds)
    record.samples += 1
    record.last_sample_at = sample.at
    return sample


def _record_of(watch: Watch) -> MonitorRecord:
    """The record to go on with: that of a watch whose time is not over, or a new one that knows what is open still."""
    file = watch.run_dir / RECORD_FILE
    before = read_record(file)
    now = datetime.now(timezone.utc)
    ends = None if watch.once else (now + timedelta(seconds=watch.duration_seconds)).isoformat(timespec="milliseconds")
    state: WatchState = "timer" if watch.once else "running"
    if before is None:
        return MonitorRecord(
            project=watch.project,
            state=state,
            started_at=utc_now(),
            ends_at=ends,
            interval_seconds=watch.interval_seconds,
            baseline=baseline_of_run(watch.run_dir),
        )
    before.interval_seconds = watch.interval_seconds
    if watch.once:
        goes_on = before.state == "timer"
    else:
        goes_on = (
            before.ends_at is not None and before.state != "finished" and datetime.fromisoformat(before.ends_at) > now
        )
    if not goes_on:
        before.started_at, before.ends_at, before.samples = utc_now(), ends, 0
    before.state = state
    return before


def read_record(file: Path) -> MonitorRecord | None:
    """The record of a watch; None where there is none.

    :raises InputError: when it is damaged.
    """
    try:
        return from_dict(MonitorRecord, read_json(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"How far the watch was cannot be read: {error}",
            where=str(file),
            next_step="Move it away, and the watch begins anew.",
        ) from error


def last_watch(project_dir: Path) -> tuple[Path, MonitorRecord] | None:
    """The watch of a project with the newest sample, and its directory; one whose record is damaged is none."""
    found = []
    for file in project_dir.glob(f"*/{RECORD_FILE}"):
        with suppress(InputError):
            if record := read_record(file):
                found.append((record.last_sample_at or "", file.parent, record))
    if not found:
        return None
    _at, directory, record = max(found, key=lambda one: one[:2])
    return directory, record


def read_samples(file: Path) -> list[MonitorSample]:
    """The newest samples of a watch in order, as many as can be drawn: of each stretch the one with most that was wrong, and the last.

    A line that was cut off by a crash is left out.
    """
    read = []
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            lines = deque(stream, maxlen=_MOST_SAMPLES)
    except FileNotFoundError:
        return []
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            found = json.loads(line)
            read.append((sum(one["judged"] == "bad" for one in found["findings"]), found))
    earlier, last = read[:-1], read[-1:]
    step = max(1, -(-len(earlier) // _MOST_POINTS))
    stretches = (earlier[start : start + step] for start in range(0, len(earlier), step))
    samples = []
    for _bad, found in [*(max(stretch, key=lambda one: one[0]) for stretch in stretches), *last]:
        with suppress(ValueError, TypeError):
            samples.append(from_dict(MonitorSample, found))
    return samples


def write_page(run_dir: Path, record: MonitorRecord) -> None:
    """Draw monitor.html from what was seen so far; not where Jinja2 is not installed, on a bastion for example."""
    with suppress(ImportError):
        write_atomically(run_dir / PAGE_FILE, page(record, read_samples(run_dir / SAMPLES_FILE)).encode())


def _keep(watch: Watch, record: MonitorRecord) -> None:
    write_json(watch.run_dir / RECORD_FILE, record.as_dict())


def _append(file: Path, sample: MonitorSample) -> None:
    line = json.dumps(asdict(sample), ensure_ascii=False, separators=(",", ":"))
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, PRIVATE_FILE)
    with os.fdopen(descriptor, "a+b") as stream:
        if stream.seek(0, os.SEEK_END) and os.pread(descriptor, 1, stream.tell() - 1) != b"\n":
            # A crash has cut the last line off: this one must not be lost with it.
            stream.write(b"\n")
        stream.write(f"{line}\n".encode())


@contextmanager
def _alone(run_dir: Path) -> Iterator[None]:
    """The only watch of this directory, for the time of the block: the lock ends with the process, however it ends."""
    descriptor = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(
                "Another watch is at work on this run",
                where=str(run_dir),
                next_step="Let it, or end it first; a timer's is removed with -e monitor_timer=absent.",
            ) from error
        yield
    finally:
        os.close(descriptor)


def _check(watch: Watch) -> None:
    given = {"duration_seconds": watch.duration_seconds, "interval_seconds": watch.interval_seconds}
    for name, value in given.items():
        if value <= 0:
            raise InputError(f"{value:g} seconds are none", where=name, next_step="Give more than 0.")
