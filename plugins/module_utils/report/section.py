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


def is_number(cell: str) -> bool:
    """Whether a cell is a number, or the dash where there is none: those are set to the right."""
    return cell == "-" or cell.replace(".", "", 1).isdigit()


def _pad(cell: str, width: int) -> str:
    return cell.rjust(width) if is_number(cell) else cell.ljust(width)
