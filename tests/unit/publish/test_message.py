# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The message of a run's commit, the files of a run, and what git says without the logins in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.publish.git import reason_of_git, without_logins
from ansible_collections.pgops.supabase.plugins.module_utils.publish.message import (
    DEFAULT_TEMPLATE,
    compiled,
    message_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.publish.paths import files_of

RUN: dict[str, Any] = {
    "run_id": "20261123T001457Z-2710",
    "project": "shop",
    "operation": "migrate",
    "verdict": "migrated",
    "headline": "shop: MIGRATED: 1 migration, verified before COMMIT and after it",
    "operator": "deploy",
    "started_at": "2026-11-23T00:14:57.000+00:00",
    "failure": "a row: (1, secret)",
}
DOCUMENTS: dict[str, dict[str, Any]] = {
    "migration": {"migrations": [{"version": "20260101000000", "name": "notes"}]},
    "counts_before": {"total": 7},
    "counts_after": {"total": 9},
    "validation_after": {"passed": 3, "failed": 0, "warnings": 1},
}


def test_the_message_has_the_run_and_its_trailer() -> None:
    assert message_of(DEFAULT_TEMPLATE, RUN, DOCUMENTS) == (
        "chore(db): migrate shop to 20260101000000\n\n"
        "shop: MIGRATED: 1 migration, verified before COMMIT and after it\n\n"
        "- 20260101000000_notes\n\n"
        "Operator: deploy\nStarted: 2026-11-23T00:14:57.000+00:00\nRows: 7 before, 9 after\n"
        "Checks: 3 passed, 0 failed, 1 warnings\n\n"
        "Pgops-Run: 20261123T001457Z-2710\n"
    )


def test_a_run_that_was_taken_back_lists_what_was_and_no_row_of_its_failure() -> None:
    taken_back = {**DOCUMENTS, "rollback": {"migrations": [{"version": "20260202000000", "name": "lines"}]}}
    message = message_of(DEFAULT_TEMPLATE, {**RUN, "verdict": "rolled_back"}, taken_back)
    assert message.startswith("chore(db): roll back shop\n") and "- 20260202000000_lines" in message
    assert "secret" not in message and "20260101000000" not in message


@pytest.mark.parametrize("template", ["{% for %}", "{{ run.failure }}", "{{ run.__class__.__mro__ }}", " \n "])
def test_a_template_that_is_none_is_refused(template: str) -> None:
    with pytest.raises(InputError):
        message_of(template, RUN, DOCUMENTS)


def test_a_template_is_read_before_the_run() -> None:
    compiled(DEFAULT_TEMPLATE)
    with pytest.raises(InputError, match="project_publish.message"):
        compiled("{% if %}")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("https://me:secret@example.org/a.git", "https://********@example.org/a.git"),
        ("https://ghp_secret@example.org/a.git", "https://********@example.org/a.git"),
        ("https://me:p@ss@example.org/a.git", "https://********@example.org/a.git"),
        ("to ssh://git@example.org and mail me@example.org", "to ssh://********@example.org and mail me@example.org"),
        ("https://example.org/a@b", "https://example.org/a@b"),
    ],
)
def test_a_login_in_a_url_is_not_shown(said: str, shown: str) -> None:
    assert without_logins(said) == shown
    assert reason_of_git(ToolError("no", details={"stderr": f"warning: x\nfatal: {said}\n"})) == f"fatal: {shown}"


def test_the_files_of_a_run(tmp_path: Path) -> None:
    for name in ("migrations/20260101000000_notes.sql", "rollbacks/20260101000000_notes.sql", "migrations/2027_x.sql"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    documents = {**DOCUMENTS, "types": {"path": "/app/types.ts"}}
    assert files_of(documents, tmp_path, [Path("/app/more")]) == [
        Path("/app/more"),
        tmp_path / "migrations/20260101000000_notes.sql",
        tmp_path / "rollbacks/20260101000000_notes.sql",
        Path("/app/types.ts"),
    ]
    assert files_of({}, None, []) == []
