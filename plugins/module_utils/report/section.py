# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of a report: a heading with a table, as text or Markdown, whole or in short."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any


class Section:
    """A heading and the rows below it; cells line up in the text and become a table in Markdown."""

    def __init__(self, title: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self.title = title
        self.header = list(header)
        self.rows = [["" if cell is None else str(cell) for cell in row] for row in rows]

    def as_text(self) -> Iterator[str]:
        """Lines for a terminal."""
        yield self.title
        table = [self.header, *self.rows] if any(self.header) else self.rows
        widths = [max(len(row[i]) for row in table) for i in range(len(self.header))] if table else []
        for row in table:
            yield ("  " + "  ".join(_pad(cell, width) for cell, width in zip(row, widths))).rstrip()

    def as_markdown(self) -> Iterator[str]:
        """Lines for report.md."""
        yield f"## {self.title}"
        yield ""
        yield "| " + " | ".join(self.header) + " |"
        yield "|" + " --- |" * len(self.header)
        for row in self.rows:
            yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
        yield ""


# Rows that need nobody's attention, by the title of their section: the column that tells, and what it says of them.
_IN_ORDER = {
    "Rows": (3, ("", "equal", "unchanged", "PASS unchanged")),
    "Checks": (0, ("PASS", "says nothing", "not run")),
}


def in_short(section: Section) -> Section | None:
    """What of a section somebody should look at, and how much there is of the rest; None for what the report alone has."""
    title, header, rows = section.title, section.header, section.rows
    if title in ("Failure", "Durations"):
        return None
    if title == "Run":
        rows = [row for row in rows if row[0] in ("took", "reason")]
    elif title == "Plan":
        rows = [row for row in rows if row[0] != "hash"]
    elif title == "Backup":
        rows = [row for row in rows if row[0] == "archive"]
    elif title == "Objects":
        header = ["", ""]
        rows = [["changed", f"{sum(int(row[1]) for row in rows)}: " + ", ".join(f"{row[1]} {row[0]}" for row in rows)]]
    elif title in _IN_ORDER:
        rows = list(_out_of_order(title, rows))
        if title == "Checks" and len(rows) == 1:
            header, rows = [""], [rows[0][1:2]]
    return Section(title, header, rows) if rows else None


def _out_of_order(title: str, rows: Sequence[list[str]]) -> Iterator[list[str]]:
    column, in_order = _IN_ORDER[title]
    total, rows = (rows[-1:], rows[:-1]) if rows and (title == "Checks" or rows[-1][0] == "total") else ([], rows)
    left_out = [row for row in rows if row[column] in in_order]
    yield from (row for row in rows if row not in left_out)
    if title == "Rows":
        yield from ([f"{len(left_out)} tables", "", "", "unchanged"] for row in left_out[:1] if row[column])
        yield from total
    else:
        silent = sum(row[column] != "PASS" for row in left_out)
        for row in total:
            yield [row[0], row[1] + (f"; {silent} statements say nothing" if silent else ""), *row[2:]]


def _pad(cell: str, width: int) -> str:
    """Numbers, and the dash where there is none, to the right; words to the left."""
    return cell.rjust(width) if cell == "-" or cell.replace(".", "", 1).isdigit() else cell.ljust(width)
