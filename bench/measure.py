# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measuring one program beside others: the same work, in turns, medians, and the ratio to the one that is compared with."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """One run. ``peak_bytes``: the most memory that one of its processes had; ``size_bytes``: of what it made, 0 for nothing."""

    seconds: float
    peak_bytes: int
    size_bytes: int = 0


@dataclass(frozen=True)
class Contender:
    """One way to do the work. ``prepare`` is not measured, ``work`` is; ``check`` proves that the work was done."""

    name: str
    work: Callable[[], Sample]
    prepare: Callable[[], None] = lambda: None
    check: Callable[[], None] = lambda: None


@dataclass
class Result:
    """What was measured of one contender."""

    contender: Contender
    samples: list[Sample] = field(default_factory=list)

    def seconds(self) -> float:
        return statistics.median(sample.seconds for sample in self.samples)

    def peak_megabytes(self) -> float:
        return statistics.median(sample.peak_bytes for sample in self.samples) / 1e6

    def size_megabytes(self) -> float:
        return statistics.median(sample.size_bytes for sample in self.samples) / 1e6


def run_measured(command: Sequence[str | Path], env: Mapping[str, str], stdin: str = "") -> Sample:
    """Run one command to its end.

    :raises SystemExit: when it fails; what it wrote is shown.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(stdin.encode())
        given.seek(0)
        started = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command], env=dict(env), stdin=given, stdout=said, stderr=subprocess.STDOUT
        )
        # Of the process and of those that it waited for: the largest.
        dummy, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"{command[0]} ended with {process.returncode}:\n{said.read().decode(errors='replace')[-3000:]}")
    return Sample(seconds, usage.ru_maxrss * 1024)


def compare(title: str, contenders: Sequence[Contender], *, base: str, rounds: int) -> None:
    """Let the contenders do the work in turns, and print the table; the ratios are to the one named as base."""
    results = [Result(contender) for contender in contenders]
    for number in range(rounds):
        for result in results:
            result.contender.prepare()
            result.samples.append(result.contender.work())
            result.contender.check()
            print(
                f"    {title}: round {number + 1}, {result.contender.name}: {result.samples[-1].seconds:.2f} s",
                flush=True,
            )
    base_seconds = next(result for result in results if result.contender.name == base).seconds()
    print(f"\n{title}; medians of {rounds}, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    print("| | ratio | seconds | peak memory, MB | size, MB |\n|---|---|---|---|---|")
    for result in sorted(results, key=Result.seconds):
        seconds, size = result.seconds(), result.size_megabytes()
        cells = (
            result.contender.name,
            f"{seconds / base_seconds:.2f}",
            f"{seconds:.2f}",
            f"{result.peak_megabytes():.0f}",
        )
        print(f"| {' | '.join(cells)} | {f'{size:.0f}' if size else ''} |")
    print(flush=True)


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files beneath a directory."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
