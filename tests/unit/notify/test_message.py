# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the team is told, from plain documents, and the forms that channels take."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, Position
from ansible_collections.pgops.supabase.plugins.module_utils.notify.documents import Message
from ansible_collections.pgops.supabase.plugins.module_utils.notify.forms import payload, subject
from ansible_collections.pgops.supabase.plugins.module_utils.notify.message import (
    ended,
    happened,
    started,
)
from ansible_collections.pgops.supabase.plugins.module_utils.notify.templates import check_templates, written
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
    message = ended(record, documents or {}, directory="/runs/one", machine="ops", contacts=["the database team"])
    message.text = written(message, None)
    return message


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
    text = message.text
    assert text.startswith("\u26a0\ufe0f shop: ROLLED BACK: 2 migrations\nReason:")
    assert text.endswith("\nContact: the database team\n")


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


def test_of_many_migrations_the_message_names_a_few_and_stays_whole() -> None:
    many = [{"version": f"202601010000{number:02d}", "name": "a_name_of_some_length"} for number in range(60)]
    message = told({"migration": {"migrations": many}}, verdict="migrated")
    first, last = "20260101000000_a_name_of_some_length, 20260101000001", "20260101000059_a_name_of_some_length"
    assert message.facts["Migrations"].startswith(first)
    assert message.facts["Migrations"].endswith(f"and 55 more, the last {last}")
    assert "Report:" in payload(message, "discord")["content"]


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
    lines = [block["text"] for block in attachment["content"]["body"]]
    assert lines == [line for line in message.text.splitlines() if line]
    assert payload(message, "document") == message.as_dict()


def test_a_beginning_says_what_is_planned_and_how_long_it_will_take() -> None:
    record = RunRecord(
        run_id="20260101T000000Z-aaaa", project="shop", operation="migrate", operator="me", started_at="2026-01-01"
    )
    planned = {"plan": {"steps": [{"migrations": MIGRATIONS[:1]}, {"migrations": MIGRATIONS[1:]}]}}
    message = started(record, planned, expected_seconds=300, machine="ops", contacts=[])
    assert message.event == "started" and message.title == "shop: MIGRATION IN PROGRESS"
    assert message.facts["Migrations"] == "1_one, 2_two" and message.facts["Expected to take"] == "about 5 minutes"
    assert "Expected to take" not in started(record, {}, expected_seconds=None, machine="ops", contacts=[]).facts
    assert "by hand" in written(message, None)


def test_what_happens_around_a_run_is_told_with_the_callers_words() -> None:
    message = happened("alert", "shop", {"Reason": "p95 is 3x", "Probe": "users"}, run_id=None, contacts=["Ops"])
    text = written(message, None)
    assert text.startswith("\U0001f6a8 shop: ALERT\nReason: p95 is 3x\nProbe:  users\n")
    assert "Look: ansible-playbook pgops.supabase.status -l shop" in text


def test_the_users_template_is_taken_for_its_event_and_the_general_one_for_others(tmp_path: Path) -> None:
    message = told(verdict="migrated", headline="shop: MIGRATED")
    (tmp_path / "message.j2").write_text("any: {{ title }}\n{{ facts['Operator'] }}", encoding="utf-8")
    assert written(message, tmp_path) == "any: shop: MIGRATED\nme\n"
    (tmp_path / "migrated.j2").write_text("{{ mark }} done by {{ facts.Operator }}", encoding="utf-8")
    assert written(message, tmp_path) == "\u2705 done by me\n"
    check_templates(tmp_path, frozenset({"migrated"}))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [("migrated.j2", "\n{% if %}", "does not parse"), ("migratd.j2", "x", "No event is called migratd")],
)
def test_a_template_that_is_none_is_refused_before_anything_is_done(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=says) as refused:
        check_templates(tmp_path, frozenset({"migrated"}))
    assert name in str(refused.value.where)
    with pytest.raises(InputError, match="no directory of templates"):
        check_templates(tmp_path / "absent", frozenset())
    (tmp_path / "rolled_back.j2").write_text("{{ nothing.here }}", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be filled in"):
        written(told(verdict="rolled_back"), tmp_path)
