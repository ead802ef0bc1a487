# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the runbook's callback words things."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.plugin_utils.runbook_channel import Running
from ansible_collections.pgops.supabase.plugins.plugin_utils.runbook_text import (
    Failure,
    Heading,
    bounded,
    cells,
    clean,
    duration,
    fact_lines,
    failure_lines,
    failure_of,
    from_here,
    heading_of,
    phase_lines,
    progress_line,
    progress_share,
    seconds_left,
    told,
)


def test_a_phase_is_a_task_with_a_number() -> None:
    assert heading_of("(3/7) Back up and verify the backup") == Heading(3, 7, "Back up and verify the backup")
    assert heading_of("Back up (3/7)") is None and heading_of("") is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (12.34, "12.3 s"), (99.96, "1 min 40 s"), (125, "2 min 05 s"), (3720, "1 h 02 min")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_server_cannot_steer_the_terminal() -> None:
    assert clean("a\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J\rb\tc\x00\n") == "ared2Jb    c\n"


def test_a_phase_fits_its_terminal() -> None:
    heading = Heading(3, 7, "Back up and verify the backup")
    assert phase_lines(heading, "ok", 2.4, "10.1 MB", None) == [
        "  3/7   Back up and verify the backup  ok         2.4 s  10.1 MB"
    ]
    narrow = phase_lines(heading, "FAILED", 2.4, "ten megabytes in twenty-five files, all of them read back", 40)
    assert narrow[0] == "  3/7   Back up and verify the backup: FAILED, 2.4 s"
    assert max(map(cells, narrow[1:])) <= 40
    assert phase_lines(heading, "skipped", 0, "", 120) == ["  3/7   Back up and verify the backup  skipped"]


def test_a_summary_fits_its_terminal() -> None:
    line = "  created     15 indexes, 12 constraints, 4 functions, 4 policies"
    assert fact_lines(line, None) == [line] and fact_lines(line, 80) == [line]
    assert fact_lines(line, 40) == [
        "  created     15 indexes, 12",
        "              constraints, 4 functions,",
        "              4 policies",
    ]
    assert fact_lines("              4 policies in a list that is long", 40)[1].startswith(" " * 14)
    assert fact_lines("no fact but a sentence of many words that is long", 40)[1:] == []


def test_paths_are_shown_from_where_one_is() -> None:
    assert from_here("  documents  /app/runs/shop/1", "/app") == "  documents  runs/shop/1"
    assert from_here("-e app='/app/x' in /srv/app/x and /application/x of /app", "/app") == (
        "-e app='x' in /srv/app/x and /application/x of /app"
    )
    assert from_here("/app/runs", "/") == "/app/runs"


def test_a_failure_is_taken_apart_wherever_its_parts_are() -> None:
    ours = {
        "msg": "No room",
        "error": {"code": "backup", "outcome": "unchanged", "where": "/b", "state": "as before", "next_step": "mend"},
    }
    assert failure_of(ours, "3/7 Back up") == Failure("No room", "3/7 Back up", "/b", "as before", "mend", "backup")
    text = "It broke\nin two.\nWhere: a.sql:1:2\nState: as before.\nNext: mend it.\nAnd more."
    assert told(text) == Failure("It broke\nin two.", "", "a.sql:1:2", "as before.", "mend it.", None, ["And more."])
    command = failure_of({"msg": "non-zero return code", "rc": 3, "stderr": "out of paper\n", "stdout": "x"}, "p")
    assert (command.what, command.more) == ("non-zero return code", ["out of paper"])
    assert failure_of({"censored": "hidden"}, "p").what == "hidden"


def test_a_block_says_each_part_once_and_stays_in_its_width() -> None:
    failure = Failure(
        "It broke. " * 20, "5/7 Apply", "/a/long/path/" + "x" * 60, "as before", "mend it", "statement", ["more"]
    )
    lines = failure_lines("prod", failure, 40)
    assert lines[0] == "FAILED prod, in 5/7 Apply"
    assert [line[:9].strip() for line in lines if line[2:6].strip()] == ["FAILED pr", "what", "where", "state", "next"]
    assert all(cells(line) <= 40 or "/a/long/path" in line for line in lines)


def test_a_huge_message_is_cut_in_the_middle() -> None:
    lines = bounded("\n".join(str(number) for number in range(10_000)) + "\n" + "y" * 50_000)
    assert len(lines) == 61 and lines[0] == "0" and "lines more" in lines[40] and len(lines[-1]) < 2100


def report(event: str, **figures: Any) -> dict[str, Any]:
    return {"job": "backup", "subject": "prod", "phase": "dump", "event": event, **figures}


def test_progress_says_how_much_of_how_much_and_when() -> None:
    running = Running()
    running.take(report("begin", tables_total=8, bytes_total=2_000_000_000), 10)
    ((told_now, seconds),) = running.now(10)
    assert progress_line(told_now, seconds) == "backup prod: dump, 0 of 8 tables, 0 of 2,000 MB"
    running.take(report("progress", tables_done=3, tables_total=8, bytes_done=5e8, bytes_total=2e9), 12)
    ((told_now, seconds),) = running.now(15)
    assert (
        progress_line(told_now, seconds)
        == "backup prod: dump, 3 of 8 tables, 500 of 2,000 MB, 5.0 s, about 15.0 s left"
    )
    running.take(report("end"), 16)
    assert running.now(16) == []
    with pytest.raises(ValueError, match="not a report"):
        running.take({"stop": True}, 1)


def test_nobody_guesses_from_nothing() -> None:
    assert progress_share({"phase": "read"}) is None and seconds_left({"phase": "read"}, 60) is None
    assert seconds_left(report("progress", statements_done=0, statements_total=60), 60) is None
    assert seconds_left(report("progress", statements_done=15, statements_total=60), 60) == 180
    assert progress_share(report("progress", bytes_done=7, bytes_total=5)) == (5, 5)
