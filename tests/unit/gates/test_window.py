# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When migrations may run: over midnight, over the change of clocks, and what cannot be a window."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.gates.window import given_window, judge_window

NIGHTS = {
    "days": ["mon", "thu"],
    "from": "22:00",
    "to": "05:00",
    "time_zone": "Europe/Berlin",
    "not_on": ["2026-12-24", "2026-11-27"],
}
EVERY_NIGHT = {"from": "01:00", "to": "02:30", "time_zone": "Europe/Berlin"}
GAP = {"from": "02:00", "to": "03:00", "time_zone": "Europe/Berlin"}


def judged(given: dict[str, Any], utc: str, estimate: float | None = None) -> Any:
    window = given_window(given)
    assert window is not None
    return judge_window(window, datetime.fromisoformat(utc).replace(tzinfo=timezone.utc), estimate)


@pytest.mark.parametrize(
    ("given", "utc", "is_open"),
    [
        # In winter Berlin is one hour ahead.
        (NIGHTS, "2026-11-23T20:59", False),
        (NIGHTS, "2026-11-23T21:00", True),
        (NIGHTS, "2026-11-24T03:59", True),
        (NIGHTS, "2026-11-24T04:00", False),
        (NIGHTS, "2026-11-24T22:00", False),
        # Thursday's ends at midnight, because Friday the 27th is shut; and what would open on the 24th of December does not.
        (NIGHTS, "2026-11-26T22:59", True),
        (NIGHTS, "2026-11-26T23:00", False),
        (NIGHTS, "2026-12-24T22:00", False),
        # The hour from two to three comes twice on 2026-10-25, and not at all on 2026-03-29.
        (EVERY_NIGHT, "2026-10-25T00:29", True),
        (EVERY_NIGHT, "2026-10-25T00:30", False),
        (EVERY_NIGHT, "2026-10-25T01:15", False),
        (GAP, "2026-03-29T00:59", False),
        (GAP, "2026-03-29T01:00", False),
        (GAP, "2026-03-30T00:30", True),
        ({"from": "00:00", "to": "24:00", "time_zone": "UTC"}, "2026-11-23T23:59", True),
        # YAML's 22:30 without quotes.
        ({"from": 1350, "to": "23:00", "time_zone": "UTC"}, "2026-11-23T22:30", True),
        ({"from": 1350, "to": "23:00", "time_zone": "UTC"}, "2026-11-23T22:29", False),
    ],
)
def test_open_and_shut(given: dict[str, Any], utc: str, is_open: bool) -> None:
    found = judged(given, utc)
    assert found.verdict == ("PASS" if is_open else "FAIL"), found
    assert is_open or "it opens" in found.evidence and "preflight_waivers: {window" in found.next_step


def test_it_says_when_it_opens_next() -> None:
    assert "it opens thu 2026-11-26 22:00" in judged(NIGHTS, "2026-11-24T12:00").evidence
    assert "it opens mon 2026-12-28 22:00" in judged(NIGHTS, "2026-12-24T12:00").evidence


@pytest.mark.parametrize(("estimate", "verdict"), [(None, "PASS"), (600, "PASS"), (2000, "WARNING"), (4000, "FAIL")])
def test_a_run_that_would_not_end_in_it_is_told(estimate: float | None, verdict: str) -> None:
    found = judged(NIGHTS, "2026-11-24T03:00", estimate)
    assert found.verdict == verdict and "60 minutes" in found.evidence
    assert estimate is None or f"{estimate} s" in found.evidence


def test_no_window_is_none() -> None:
    assert given_window({}) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({**NIGHTS, "to": "22:00"}, ["from and to are both 22:00"]),
        ({**NIGHTS, "from": "24:00"}, ["from cannot be 24:00"]),
        ({**NIGHTS, "days": []}, ["days is empty"]),
        (
            {
                "days": ["mo", "tues"],
                "from": "25:00",
                "time_zone": "Mars/Olympus",
                "not_on": ["24.12.2026"],
                "until": 1,
            },
            [
                "mo is no day",
                "25:00 is no time",
                "to is missing",
                "Mars/Olympus is not known",
                "24.12.2026 is no date",
                "until is not known",
            ],
        ),
        (
            {"from": "22:00", "to": "5", "time_zone": "../etc/passwd"},
            ["to: 5 is no time", "../etc/passwd is not known"],
        ),
        ({"from": "22:00", "to": "05:00"}, ["time_zone is missing"]),
        ({**NIGHTS, "not_on": "2026-02-30"}, ["2026-02-30 is no date"]),
    ],
)
def test_a_window_that_cannot_be_lists_all_that_is_wrong(given: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        given_window(given)
    for text in said:
        assert text in caught.value.what
    assert caught.value.where == "project_window" and caught.value.next_step
