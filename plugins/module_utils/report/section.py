# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sections of a report as data: what feeds the terminal, report.md and report.html alike. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

Documents = Mapping[str, Mapping[str, Any]]
Row = tuple[str, ...]
# Letters of what counts as a word or two.
_SHORT = 24

_SILENT = ("says nothing", "not run")
# The rows of lists of names and values that the terminal shows in short.
_SHORT_ROWS: Mapping[str, Callable[[Row], bool]] = {
    "Run": lambda row: row[0] in ("took", "reason"),
    "Plan": lambda row: row[0] != "hash",
    "Backup": lambda row: row[0] == "archive",
}


class Section:
    """A heading and the rows below it; cells line up in the text and become a table in Markdown and HTML.

    :param header: the heads of the columns; empty ones for a list of names and values.
    :param in_order: which rows need nobody's attention. The page folds them away; the other forms show them all.
    """

    def __init__(
        self,
        title: str,
        header: Sequence[str],
        rows: Iterable[Sequence[Any]],
        in_order: Callable[[Row], bool] = lambda row: False,
    ) -> None:
        self.title = title
        self.header = list(header)
        self.rows: list[Row] = [tuple("" if cell is None else str(cell) for cell in row) for row in rows]
        self._in_order = in_order

    @property
    def is_list(self) -> bool:
        """Whether these are names and values, and no table with heads."""
        return not any(self.header)

    @property
    def numeric_columns(self) -> set[int]:
        """The columns that hold numbers only; lists of names and values have none."""
        if self.is_list:
            return set()
        columns = enumerate(zip(*self.rows))
        return {index for index, cells in columns if any(cells) and all(not cell or is_number(cell) for cell in cells)}

    @property
    def short_columns(self) -> set[int]:
        """The columns whose cells are a word or two: those are not broken over lines where there is room."""
        columns = enumerate(zip(*([] if self.is_list else self.rows)))
        return {index for index, cells in columns if all(len(cell) <= _SHORT for cell in cells)}

    @property
    def shown(self) -> list[Row]:
        """The rows that a person should see at once."""
        return [row for row in self.rows if not self._in_order(row)]

    @property
    def folded(self) -> list[Row]:
        """The rows that are as they should be."""
        return [row for row in self.rows if self._in_order(row)]

    def as_text(self) -> Iterator[str]:
        """Lines for the terminal."""
        yield self.title
        table = self.rows if self.is_list else [tuple(self.header), *self.rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(self.header))] if table else []
        for row in table:
            yield ("  " + "  ".join(_pad(cell, width) for cell, width in zip(row, widths))).rstrip()

    def as_markdown(self) -> Iterator[str]:
        """Lines of Markdown."""
        yield f"## {self.title}"
        yield ""
        yield "| " + " | ".join(self.header) + " |"
        yield "|" + " --- |" * len(self.header)
        for row in self.rows:
            yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
        yield ""


def number(count: int, noun: str) -> str:
    """A count with its noun: 1 table, 2 tables."""
    return f"{count} {noun}{'s' * (count != 1)}"


def is_number(cell: str) -> bool:
    """Whether a cell is a number, or the dash where there is none: those are set to the right."""
    return cell == "-" or cell.replace(".", "", 1).isdigit()


def _pad(cell: str, width: int) -> str:
    return cell.rjust(width) if is_number(cell) else cell.ljust(width)


def in_short(section: Section) -> Section | None:
    """What of a section somebody should look at, and how much there is of the rest; None for what the report alone has."""
    title, header, rows = section.title, section.header, section.rows
    if title in ("Failure", "Durations"):
        return None
    if title in _SHORT_ROWS:
        rows = [row for row in rows if _SHORT_ROWS[title](row)]
    elif title == "Objects":
        header = ["", ""]
        rows = [("changed", f"{sum(int(row[1]) for row in rows)}: " + ", ".join(f"{row[1]} {row[0]}" for row in rows))]
    elif title == "Rows":
        total = rows[-1:] if rows[-1][0] == "total" else []
        compared = sum(bool(row[3]) for row in section.folded)
        equal = [(number(compared, "table"), "", "", "unchanged")] if compared else []
        rows = [row for row in section.shown if row not in total] + equal + total
    elif title == "Probes":
        passed = ("PASS", f"{len(section.folded)} of {len(rows)}", *[""] * (len(header) - 2))
        rows = [*section.shown, *([passed] if section.folded else [])]
        if not section.shown:
            header, rows = [""], [(f"{len(section.folded)} of {len(section.rows)} answered as they should",)]
    elif title == "Checks":
        header, rows = _checks_in_short(section)
    return Section(title, header, rows) if rows else None


def _checks_in_short(section: Section) -> tuple[list[str], list[Row]]:
    """What did not pass, then the sum, with how many statements say nothing."""
    *checks, total = section.rows
    silent = sum(row[0] in _SILENT for row in checks)
    sum_of_all = total[1] + (f"; {silent} statements say nothing" if silent else "")
    wrong = [row for row in checks if row[0] not in ("PASS", *_SILENT)]
    if not wrong:
        return [""], [(sum_of_all,)]
    return section.header, [*wrong, (total[0], sum_of_all, *total[2:])]
