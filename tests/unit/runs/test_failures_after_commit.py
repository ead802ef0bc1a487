# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore or a rollback that fails once it is committed is on record in the run's directory, for the run's verdict."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import PgopsError, State, VerificationFailed
from ansible_collections.pgops.supabase.plugins.module_utils.runs.records import load_documents, verdict_of
from ansible_collections.pgops.supabase.plugins.modules import restore, rollback

OPTIONS = {
    "login_host": "localhost",
    "ssl_mode": "prefer",
    "lock_timeout_seconds": 1.0,
    "statement_timeout_seconds": 1.0,
    "backup": "/backups/one",
    "supabase_dir": "/app/supabase",
    "accept": [],
}


@pytest.mark.parametrize("kind", ["restore", "rollback"])
@pytest.mark.parametrize(("outcome", "check"), [("committed", False), ("unchanged", False), ("committed", True)])
def test_what_is_committed_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, outcome: Any, check: bool
) -> None:
    written = outcome == "committed" and not check
    document = {"document": kind, "committed": True, "failed": True}

    def fails(*_arguments: Any) -> None:
        raise VerificationFailed("No", state=State("it is", outcome), details={"result": {kind: document}})

    monkeypatch.setattr(restore, "restore", fails)
    monkeypatch.setattr(rollback, "roll_back", fails)
    job = restore.bring_back if kind == "restore" else rollback.take_back
    module: Any = SimpleNamespace(
        params=defaultdict(lambda: None, {**OPTIONS, "run_dir": str(tmp_path)}), check_mode=check
    )
    with pytest.raises(PgopsError, match="No"):
        job(module)
    file = tmp_path / f"{kind}.json"
    assert file.exists() == written
    if written:
        assert json.loads(file.read_text()) == document
        assert verdict_of(load_documents(tmp_path), kind, failed=True) == "needs_attention"
