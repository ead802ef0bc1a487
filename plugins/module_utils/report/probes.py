# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's endpoints in a run's report. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

PROBE_HEADER = ("verdict", "probe", "p95 before", "p95 after", "says")
_PASSED_SHOWN = 10


def probe_rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str]]:
    """What needs a look first, then what passed, as far as it can be looked over, then how many there are of each.

    :param before: C(probes-before.json), empty where there is none.
    :param after: C(probes-after.json); where it is empty, the run came no further than the baseline.
    """
    deciding = after or before
    earlier = {probe["name"]: probe for probe in before.get("probes", [])}
    probes = deciding.get("probes", [])
    passed = [probe for probe in probes if probe["verdict"] == "PASS"]
    for probe in [probe for probe in probes if probe["verdict"] != "PASS"] + passed[:_PASSED_SHOWN]:
        first, then = earlier.get(probe["name"], {}), probe if after else {}
        says = "; ".join(dict.fromkeys(part for part in (probe["message"], *probe["notes"]) if part))
        yield probe["verdict"], probe["name"], _milliseconds(first), _milliseconds(then), says
    if deciding:
        summary = ", ".join(
            f"{deciding[key]} {word}"
            for key, word in (
                ("passed", "passed"),
                ("failed", "failed"),
                ("warnings", "warnings"),
                ("skipped", "not asked"),
            )
        )
        yield deciding["verdict"], summary, "", "", ""


def _milliseconds(probe: Mapping[str, Any]) -> str:
    """The 95th percentile; a write is sent once, and one latency is no percentile."""
    seconds = None if probe.get("writes") else probe.get("p95_seconds")
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"
