# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small application with a database and migrations, for the tests of what applies them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration import snapshots
from tests.integration.live import CLONE, MODULES, LiveProject, module_environment, run_module

TABLES = """
create table public.clients (id int primary key, name text not null);
insert into public.clients values (1, 'one'), (2, 'two'), (3, 'three');
create table public.orders (id int primary key, client int references public.clients (id));
insert into public.orders select i, i % 3 + 1 from generate_series(1, 100) i;
"""


@dataclass(frozen=True)
class Application:
    """A project with some tables and rows, and the directory with its migrations."""

    project: LiveProject
    directory: Path

    def migration(self, name: str, content: str | bytes) -> Path:
        """Write a migration, the name without its suffix."""
        return self._write(self.directory / "migrations" / f"{name}.sql", content)

    def validation(self, content: str) -> Path:
        """Write the validation script."""
        return self._write(self.directory / "VALIDATION_SQL.sql", content)

    def apply(self, **params: Any) -> dict[str, Any]:
        """Run the module that applies; a lock is waited for only as long as a test can afford."""
        return run_module("migration", **{**self._arguments(), **params})

    def start_applying(self) -> subprocess.Popen[str]:
        """Start the same as a process that is not waited for."""
        process = subprocess.Popen(
            [sys.executable, "-m", f"{MODULES}.migration"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=module_environment(),
            encoding="utf-8",
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": self._arguments()}))
        process.stdin.close()
        return process

    def info(self, **params: Any) -> dict[str, Any]:
        """Run the module that looks."""
        return run_module("migration_info", supabase_dir=str(self.directory), **self.project.login, **params)

    def baseline(self) -> dict[str, Any]:
        """The row counts as they are now, as the module for them reports them."""
        counts: dict[str, Any] = run_module("row_counts", **self.project.login)["row_counts"]
        return counts

    def snapshot(self) -> snapshots.Snapshot:
        """Everything as it is now."""
        return snapshots.take(self.project, self.directory)

    def versions(self) -> list[str]:
        """What psql finds in Supabase's history."""
        return self.project.psql("select version from supabase_migrations.schema_migrations order by 1").split()

    def events(self) -> list[str]:
        """What psql finds in the ledger: event and version."""
        return self.project.psql("select event || ' ' || version from pgops.ledger order by event_id").splitlines()

    def refuses(self, code: str, *texts: str, **params: Any) -> dict[str, Any]:
        """Apply two times: each fails with an error of that kind and with those texts, and nothing is different after it."""
        before = self.snapshot()
        results = [self.apply(**params), self.apply(**params)]
        for result in results:
            assert result.get("failed"), result
            assert not result["changed"], result
            assert result["error"]["code"] == code, result["msg"]
            for text in (*texts, "State: ", "Next: "):
                assert text in result["msg"], result["msg"]
        assert self.snapshot() == before
        assert results[0]["error"]["where"] == results[1]["error"]["where"]
        return results[1]

    def applies(self, **params: Any) -> dict[str, Any]:
        """Apply two times: the first changes the project, the second finds nothing to do and leaves it alone."""
        first = self.apply(**params)
        assert first.get("changed"), first
        after = self.snapshot()
        second = self.apply(**params)
        assert not second.get("failed") and not second["changed"], second
        assert second["migration"]["migrations"] == []
        assert self.snapshot() == after
        return first

    def way_back(self, name: str, content: str | bytes) -> Path:
        """Write a rollback file, the name without its suffix."""
        return self._write(self.directory / "rollbacks" / f"{name}.sql", content)

    @property
    def state_dir(self) -> Path:
        """Where the runs are."""
        return self.directory.parent / "runs"

    def play(self, playbook: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a playbook on the project, which the inventory knows as C(shop)."""
        command, options = self.command(playbook, **more)
        done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", timeout=900, **options)
        assert self.project.login["login_password"] not in done.stdout + done.stderr
        return done

    def command(self, playbook: str, **more: Any) -> tuple[list[str], dict[str, Any]]:
        """The command that runs a playbook on the project, and the environment and folder that it needs."""
        login = self.project.login
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "project_db_host": login["login_host"],
            "project_db_port": login["login_port"],
            "project_db_name": login["login_db"],
            "project_db_user": login["login_user"],
            "project_db_password": login["login_password"],
            "project_ssl_mode": "disable",
            "project_supabase_dir": str(self.directory),
            "project_state_dir": str(self.state_dir),
            # No scratch server has to outlive a crash of this machine.
            "rehearse_server_settings": {"fsync": False, "full_page_writes": False},
            **more,
        }
        inventory = self.directory.parent / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": {"shop": variables}}}), encoding="utf-8")
        program, path = Path(sys.executable).parent / "ansible-playbook", CLONE / "playbooks" / f"{playbook}.yml"
        home = {
            "ANSIBLE_HOME": str(CLONE / ".ansible"),
            "ANSIBLE_CONFIG": str(CLONE / "ansible.cfg"),
            # With the tasks; what the runbook's callback shows has tests of its own.
            "ANSIBLE_STDOUT_CALLBACK": "default",
        }
        command = [str(program), "-i", str(inventory), "-l", "shop", str(path)]
        return command, {"env": {**module_environment(), **home}, "cwd": CLONE}

    def _arguments(self) -> dict[str, Any]:
        quick = {"lock_timeout_seconds": 0.3, "lock_wait_seconds": 0.2, "retries": 0}
        return {"supabase_dir": str(self.directory), **self.project.login, **quick}

    def _write(self, path: Path, content: str | bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path
