# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether files, Supabase's history and the ledger agree, and what to do where they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import HistoryError, PrivilegeError
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.documents import Lease
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    HistoryEntry,
    HistoryRow,
    LedgerEvent,
    is_anothers,
    list_history,
    newest_applied_events,
    read_history,
    read_ledger,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.statement_log import read_half_done
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.documents import MigrationEntry, MigrationInfo
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import (
    MigrationFile,
    read_as_others_do,
    recorded_statements,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_value, server_version

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

State = Literal["applied", "pending", "edited", "out_of_order", "remote_only"]

_DISAGREEMENTS: Mapping[str, tuple[str, str]] = {
    "edited": (
        "is applied, but its file is not the one that was applied",
        "Restore the file as it was (git log -- <file>) and put the change into a new migration.",
    ),
    "out_of_order": (
        "is pending, but a later version is applied already",
        "Rename it to a version after the newest applied one; or, if nothing later depends on it, set allow_out_of_order "
        "(playbook: -e preflight_allow_out_of_order=true).",
    ),
    "remote_only": (
        "is applied in the database, but there is no file for it",
        "Get the branch that holds the file; if it was made elsewhere, fetch it (supabase migration fetch).",
    ),
}


def compare_history(
    files: Sequence[MigrationFile],
    history: Sequence[HistoryRow | HistoryEntry],
    ledger: Sequence[LedgerEvent],
    foreign_edits: frozenset[str] = frozenset(),
) -> list[MigrationEntry]:
    """Each migration of the files and of the database with its state, in order; pure.

    :param foreign_edits: versions that another tool applied and whose recorded statements are not those of the file.
    """
    rows = {row.version: row for row in history}
    events = newest_applied_events(ledger)
    newest_applied = max((version for version in rows if version.isdigit()), default="")
    entries = []
    for file in files:
        row, event = rows.get(file.version), events.get(file.version)
        state: State
        if row is None:
            state = "out_of_order" if file.version < newest_applied else "pending"
        elif event is not None:
            state = "applied" if event.sha256 == file.sha256 else "edited"
        else:
            state = "edited" if file.version in foreign_edits else "applied"
        entries.append(_entry(file.version, file.name, state, file, row, event))
    local = {file.version for file in files}
    entries += [
        _entry(version, row.name or "", "remote_only", None, row, events.get(version))
        for version, row in rows.items()
        if version not in local
    ]
    return sorted(entries, key=lambda entry: entry.version)


def foreign_edits(
    files: Sequence[MigrationFile], history: Sequence[HistoryRow], ledger: Sequence[LedgerEvent]
) -> frozenset[str]:
    """Versions applied by another tool whose recorded statements differ from the file's.

    A row without statements, as older tools wrote it, says nothing about the file and counts as equal.
    """
    rows = {row.version: row for row in history}
    ours = newest_applied_events(ledger)
    edited = set()
    for file in files:
        row = rows.get(file.version)
        if row is None or row.statements is None or file.version in ours:
            continue
        recorded = recorded_statements(row.statements)
        if recorded is not None and recorded != recorded_statements([read_as_others_do(file.path)]):
            edited.add(file.version)
    return frozenset(edited)


def read_state(
    connection: PgConnection, files: Sequence[MigrationFile]
) -> tuple[list[MigrationEntry], list[LedgerEvent]]:
    """The state of each migration as the database has it now, and the ledger it was judged by, without its details."""
    import psycopg2.errors

    try:
        history, ledger = list_history(connection), read_ledger(connection, details=False)
        # What the ledger holds is compared by its hash; of the others the text is needed.
        foreign = {file.version for file in files} - newest_applied_events(ledger).keys()
        others = [row.version for row in history if row.version in foreign and row.recorded is not None]
        texts = read_history(connection, others) if others else []
    except psycopg2.errors.InsufficientPrivilege as error:
        raise PrivilegeError(
            f"The role may not read what is applied: {error.diag.message_primary}",
            where="supabase_migrations.schema_migrations, pgops.ledger",
            next_step="Connect as the role that owns them (login_user: postgres on Supabase).",
            details={"sqlstate": error.pgcode},
        ) from error
    return compare_history(files, history, ledger, foreign_edits(files, texts, ledger)), ledger


def describe(connection: PgConnection, files: Sequence[MigrationFile], lease: Lease | None) -> MigrationInfo:
    """The document that status shows.

    :param lease: as the project has it now.
    """
    entries, ledger = read_state(connection, files)
    versions: dict[str, list[str]] = {}
    for entry in entries:
        versions.setdefault(entry.state, []).append(entry.version)
    return MigrationInfo(
        database=str(fetch_value(connection, "select pg_catalog.current_database()")),
        server_version=server_version(connection),
        migrations=entries,
        applied=versions.get("applied", []),
        pending=versions.get("pending", []),
        edited=versions.get("edited", []),
        out_of_order=versions.get("out_of_order", []),
        remote_only=versions.get("remote_only", []),
        problems=[_sentence(entry) for entry in entries if entry.state in _DISAGREEMENTS],
        last_event=_summary(ledger[-1]) if ledger else None,
        half_done=read_half_done(connection),
        lease=lease,
    )


def _summary(event: LedgerEvent) -> dict[str, str | None]:
    return {
        "event": event.event,
        "version": event.version,
        "name": event.name,
        "recorded_at": event.recorded_at,
        "operator": event.operator,
        "run_id": event.run_id,
    }


def require_agreement(entries: Sequence[MigrationEntry], *, allow_out_of_order: bool = False) -> list[MigrationEntry]:
    """The migrations to apply, in order, when files and database agree.

    :raises HistoryError: when a file was edited, is out of order, or is missing; nothing is repaired silently.
    """
    tolerated = {"out_of_order"} if allow_out_of_order else set()
    wrong = [entry for entry in entries if entry.state in _DISAGREEMENTS and entry.state not in tolerated]
    if wrong:
        steps = list(dict.fromkeys(_DISAGREEMENTS[entry.state][1] for entry in wrong))
        raise HistoryError(
            "Files and database disagree: " + "; ".join(_sentence(entry) for entry in wrong),
            where=wrong[0].file or "supabase_migrations.schema_migrations",
            next_step=" ".join(steps),
            details={"disagreements": [{"version": e.version, "name": e.name, "state": e.state} for e in wrong]},
        )
    return [entry for entry in entries if entry.state in ("pending", "out_of_order")]


def _sentence(entry: MigrationEntry) -> str:
    return f"{entry.version}_{entry.name} {_DISAGREEMENTS[entry.state][0]}"


def _entry(
    version: str,
    name: str,
    state: State,
    file: MigrationFile | None,
    row: HistoryRow | HistoryEntry | None,
    event: LedgerEvent | None,
) -> MigrationEntry:
    ours = event if event and not is_anothers(event) else None
    return MigrationEntry(
        version=version,
        name=name,
        state=state,
        file=str(file.path) if file else None,
        sha256=file.sha256 if file else None,
        statements=row.recorded if row else None,
        rollback_file=str(file.rollback) if file and file.rollback else None,
        applied_at=ours.recorded_at if ours and row else None,
        applied_by=None if row is None else ("pgops" if ours else "other"),
        run_id=ours.run_id if ours and row else None,
        adopted_at=event.recorded_at if event and row and not ours else None,
    )
