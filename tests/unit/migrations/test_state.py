# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, history and ledger against each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import HistoryError
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    Event,
    HistoryRow,
    LedgerEvent,
    newest_applied_events,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import MigrationFile
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.state import (
    compare_history,
    foreign_edits,
    require_agreement,
)


def file(version: str, sha256: str = "same") -> MigrationFile:
    return MigrationFile(version, f"m{version}", Path(f"/m/{version}_m{version}.sql"), sha256, None)


def row(version: str, *statements: str) -> HistoryRow:
    return HistoryRow(version, f"m{version}", statements or None)


def event(number: int, kind: Event, version: str, sha256: str = "same") -> LedgerEvent:
    return LedgerEvent(number, "2026-01-01T00:00:00.000+00:00", kind, version, f"m{version}", sha256, "run", "me")


def states(files: list[MigrationFile], rows: list[HistoryRow], events: list[LedgerEvent]) -> dict[str, str]:
    return {entry.version: entry.state for entry in compare_history(files, rows, events)}


def test_each_state() -> None:
    files = [file("1"), file("2", "changed"), file("3"), file("5")]
    rows = [row("1"), row("2"), row("4")]
    events = [event(1, "applied", "1"), event(2, "applied", "2"), event(3, "failed", "3")]
    assert states(files, rows, events) == {
        "1": "applied",
        "2": "edited",
        "3": "out_of_order",
        "4": "remote_only",
        "5": "pending",
    }


def test_text_decides_what_is_out_of_order_as_in_supabase() -> None:
    assert states([file("10")], [row("9")], []) == {"9": "remote_only", "10": "out_of_order"}
    assert states([file("20250101")], [row("20240101000000")], []) == {
        "20240101000000": "remote_only",
        "20250101": "pending",
    }
    assert states([file("10")], [row("baseline")], []) == {"10": "pending", "baseline": "remote_only"}


def test_who_applied_it() -> None:
    files, rows = [file("1"), file("2"), file("3")], [row("1"), row("2", "select 1")]
    entries = compare_history(files, rows, [event(1, "applied", "1")])
    assert [entry.applied_by for entry in entries] == ["pgops", "other", None]
    assert [entry.run_id for entry in entries] == ["run", None, None]
    assert [entry.statements for entry in entries] == [None, 1, None]


def test_the_newest_event_counts() -> None:
    events = [
        event(1, "applied", "1", "old"),
        event(2, "rolled_back", "1", "old"),
        event(3, "applied", "1", "new"),
        event(4, "failed", "1", "other"),
        event(5, "applied", "2"),
        event(6, "rolled_back", "2"),
    ]
    assert {version: newest.event_id for version, newest in newest_applied_events(events).items()} == {"1": 3}
    assert states([file("1", "new"), file("2")], [row("1")], events) == {"1": "applied", "2": "pending"}


def test_history_without_its_event_was_applied_by_another() -> None:
    """Rolled back by us, applied again by the CLI: the old hash says nothing any more."""
    events = [event(1, "applied", "1", "old"), event(2, "rolled_back", "1", "old")]
    (entry,) = compare_history([file("1", "new")], [row("1")], events)
    assert (entry.state, entry.applied_by) == ("applied", "other")


def test_a_ledger_row_without_history_is_not_applied() -> None:
    assert states([file("1")], [], [event(1, "applied", "1")]) == {"1": "pending"}


def test_foreign_edits_compare_statements(tmp_path: Path) -> None:
    def on_disk(version: str, text: str) -> MigrationFile:
        path = tmp_path / f"{version}_x.sql"
        path.write_text(text)
        return MigrationFile(version, "x", path, "hash", None)

    files = [on_disk("1", "-- a\nselect 1;\nselect 2;\n"), on_disk("2", "select 2;\n"), on_disk("3", "select 3;\n")]
    files += [on_disk("4", "select 4;\n"), on_disk("5", "select '\0';\n"), on_disk("6", "select 6;\n")]
    history = [
        row("1", "-- a\nselect 1", "select 2"),
        row("2", "select 'other'"),
        row("3"),
        row("4", "this does not parse"),
        row("5", "select 5"),
        row("6", "select 'other'"),
    ]
    assert foreign_edits(files, history, [event(1, "applied", "6")]) == {"2", "5"}


def test_agreement_gives_what_is_to_be_applied() -> None:
    entries = compare_history([file("1"), file("2"), file("3")], [row("1")], [event(1, "applied", "1")])
    assert [entry.version for entry in require_agreement(entries)] == ["2", "3"]
    late = compare_history([file("1"), file("2")], [row("2")], [])
    assert [entry.version for entry in require_agreement(late, allow_out_of_order=True)] == ["1"]


def test_disagreements_are_all_named_with_what_to_do() -> None:
    entries = compare_history([file("1", "changed"), file("2")], [row("1"), row("3")], [event(1, "applied", "1")])
    with pytest.raises(HistoryError) as caught:
        require_agreement(entries)
    error = caught.value
    for text in ("1_m1 is applied, but its file", "2_m2 is pending, but", "3_m3 is applied in the database, but"):
        assert text in error.what
    for text in ("git log", "allow_out_of_order", "migration fetch"):
        assert text in (error.next_step or "")
    assert error.where == "/m/1_m1.sql"
    assert [item["state"] for item in error.details["disagreements"]] == ["edited", "out_of_order", "remote_only"]
    with pytest.raises(HistoryError):
        require_agreement(entries, allow_out_of_order=True)
