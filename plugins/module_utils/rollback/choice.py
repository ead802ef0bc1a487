# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which migrations a rollback takes back, and to which catalog it has to return. Pure: history and ledger are given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import RollbackError
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowChange
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    LedgerEvent,
    is_anothers,
    newest_applied_events,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.records import RecordedEvent


def choose_versions(
    history: Sequence[str], ledger: Sequence[LedgerEvent], *, of_run: str | None, to_version: str | None
) -> list[str]:
    """The versions to revert, newest first; pure. Empty when there is nothing to take back.

    Without ``of_run`` and ``to_version`` it is what the last run applied; when that was taken back already, nothing: asking
    twice does not reach further back.

    :param history: the versions that are applied now.
    :raises RollbackError: when the run or the version is not known, or when other, later migrations are applied on top of
        the chosen ones.
    """
    _require_known(history, ledger, of_run=of_run, to_version=to_version)
    events = {version: event for version, event in newest_applied_events(ledger).items() if version in history}
    if to_version is not None:
        chosen = set(history) if to_version == "0" else {version for version in history if version > to_version}
    elif of_run is not None:
        # What a run adopted it has not applied: it is not the run's to take back.
        chosen = {version for version, event in events.items() if event.run_id == of_run and event.event == "applied"}
    else:
        chosen = _of_last_run(events, ledger)
    if all(_is_timed(version, events) for version in chosen):
        # What was applied last is taken back first, whatever its version: a run may have applied out of order.
        ordered = sorted(chosen, key=lambda version: events[version].event_id, reverse=True)
    else:
        ordered = sorted(chosen, reverse=True)
    on_top = [
        version for version in history if ordered and version not in chosen and _is_on_top(version, ordered[-1], events)
    ]
    if on_top:
        raise RollbackError(
            f"Later migrations are applied on top: {', '.join(sorted(on_top))}",
            where="supabase_migrations.schema_migrations",
            next_step=f"Take those back as well: to_version: the newest version to keep, below {ordered[-1]}.",
        )
    return ordered


def _is_on_top(version: str, oldest: str, events: Mapping[str, LedgerEvent]) -> bool:
    """Whether a version was applied after another one; where the ledger does not know, the higher version counts as later."""
    if _is_timed(version, events) and _is_timed(oldest, events):
        return events[version].event_id > events[oldest].event_id
    return version > oldest


def _is_timed(version: str, events: Mapping[str, LedgerEvent]) -> bool:
    """Whether the ledger knows when a version was applied; of an adopted one it knows only when it was adopted."""
    return version in events and not is_anothers(events[version])


def _require_known(
    history: Sequence[str], ledger: Sequence[LedgerEvent], *, of_run: str | None, to_version: str | None
) -> None:
    """A slip of the pen must not pass as "nothing to do", nor, one digit short, as "take back everything"."""
    if of_run is not None and not any(event.run_id == of_run for event in ledger):
        raise RollbackError(
            f"The ledger knows no run {of_run}",
            where="pgops.ledger",
            next_step="Look up its identifier: select run_id, version from pgops.ledger where event = 'applied' order by event_id;",
        )
    if to_version not in (None, "0", *history):
        raise RollbackError(
            f"Version {to_version} is not applied, so it cannot be the newest one to keep",
            where="supabase_migrations.schema_migrations",
            next_step=f"Name one of those that are, or 0 to take back all: {', '.join(history) or 'none is applied'}.",
        )


def _of_last_run(events: Mapping[str, LedgerEvent], ledger: Sequence[LedgerEvent]) -> set[str]:
    changes = [event for event in ledger if event.event in ("applied", "rolled_back")]
    if not changes or changes[-1].event == "rolled_back":
        return set()
    last = changes[-1]
    if last.run_id is not None:
        return {version for version, event in events.items() if event.run_id == last.run_id}
    # The last event of a transaction names all of its files.
    return events.keys() & set(last.details.get("batch") or [last.version])


def expected_fingerprint(versions: Sequence[str], ledger: Sequence[LedgerEvent]) -> str | None:
    """The catalog's fingerprint from before the oldest of the versions, when the ledger knows it; pure."""
    if not versions:
        return None
    event = newest_applied_events(ledger).get(versions[-1])
    if event is not None and event.details.get("catalog_before_file"):
        return str(event.details["catalog_before_file"])
    if event is None or event.details.get("batch", [None])[0] != event.version:
        return None
    before = event.details.get("catalog_before")
    return str(before) if before else None


def changed_no_catalog(version: str, ledger: Sequence[LedgerEvent]) -> bool:
    """Whether the ledger knows that a migration left the catalog as it was; pure."""
    event = newest_applied_events(ledger).get(version)
    if event is None or is_anothers(event):
        return False
    details = event.details
    if "catalog_changes" in details:
        return not details["catalog_changes"]
    before = details.get("catalog_before")
    return details.get("batch") == [version] and before is not None and before == details.get("catalog_after")


def rows_written(version: str, ledger: Sequence[LedgerEvent]) -> list[RowChange] | None:
    """What a migration did to the number of rows, None where the ledger does not know; pure."""
    event = newest_applied_events(ledger).get(version)
    rows = event.details.get("row_changes") if event else None
    return None if rows is None else [RowChange(schema=schema, table=table, change=n) for schema, table, n in rows]


def runs_taken_back(ledger: Sequence[LedgerEvent | RecordedEvent], versions: Collection[str]) -> set[str]:
    """The runs of which nothing stays applied: what they scheduled goes with them. Pure."""
    runs: dict[bool, set[str]] = {True: set(), False: set()}
    for version, event in newest_applied_events(ledger).items():
        runs[version in versions] |= {event.run_id} if event.run_id else set()
    return runs[True] - runs[False]
