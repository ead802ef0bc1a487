# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore leaves in the ledger: it is append-only, so what was applied since the backup is recorded as taken back.

Supabase's history goes back with the backup. The ledger does not: it keeps what happened after the backup, and says why the
history no longer has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    Event,
    LedgerEvent,
    NewEvent,
    append_event,
    make_ledger,
    newest_applied_events,
    read_history,
    read_ledger,
    widen_ledger,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_value

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


@dataclass(frozen=True, kw_only=True)
class RestoreRecord:
    """Who restored which backup and why. ``manifest_sha256`` stands where a migration's hash does."""

    backup_id: str
    taken_at: str
    manifest_sha256: str
    run_id: str | None
    operator: str
    reason: str | None
    aside: str | None


@dataclass(frozen=True)
class HistoryChange:
    """The versions that the history lost by the restore, and those that it has again."""

    removed: tuple[LedgerEvent, ...]
    returned: tuple[LedgerEvent, ...]


def history_change(versions: Sequence[str], ledger: Sequence[LedgerEvent]) -> HistoryChange:
    """What the ledger has to be told so that it agrees with a history that went back; pure."""
    applied = newest_applied_events(ledger)
    ever = {event.version: event for event in ledger if event.event in ("applied", "adopted")}
    removed = [event for version, event in applied.items() if version not in versions]
    returned = [event for version, event in ever.items() if version in versions and version not in applied]
    return HistoryChange(
        tuple(sorted(removed, key=lambda event: -event.event_id)),
        tuple(sorted(returned, key=lambda event: event.event_id)),
    )


def record_restore(connection: PgConnection, record: RestoreRecord, seconds: float) -> HistoryChange:
    """Append what the restore did to the ledger, in the caller's transaction; made where there is none."""
    make_ledger(connection)
    widen_ledger(connection)
    change = history_change([row.version for row in read_history(connection)], read_ledger(connection))
    by = {"restored_from": record.backup_id, "reason": record.reason}
    for event in change.removed:
        append_event(connection, _about(event, "rolled_back", record, by))
    for event in change.returned:
        append_event(connection, _about(event, "adopted", record, {**event.details, **by}))
    append_event(
        connection,
        NewEvent(
            event="restored",
            version="",
            name="",
            sha256=record.manifest_sha256,
            run_id=record.run_id,
            operator=record.operator,
            duration_seconds=round(seconds, 3),
            details={
                "backup_id": record.backup_id,
                "taken_at": record.taken_at,
                "aside": record.aside,
                "reason": record.reason,
                "removed": [event.version for event in change.removed],
                "returned": [event.version for event in change.returned],
            },
        ),
    )
    _forget_half_done(connection)
    return change


def _about(event: LedgerEvent, kind: Event, record: RestoreRecord, details: Mapping[str, Any]) -> NewEvent:
    return NewEvent.about(event, kind, run_id=record.run_id, operator=record.operator, details=details)


def _forget_half_done(connection: PgConnection) -> None:
    """What migrations outside a transaction had begun is gone with everything else."""
    if fetch_value(connection, "select pg_catalog.to_regclass('pgops.statement_log') is not null"):
        execute(connection, "delete from pgops.statement_log")


def restored_since(ledger: Sequence[LedgerEvent], taken_at: str) -> bool:
    """Whether the rows were written anew by a restore after a backup: both times are UTC in the same form; pure."""
    return any(event.event == "restored" and event.recorded_at >= taken_at for event in ledger)
