# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line that tells a person how far a job is."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.progress_text import ProgressText


def report(phase: str, event: str, *, subject: str = "prod", **figures: Any) -> dict[str, Any]:
    return {
        "at": "2026-01-01T00:00:00Z",
        "job": "backup",
        "subject": subject,
        "phase": phase,
        "event": event,
        **figures,
    }


def test_a_phase_is_told_from_its_begin_to_its_end() -> None:
    text = ProgressText()
    assert text.line(0) == ""
    text.take(report("dump", "begin", tables_total=8, bytes_total=2_000_000_000), 10)
    assert text.line(10) == "backup prod: dump, 0 of 8 tables, 0 of 2,000 MB"
    text.take(report("dump", "progress", tables_done=3, tables_total=8, bytes_done=5e8, bytes_total=2e9), 12)
    assert text.line(15.2) == "backup prod: dump, 3 of 8 tables, 500 of 2,000 MB, 5 s"
    text.take(report("dump", "end", seconds=6), 16)
    assert text.line(16) == ""


def test_a_phase_without_figures_is_told_by_its_time() -> None:
    text = ProgressText()
    text.take(report("read", "begin"), 0)
    assert text.line(61) == "backup prod: read, 61 s"
    text.take(report("read", "progress", bytes_done=7_000_000), 62)
    assert text.line(62) == "backup prod: read, 7 MB, 62 s"


def test_several_run_side_by_side() -> None:
    text = ProgressText()
    text.take(report("read", "begin"), 0)
    text.take(report("seal", "begin"), 0)
    text.take(report("count", "begin", subject="dev"), 0)
    assert text.line(0) == "backup prod: read | backup prod: seal | backup dev: count"
    text.take(report("seal", "failed"), 1)
    text.forget("dev")
    assert text.line(0) == "backup prod: read"


def test_what_comes_after_the_end_begins_nothing() -> None:
    text = ProgressText()
    text.take(report("dump", "dumped", tables_done=3), 0)
    assert text.line(0) == ""


@pytest.mark.parametrize("garbage", [None, 5, [], {}, {"job": "backup"}, "text"])
def test_garbage_is_refused(garbage: Any) -> None:
    with pytest.raises(ValueError, match="not a report"):
        ProgressText().take(garbage, 0)
