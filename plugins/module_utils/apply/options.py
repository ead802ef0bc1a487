# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an apply is asked to do: where, how, and of which files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.apply.progress import Progress
from ansible_collections.pgops.supabase.plugins.module_utils.apply.verification import (
    Checks,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    Catalog,
    read_catalog,
    user_schemas,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.documents import PromotionProof
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.batches import (
    TransactionScope,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.documents import MigrationPlan
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import MigrationFile
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


@dataclass(frozen=True)
class ApplyOptions:
    """How to apply. Times are seconds, except in ``settings``.

    :param to_version: the newest version to apply; None for all that are pending.
    :param checks: what has to hold; part of the plan wherever it is checked.
    :param verify_before_commit: whether the apply checks it in its transaction, or leaves that to somebody after it.
    :param waivers: gates that were passed although they are closed, with the reasons.
    :param lint_waivers: findings of the linter that comments in the files accept.
    :param plan: what was planned, and nothing else may run; None leaves that out.
    :param approved_by: who signed that plan.
    :param promotion: what the project before has proven of each file; the same has to happen here.
    :param origin: that project's name.
    :param catalog_file: where the catalog from before is kept, so that a rollback can say what it did not restore.
    :param document_file: where the result is kept, also when it is a failure.
    """

    supabase_dir: Path
    operator: str
    settings: SessionSettings
    checks: Checks = field(default_factory=Checks)
    verify_before_commit: bool = True
    run_id: str | None = None
    transaction_scope: TransactionScope = "batch"
    schemas: Sequence[str] | None = None
    to_version: str | None = None
    allow_out_of_order: bool = False
    retries: int = 3
    lock_wait_seconds: float = 10.0
    waivers: Mapping[str, str] = field(default_factory=dict)
    lint_waivers: Sequence[Mapping[str, str]] = ()
    plan: MigrationPlan | None = None
    approved_by: Sequence[str] = ()
    promotion: Sequence[PromotionProof] = ()
    origin: str = "the project before"
    catalog_file: Path | None = None
    document_file: Path | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Apply:
    """One apply: where, how, and of which files."""

    options: ConnectionOptions
    how: ApplyOptions
    files: Sequence[MigrationFile]
    progress: Progress

    def catalog(self, connection: PgConnection) -> Catalog:
        """The catalog as the session sees it now."""
        return read_catalog(connection, self.how.schemas or user_schemas(connection))
