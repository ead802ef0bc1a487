# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of exact row counts and of their comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document
from ansible_collections.pgops.supabase.plugins.module_utils.validation.documents import Verdict


@dataclass(kw_only=True)
class TableCount:
    """The exact number of rows of one table."""

    schema: str
    table: str
    rows: int


@dataclass(kw_only=True)
class RowCounts(Document):
    """counts-before.json, counts-after.json: exact counts of one snapshot."""

    kind: ClassVar[str] = "row_counts"
    taken_at: str
    server_version: str
    tables: list[TableCount]
    total: int
    duration_seconds: float


@dataclass(kw_only=True)
class RowChange:
    """How many rows a transaction itself inserted less deleted in one table.

    ``emptied``: none of the rows from before is left (TRUNCATE, or the table was dropped), and ``change`` counts from an empty
    table. ``was``: schema and name from before, where it was renamed.
    """

    schema: str
    table: str
    change: int
    emptied: bool = False
    was: list[str] | None = None


@dataclass(kw_only=True)
class RowDeclaration:
    """What a file says of a table's rows: how many more (negative: less) there will be, None for any. ``where`` it says so."""

    schema: str
    table: str
    rows: int | None
    where: str


@dataclass(kw_only=True)
class CountChange:
    """One table before and after, None where it was not counted. ``own_change`` is what the transaction itself did to its rows."""

    schema: str
    table: str
    before: int | None
    after: int | None
    own_change: int | None
    verdict: Verdict
    message: str


@dataclass(kw_only=True)
class CountComparison(Document):
    """Counts after against the baseline, under the contract of what may change."""

    kind: ClassVar[str] = "count_comparison"
    tables: list[CountChange]
    verdict: Verdict
