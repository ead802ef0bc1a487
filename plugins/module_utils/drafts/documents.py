# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of drafted rollbacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import TouchedRows, UnexecutedStatement
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange


@dataclass(kw_only=True)
class UncoveredObject:
    """An object that a draft leaves to a person, and why."""

    object_name: str
    reason: str


@dataclass(kw_only=True)
class RollbackDraft:
    """A draft of one migration's rollback, and what became of it when it was tried.

    ``exact``: up and the draft returned the catalog as it was. ``rows_written``: what no draft takes back.
    ``outcome``: V(kept) means that another draft was there and was left alone.
    """

    version: str
    name: str
    sha256: str
    file: str
    outcome: Literal["written", "unchanged", "kept", "not_needed"]
    statements: int
    exact: bool
    failure: str | None
    differences: list[CatalogChange]
    not_covered: list[UncoveredObject]
    not_executed: list[UnexecutedStatement]
    rows_written: list[TouchedRows]


@dataclass(kw_only=True)
class RollbackDrafts(Document):
    """What the module rollback_draft made of the pending migrations that have no rollback file."""

    kind: ClassVar[str] = "rollback_drafts"
    drafts: list[RollbackDraft]
