# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore says of losses, writes into the ledger and shows in the report."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import Event, LedgerEvent
from ansible_collections.pgops.supabase.plugins.module_utils.report.job import summary_lines
from ansible_collections.pgops.supabase.plugins.module_utils.restore.consent import (
    _later_transactions,
    describe_loss,
    has_loss,
    required_consent,
)
from ansible_collections.pgops.supabase.plugins.module_utils.restore.documents import TableLoss
from ansible_collections.pgops.supabase.plugins.module_utils.restore.records import history_change, restored_since
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord
from ansible_collections.pgops.supabase.plugins.module_utils.runs.records import verdict_of


def loss(in_backup: int | None, now: int | None, written: int | None, gone: int | None) -> TableLoss:
    return TableLoss(schema="s", table="t", in_backup=in_backup, now=now, written_since=written, gone_since=gone)


@pytest.mark.parametrize(
    ("one", "lost", "words"),
    [
        (loss(5, 5, 0, 0), False, ""),
        (loss(5, 5, 2, 2), True, "lost are 2 rows written since, back come 2 changed or deleted since"),
        (loss(5, 5, None, None), False, ""),
        (loss(5, 7, None, None), True, "7 rows now, 5 in the backup"),
        (loss(5, None, None, None), True, "comes back with 5 rows"),
        (loss(None, 7, 7, None), True, "came after the backup, is dropped with its 7 rows"),
    ],
)
def test_a_loss_is_told_as_far_as_it_is_known(one: TableLoss, lost: bool, words: str) -> None:
    assert has_loss(one) is lost
    assert words in describe_loss(one)


def test_a_consent_names_project_and_backup_and_another_target() -> None:
    assert required_consent("p", "b", None) == "p b"
    assert required_consent("p", "b", "db on h:5432") == "p b into db on h:5432"


def test_a_rows_transaction_has_no_epoch() -> None:
    assert _later_transactions(f"{2**32 + 7}:{2**32 + 9}:{2**32 + 7}") == ("9", ["7"])
    assert _later_transactions("700:700:") == ("700", [])


def event(event_id: int, kind: Event, version: str, recorded_at: str = "2026-01-01T00:00:00.000+00:00") -> LedgerEvent:
    return LedgerEvent(event_id, recorded_at, kind, version, "n", f"sha-{version}-{event_id}", "r", "o")


def test_what_the_history_lost_is_taken_back_and_what_it_has_again_is_adopted() -> None:
    ledger = [
        event(1, "applied", "1"),
        event(2, "applied", "2"),
        event(3, "applied", "3"),
        event(4, "rolled_back", "2"),
        event(5, "applied", "4"),
    ]
    change = history_change(["1", "2"], ledger)
    assert [e.version for e in change.removed] == ["4", "3"]
    assert [(e.version, e.sha256) for e in change.returned] == [("2", "sha-2-2")]
    nothing = history_change(["1", "3", "4"], ledger)
    assert nothing.removed == nothing.returned == ()


def test_after_another_restore_rows_do_not_tell_when_they_were_written() -> None:
    ledger = [event(1, "restored", "", "2026-01-02T00:00:00.000+00:00")]
    assert restored_since(ledger, "2026-01-01T00:00:00.000+00:00")
    assert not restored_since(ledger, "2026-01-03T00:00:00.000+00:00")


RESTORED: dict[str, Any] = {
    "backup_id": "B",
    "backup_taken_at": "2026-01-01",
    "backup_path": "/b",
    "target": "db on h:1",
    "aside": "/aside",
    "aside_id": "A",
    "consent": "p B",
    "committed": True,
    "catalog_expected": "a" * 64,
    "catalog_found": "a" * 64,
    "losses": [vars(loss(5, 6, 1, 0)) | {"schema": "s", "table": "t"}],
    "migrations_removed": ["2"],
    "counts": None,
    "duration_seconds": 1.0,
}


@pytest.mark.parametrize(
    ("document", "failed", "verdict", "headline"),
    [
        (RESTORED, False, "restored", "RESTORED: backup B into db on h:1"),
        (RESTORED, True, "needs_attention", "NEEDS ATTENTION: the restore is committed and proven"),
        ({**RESTORED, "committed": False}, True, "not_applied", "NOT RESTORED: nothing was changed"),
        ({**RESTORED, "committed": False, "dry_run": True}, False, "dry_run", "DRY RUN: everything was checked"),
        ({}, False, "nothing_to_do", "NOTHING TO DO"),
    ],
)
def test_the_report_says_how_a_restore_ended(
    document: dict[str, Any], failed: bool, verdict: Any, headline: str
) -> None:
    documents = {"restore": document} if document else {}
    assert verdict_of(documents, "restore", failed=failed) == verdict
    run = RunRecord(
        run_id="r", project="p", operation="restore", operator="o", started_at="2026-01-01", verdict=verdict
    )
    text = "\n".join(summary_lines(run, documents, None))
    assert headline in text
    if verdict == "restored":
        assert "s.t                5       6              1          0" in text
        assert "no longer applied" in text
