# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What real applications have in their migrations, pushed by the Supabase CLI and migrated by our playbook as it comes.

Both sides begin with a fresh project, and have to end alike: by pg_dump, by the history, by rows of the platform's tables, and by
what the CLI lists. Ours is rolled back then: pg_dump has to write what it wrote before.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.application import Application
from tests.integration.live import LiveProject, NewProject
from tests.integration.supabase_cli import SupabaseCli
from tests.interop.cases import APPLIED, REFUSED, Files
from tests.interop.conftest import OUTCOME, TAKEN_BACK


def written(directory: Path, files: Files, folder: str = "migrations") -> Path:
    """The application's Supabase folder with these files in a folder of it."""
    for name, content in files.items():
        path = directory / "supabase" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return directory / "supabase"


def schema(project: LiveProject, *less: str) -> str:
    """What pg_dump writes of it all, less our own schema and others that are named."""
    server = project.server
    environment = {**os.environ, "PGHOST": server.host, "PGPORT": str(server.port), "PGDATABASE": project.database}
    environment |= {"PGUSER": "supabase_admin", "PGPASSWORD": server.passwords["supabase_admin"]}
    command = [str(Path(server.pg_bin) / "pg_dump"), "--schema-only", "--restrict-key=x"]
    command += [f"--exclude-schema={name}" for name in ("pgops", *less)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, encoding="utf-8").stdout


HISTORY = "select version, name, statements from supabase_migrations.schema_migrations order by version"
# What is the platform's and no schema: rows that migrations write into its tables.
ROWS = """
select 'bucket', id, public::text from storage.buckets
union all select 'secret', name, decrypted_secret from vault.decrypted_secrets
order by 1, 2
"""
JOBS = "select jobname, schedule, command, username from cron.job order by 1"


def rows(project: LiveProject) -> str:
    """The platform's rows as psql finds them."""
    jobs = project.psql(JOBS) if project.psql("select to_regclass('cron.job')") else ""
    return f"{project.psql(ROWS)}\n{jobs}"


@pytest.mark.parametrize("case", APPLIED)
def test_what_the_cli_applies_we_apply_and_take_back(
    cli: SupabaseCli, new_project: NewProject, tmp_path: Path, case: str, record_property: Callable[[str, object], None]
) -> None:
    supabase_dir = written(tmp_path / "app", APPLIED[case].migrations)
    written(tmp_path / "app", APPLIED[case].rollbacks, "rollbacks")
    theirs, ours = new_project(), new_project()
    before, rows_before = schema(ours, "supabase_migrations"), rows(ours)
    application = Application(ours, supabase_dir)
    cli.push(theirs, supabase_dir)
    for _time in range(2):
        done = application.play("migrate")
        assert done.returncode == 0, done.stdout
        assert ours.psql(HISTORY) == theirs.psql(HISTORY)
        assert schema(ours) == schema(theirs)
        assert rows(ours) == rows(theirs)
        assert cli.listed(ours, supabase_dir) == cli.listed(theirs, supabase_dir)
        assert cli.pending(ours, supabase_dir) == []
    if APPLIED[case].rollbacks:
        done = application.play("rollback", rollback_reason="a test", rollback_to_version="0")
        assert done.returncode == 0, done.stdout
        assert schema(ours, "supabase_migrations") == before
        assert rows(ours) == rows_before
        assert application.versions() == []
        record_property(TAKEN_BACK, case)
    record_property(OUTCOME, "equal")


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_cli_refuses_we_refuse_and_change_nothing(
    cli: SupabaseCli, new_project: NewProject, tmp_path: Path, case: str, record_property: Callable[[str, object], None]
) -> None:
    supabase_dir = written(tmp_path / "app", REFUSED[case].migrations)
    theirs, ours = new_project(), new_project()
    cli.refuses_to_push(theirs, supabase_dir)
    before, rows_before = schema(ours), rows(ours)
    for _time in range(2):
        done = Application(ours, supabase_dir).play("migrate")
        assert done.returncode != 0
        # Each place that is wrong is named, at once.
        for text in REFUSED[case].said:
            assert text in done.stdout, done.stdout
        assert schema(ours) == before and rows(ours) == rows_before
        assert ours.psql("select to_regclass('supabase_migrations.schema_migrations')") == ""
    record_property(OUTCOME, "refused")
