# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What jobs tell of their progress, in one line for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_ENDS = ("end", "failed")


class ProgressText:
    """The phases that are running now, of all jobs."""

    def __init__(self) -> None:
        # By job, subject and phase: when it began, and the newest report of it.
        self._running: dict[tuple[str, str, str], tuple[float, Mapping[str, Any]]] = {}

    def take(self, report: Any, now: float) -> None:
        """Learn from one report, as :class:`Progress` makes them.

        :param now: when it came, in seconds of any clock.
        :raises ValueError: when it is none.
        """
        try:
            phase = (str(report["job"]), str(report["subject"]), str(report["phase"]))
            event = report["event"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a report of progress: {report!r}") from error
        if event in _ENDS:
            self._running.pop(phase, None)
        elif event == "begin":
            self._running[phase] = (now, report)
        elif phase in self._running:
            self._running[phase] = (self._running[phase][0], report)

    def forget(self, subject: str) -> None:
        """Nothing runs for this project any more: a job that was killed could not say that it ended."""
        self._running = {phase: told for phase, told in self._running.items() if phase[1] != subject}

    def line(self, now: float) -> str:
        """How far everything is; empty when nothing is running."""
        return " | ".join(
            f"{job} {subject}: {', '.join([phase, *_figures(report), *_duration(now - began)])}"
            for (job, subject, phase), (began, report) in self._running.items()
        )


def _figures(report: Mapping[str, Any]) -> Iterator[str]:
    if report.get("tables_total"):
        yield f"{report.get('tables_done', 0)} of {report['tables_total']} tables"
    done, total = report.get("bytes_done", 0), report.get("bytes_total")
    if total:
        yield f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
    elif done:
        yield f"{done / 1e6:,.0f} MB"


def _duration(seconds: float) -> Iterator[str]:
    if seconds >= 1:
        yield f"{seconds:.0f} s"
