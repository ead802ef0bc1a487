# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what was committed is there, asked in a new session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.apply.options import Apply
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    State,
    VerificationFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    fingerprint,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    list_history,
    newest_applied_events,
    read_ledger,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.read_back import read_back

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


def require_committed(this: Apply) -> None:
    """Success is what a new session finds, not what the committing one believes.

    :raises NotSeen: when the database cannot be looked at.
    :raises VerificationFailed: when history and ledger do not hold what was committed.
    """
    progress = this.progress

    def look(connection: PgConnection) -> tuple[set[str], str]:
        present = {row.version for row in list_history(connection)}
        return present & newest_applied_events(read_ledger(connection, details=False)).keys(), fingerprint(
            this.catalog(connection)
        )

    present, found = read_back(
        this.options,
        look,
        committed=f"committed, but not read back: {', '.join(progress.committed)}",
        next_step="When the server is back, look at the status (playbook pgops.supabase.status); running again applies nothing twice.",
    )
    missing = [version for version in progress.committed if version not in present]
    if missing:
        raise VerificationFailed(
            f"After COMMIT history and ledger do not both hold {', '.join(missing)}",
            where="supabase_migrations.schema_migrations, pgops.ledger",
            state=State("committed, but not as expected", "committed"),
            next_step="Roll back this run (playbook pgops.supabase.rollback) and look for triggers or tools that write there.",
        )
    if progress.catalog_after is not None and found != fingerprint(progress.catalog_after):
        # What was verified before COMMIT is committed: the difference is somebody else's, and no reason to take it back.
        progress.notices.append(
            "after COMMIT the schema was not the one that was verified before it: another session changed it meanwhile"
        )
