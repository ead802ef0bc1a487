# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbook migrate does with what the probes find: nothing is begun, it stands, or it is taken back."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import endpoints
from tests.integration.application import TABLES, Application
from tests.integration.endpoints import Endpoint, Said
from tests.integration.live import LiveProject

MIGRATION = "alter table public.orders add column note text;"
PROBES = [
    {"name": "orders", "url": "/orders?apikey=S3CR3T-query", "role": "anon", "samples": 2, "expect": "length(@) == `1`"}
]
COLUMNS = """select string_agg(attname, ',' order by attnum) from pg_attribute
    where attrelid = 'public.orders'::regclass and attnum > 0 and not attisdropped"""
HOW: dict[str, Any] = {
    "project_probes": PROBES,
    "project_api_keys": {"anon": "S3CR3T-anon-key"},
    "preflight_waivers": {"git": "a test", "identity": "a test"},
}


@pytest.fixture
def app(project: LiveProject, tmp_path: Path) -> Application:
    """An application with a migration that is pending."""
    os.chmod(tmp_path, 0o755)
    project.psql(TABLES)
    application = Application(project, tmp_path / "supabase")
    application.migration("1_note", MIGRATION)
    application.way_back("1_note", "alter table public.orders drop column note;")
    return application


@pytest.fixture
def web() -> Iterator[Endpoint]:
    with endpoints.endpoint() as server:
        yield server


def migrated(app: Application) -> bool:
    """Whether psql sees the new column."""
    found = app.project.psql("select count(*) from information_schema.columns where column_name = 'note'")
    return found == "1"


def migrate(app: Application, web: Endpoint, **more: Any) -> tuple[str, dict[str, Any]]:
    """Run it; what it said, and its run.json."""
    done = app.play("migrate", project_api_url=web.url, **HOW, **more)
    run_dir = max(app.state_dir.glob("shop/*/run.json")).parent
    kept = "".join(file.read_text() for file in run_dir.glob("*.*") if file.is_file())
    assert "S3CR3T" not in done.stdout + done.stderr + kept
    run: dict[str, Any] = json.loads((run_dir / "run.json").read_text())
    return done.stdout, run


def test_worse_than_before_is_taken_back(app: Application, web: Endpoint) -> None:
    schema = app.project.psql(COLUMNS)
    web.answer = lambda _number: Said(500 if migrated(app) else 200, b"[1]")
    for _time in range(2):
        said, run = migrate(app, web)
        assert run["verdict"] == "rolled_back" and run["error"]["code"] == "verification"
        assert "1 of 1 probe failed after the migration" in said and "it answered 500" in said
        assert not migrated(app)
        assert app.project.psql(COLUMNS) == schema


def test_broken_before_begins_nothing_and_with_leave_is_a_warning(app: Application, web: Endpoint) -> None:
    web.answer = lambda _number: Said(200, b"[]")
    for _time in range(2):
        said, run = migrate(app, web)
        assert run["verdict"] == "not_applied" and not migrated(app)
        assert "1 of 1 probe failed before the migration" in said
    said, run = migrate(app, web, probe_required=False)
    assert run["verdict"] == "migrated" and migrated(app)
    assert re.search(r"WARNING +orders", said), said


def test_as_before_it_stands(app: Application, web: Endpoint) -> None:
    web.answer = lambda _number: Said(200, b"[1]")
    said, run = migrate(app, web)
    assert run["verdict"] == "migrated" and migrated(app), said
    assert len(web.asked) == 4 and "1 of 1 answered as they should" in said
