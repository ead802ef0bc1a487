# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what was committed is there, asked in a new session."""

from __future__ import annotations

from ansible_collections.pgops.supabase.plugins.module_utils.apply.options import Apply
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    State,
    VerificationFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    fingerprint,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    newest_applied_events,
    read_history,
    read_ledger,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.read_back import read_back


def require_committed(this: Apply) -> None:
    """Success is what a new session finds, not what the committing one believes.

    :raises VerificationFailed: when the database cannot be looked at, or is not as the run left it.
    """
    progress = this.progress
    with read_back(
        this.options,
        committed=f"committed, but not read back: {', '.join(progress.committed)}",
        next_step="When the server is back, look at the status (playbook pgops.supabase.status); running again applies nothing twice.",
    ) as connection:
        present = {row.version for row in read_history(connection)}
        present &= newest_applied_events(read_ledger(connection)).keys()
        found = fingerprint(this.catalog(connection))
    missing = [version for version in progress.committed if version not in present]
    if missing:
        raise VerificationFailed(
            f"After COMMIT history and ledger do not both hold {', '.join(missing)}",
            where="supabase_migrations.schema_migrations, pgops.ledger",
            state=State("committed, but not as expected", "committed"),
            next_step="Roll back this run (playbook pgops.supabase.rollback) and look for triggers or tools that write there.",
        )
    if progress.catalog_after is not None and found != fingerprint(progress.catalog_after):
        raise VerificationFailed(
            "After COMMIT the catalog is not the one that was verified before it; another session changed it meanwhile",
            where="pg_catalog",
            state=State("the migrations are committed", "committed"),
            next_step="Compare with the run's migration.json, then decide on a rollback (playbook pgops.supabase.rollback).",
        )
