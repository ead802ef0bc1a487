# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a rollback got: what it takes back, did, exported and found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import AppliedMigration
from ansible_collections.pgops.supabase.plugins.module_utils.apply.verification import Verification
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import Position
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import Catalog
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowChange
from ansible_collections.pgops.supabase.plugins.module_utils.schedule.documents import JobChange
from ansible_collections.pgops.supabase.plugins.module_utils.sql.runnable import RunnableScript


@dataclass(frozen=True)
class RevertedMigration:
    """An applied migration and the script that takes it back; C(sha256) is that of the script.

    :param by_record: it changed no catalog and there is no script, or one without a statement: only the record of it goes.
    :param rows: what it did to the number of rows, None where that is not known.
    :param blocking: where the script says CONCURRENTLY, which it runs without.
    """

    version: str
    name: str
    path: Path
    script: RunnableScript
    by_record: bool = False
    rows: list[RowChange] | None = None
    blocking: tuple[Position, ...] = ()

    @property
    def sha256(self) -> str:
        """What the ledger records: the hash of the rollback file."""
        return self.script.script.sha256


@dataclass
class Progress:
    """What was done so far; a failure reports it as it stands."""

    done: list[AppliedMigration] = field(default_factory=list)
    exported: list[Path] = field(default_factory=list)
    catalog_before: Catalog | None = None
    catalog_after: Catalog | None = None
    expected: str | None = None
    equal_but: list[str] = field(default_factory=list)
    by_record: list[str] = field(default_factory=list)
    rows_kept: list[RowChange] = field(default_factory=list)
    # The scheduled jobs of the runs that are taken back.
    jobs: list[JobChange] = field(default_factory=list)
    verification: Verification | None = None
    # Once COMMIT was sent, an export may be the only copy of its data.
    may_be_committed: bool = False
    committed: bool = False
    notices: list[str] = field(default_factory=list)
