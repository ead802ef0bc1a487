# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollback is asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.apply.verification import Checks
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import Catalog
from ansible_collections.pgops.supabase.plugins.module_utils.counts.own import OwnWork
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import SessionSettings

COLUMN_POSITIONS = "column_positions"


@dataclass(frozen=True)
class RollbackOptions:
    """What to take back and how. Without ``to_version`` and ``of_run`` it is what the last run applied.

    :param expected_catalog: the catalog from before the migrations, to say what differs; its hash is in the ledger anyway.
    :param accept: what may differ from that catalog: the places of columns that the rollback adds again (C(column_positions)).
        Only with ``expected_catalog`` can it be told from other differences.
    :param checks: the baseline counts to prove equality with.
    :param own_earlier: what the migrations did to the number of rows since, so that they and the rollback together are judged; None
        where that is not known.
    :param export_dir: where data goes that lives only in what is dropped.
    :param recipients: public keys that it is encrypted to, as backups are; none is not encrypted.
    """

    supabase_dir: Path
    reason: str
    operator: str
    settings: SessionSettings
    run_id: str | None = None
    of_run: str | None = None
    to_version: str | None = None
    expected_catalog: Catalog | None = None
    require_exact_catalog: bool = True
    accept: Sequence[str] = (COLUMN_POSITIONS,)
    checks: Checks | None = None
    own_earlier: OwnWork | None = None
    export_dir: Path | None = None
    recipients: Sequence[str] = ()
    schemas: Sequence[str] | None = None
    retries: int = 3
    lock_wait_seconds: float = 10.0
    dry_run: bool = False
