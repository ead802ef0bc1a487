# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fault tests found, as a table of figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

HEADINGS = (
    "scope",
    "fault",
    "points",
    "untouched",
    "in part",
    "complete",
    "as undisturbed after the next run",
    "seconds",
)


@dataclass(frozen=True)
class Figures:
    """One scope with one fault: how many points, what each fault left, and at how many the next run made it whole."""

    scope: str
    fault: str
    points: int
    untouched: int
    in_part: int
    complete: int
    right: int
    seconds: float

    def as_properties(self) -> dict[str, Any]:
        """Plain values, as a test's report can carry them from one process to another."""
        return dict(vars(self))

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        counts = (self.points, self.untouched, self.in_part, self.complete, self.right)
        return (self.scope, self.fault, *map(str, counts), f"{self.seconds:.0f}")


def total(rows: Sequence[Figures]) -> Figures:
    """All rows as one."""
    return Figures(
        scope="all",
        fault="",
        points=sum(row.points for row in rows),
        untouched=sum(row.untouched for row in rows),
        in_part=sum(row.in_part for row in rows),
        complete=sum(row.complete for row in rows),
        right=sum(row.right for row in rows),
        seconds=sum(row.seconds for row in rows),
    )


def table(rows: Iterable[Figures]) -> list[str]:
    """The lines of the table."""
    ordered = sorted(rows, key=lambda row: (row.scope, row.fault))
    lines = [HEADINGS, *(row.cells for row in ordered), total(ordered).cells]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return [
        "  ".join(cell.ljust(width) if column < 2 else cell.rjust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in lines)
    ]


def closing_line(rows: Sequence[Figures]) -> str:
    """All of it in one line."""
    sums = total(rows)
    return (
        f"faults: {sums.points} points, {sums.right} as they have to be; the fault left {sums.untouched} untouched, "
        f"{sums.in_part} in part as documented, {sums.complete} complete"
    )
