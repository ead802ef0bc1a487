# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the team is told, from plain documents, and the forms that channels take."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import Position
from ansible_collections.pgops.supabase.plugins.module_utils.notify.documents import Message
from ansible_collections.pgops.supabase.plugins.module_utils.notify.forms import as_text, payload, subject
from ansible_collections.pgops.supabase.plugins.module_utils.notify.message import message_of
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import server_error
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord

MIGRATIONS = [{"version": "1", "name": "one"}, {"version": "2", "name": "two"}]
DETAIL = "Key (email)=(a@b.example) already exists."


def refusal() -> str:
    """A failure as a module shows it, of a server that quotes a row."""
    diagnosis = SimpleNamespace(
        severity_nonlocalized="ERROR",
        message_primary='duplicate key value violates unique constraint "users_<email>"',
        message_detail=DETAIL,
        message_hint=None,
        schema_name="public",
        table_name="users",
        column_name=None,
        constraint_name="users_<email>",
        context=None,
    )
    refused: Any = SimpleNamespace(pgcode="23505", diag=diagnosis)
    error = server_error(refused, "Migration 1_one failed", Position("one.sql", 3))
    assert (error.details["table"], error.details["constraint"]) == ("users", "users_<email>")
    assert DETAIL not in str(error.as_dict())
    refused.pgcode = "2BP01"
    assert DETAIL in str(server_error(refused, "Migration 1_one failed", None))
    return str(error)


def told(documents: dict[str, Any] | None = None, **parts: Any) -> Message:
    """What is told about a run with these parts."""
    identity = {"run_id": "20260101T000000Z-aaaa", "project": "shop", "operator": "me", "started_at": "2026-01-01"}
    record = RunRecord(**{"operation": "migrate", "duration_seconds": 2.0, **identity, **parts})
    return message_of(record, documents or {}, directory="/runs/one", machine="ops", contacts=["the database team"])


def test_a_rollback_says_why_and_what_to_do_next() -> None:
    message = told(
        {
            "rollback": {
                "migrations": MIGRATIONS,
                "exported": ["/runs/one/rollback-data/bring-back.sql"],
                "reason": "late",
            }
        },
        operation="rollback",
        verdict="rolled_back",
        reason="totals are wrong",
        headline="shop: ROLLED BACK: 2 migrations",
    )
    assert message.reason == message.facts["Reason"] == "totals are wrong"
    assert message.facts["Migrations"] == "1_one, 2_two"
    assert message.facts["Data exported"] == "/runs/one/rollback-data/bring-back.sql"
    assert message.facts["Report"] == "ops:/runs/one/report.md"
    assert any("rehearse" in step for step in message.next_steps) and "bring back" in message.next_steps[-1]
    text = as_text(message)
    assert text.startswith("\u26a0\ufe0f shop: ROLLED BACK: 2 migrations\nReason:")
    assert text.endswith("Contact: the database team")


def test_a_rollback_by_itself_tells_the_failure_as_its_reason() -> None:
    message = told(
        {"rollback": {"migrations": MIGRATIONS, "exported": [], "reason": "Verify: a check failed"}},
        verdict="rolled_back",
        failed_phase="Verify",
        failure=refusal(),
    )
    assert message.reason == message.facts["Reason"] == "Verify: a check failed"
    assert "Data exported" not in message.facts


@pytest.mark.parametrize("verdict", ["not_applied", "needs_attention"])
def test_of_a_failure_no_rows_are_told(verdict: str) -> None:
    message = told(verdict=verdict, failed_phase="Apply", failure=refusal())
    assert message.facts["Failed in"] == "Apply"
    assert message.facts["Failure"] == (
        'Migration 1_one failed: duplicate key value violates unique constraint "users_<email>" [23505].'
    )
    assert "a@b.example" not in str(message.as_dict())
    assert message.next_steps


def test_a_restore_says_what_it_replaced() -> None:
    losses = [
        {"schema": "public", "table": "orders", "written_since": 7},
        {"schema": "public", "table": "clients", "written_since": 0},
        {"schema": "public", "table": "new", "written_since": None},
    ]
    restored = {"backup_id": "b1", "backup_taken_at": "2026-01-01", "losses": losses, "aside": "/runs/one/backup"}
    facts = told({"restore": restored}, operation="restore", verdict="restored").facts
    assert facts["Rows written since"] == "7 (public.orders: 7)"
    losses += [
        {"schema": "public", "table": "came", "written_since": None, "in_backup": None, "now": 3},
        {"schema": "public", "table": "remade", "written_since": None, "in_backup": 2, "now": 2},
    ]
    more = told({"restore": restored}, operation="restore", verdict="restored").facts
    assert more["Rows written since"] == "10 (public.orders: 7, public.came: 3, public.remade: not known)"
    unknown = {**restored, "losses": losses[-1:]}
    alone = told({"restore": unknown}, operation="restore", verdict="restored").facts
    assert alone["Rows written since"] == "not known (public.remade: not known)"
    assert (facts["Backup"], facts["Kept aside"]) == ("b1, taken 2026-01-01", "/runs/one/backup")


def test_a_success_asks_for_nothing() -> None:
    message = told(
        {"migration": {"migrations": MIGRATIONS}}, verdict="migrated", headline="shop: MIGRATED: 2 migrations"
    )
    assert message.next_steps == [] and message.facts["Migrations"] == "1_one, 2_two"
    assert subject(message) == "\u2705 shop: MIGRATED: 2 migrations"


def test_a_subject_is_one_line() -> None:
    assert (
        subject(told(verdict="migrated", headline="shop: a\r\nBcc: x@y.example")) == "\u2705 shop: a Bcc: x@y.example"
    )


def test_nobody_is_called_by_what_a_reason_says() -> None:
    message = told(verdict="rolled_back", operation="rollback", reason="<!channel> & @everyone")
    assert "&lt;!channel&gt; &amp; @everyone" in payload(message, "slack")["text"]
    assert payload(message, "discord")["allowed_mentions"] == {"parse": []}


def test_each_form_is_what_its_receiver_takes() -> None:
    message = told(verdict="not_applied", failed_phase="Apply", failure="x" * 5000)
    assert len(payload(message, "discord")["content"]) == 2000
    (attachment,) = payload(message, "teams")["attachments"]
    facts = next(block for block in attachment["content"]["body"] if block["type"] == "FactSet")["facts"]
    assert {fact["title"]: fact["value"] for fact in facts} == message.facts
    assert payload(message, "document") == message.as_dict()
