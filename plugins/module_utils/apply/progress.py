# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far an apply got: what it did, committed and found."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce

from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import (
    AppliedMigration,
    Receipt,
)
from ansible_collections.pgops.supabase.plugins.module_utils.apply.verification import (
    Verification,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    Catalog,
)
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowDeclaration
from ansible_collections.pgops.supabase.plugins.module_utils.counts.own import OwnChanges, OwnWork
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.batches import (
    PendingMigration,
)


@dataclass
class Progress:
    """What was done so far; a failure reports it as it stands."""

    applied: list[AppliedMigration] = field(default_factory=list)
    committed: list[str] = field(default_factory=list)
    catalog_before: Catalog | None = None
    catalog_after: Catalog | None = None
    verification: Verification | None = None
    # By the first version of files whose change is compared as one.
    before_together: dict[str, Catalog] = field(default_factory=dict)
    # By the first version of each transaction, so that a retry replaces what its predecessor did.
    row_changes: dict[str, OwnWork] = field(default_factory=dict)
    declarations: list[RowDeclaration] = field(default_factory=list)
    receipt: Receipt | None = None
    notices: list[str] = field(default_factory=list)

    @property
    def own(self) -> OwnWork:
        """What all transactions so far did to the number of rows."""
        return reduce(OwnWork.then, self.row_changes.values(), OwnWork())


@dataclass
class FileResult:
    """What one file did: how long it took, and what it did to the catalog and to the number of rows, where that was read.

    :param catalog_after: of the last file of a transaction only, for there may be many.
    """

    item: PendingMigration
    seconds: float
    change: list[CatalogChange] | None = None
    catalog_before: str | None = None
    catalog_after: Catalog | None = None
    row_changes: OwnChanges | None = None
