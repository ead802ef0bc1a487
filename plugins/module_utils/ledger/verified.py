# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts into the ledger that what a run applied was verified after COMMIT, so that it may be promoted."""

from __future__ import annotations

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import HistoryError
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    NewEvent,
    append_events,
    newest_applied_events,
    read_ledger,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.promotion import is_verified
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    session,
)


def record_verified(options: ConnectionOptions, *, run_id: str, operator: str, dry_run: bool = False) -> list[str]:
    """Record the run's migrations as verified; those that are already are left alone.

    :returns: the versions that were recorded now, or would be.
    :raises HistoryError: when the run applied nothing that is still applied.
    """
    with session(options, SessionSettings(lock_timeout_ms=5000, statement_timeout_ms=60_000)) as connection:
        ledger = read_ledger(connection)
        applied = [event for event in newest_applied_events(ledger).values() if event.run_id == run_id]
        if not applied:
            raise HistoryError(
                f"Run {run_id} applied nothing that is still applied",
                where="pgops.ledger",
                next_step="Give the run_id of the migration, as its run.json has it.",
            )
        unverified = [event for event in applied if not is_verified(event, ledger)]
        events = [NewEvent.about(event, "verified", run_id=run_id, operator=operator) for event in unverified]
        append_events(connection, events)
        if not dry_run:
            connection.commit()
    return [event.version for event in unverified]
