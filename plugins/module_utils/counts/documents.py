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
class CountChange:
    """One table before and after. ``own_change`` is what the deciding transaction itself inserted less deleted."""

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
