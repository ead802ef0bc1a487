# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two projects of the example application that have drifted apart in the ways that a real plan tells of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.live import CLONE, LiveProject, run_module

DEV, PROD = "shop_dev", "shop_prod"
EXAMPLE = CLONE / "examples" / "ready_set" / "supabase"
COMMON = (
    "20250601090000_base_schema",
    "20250701090000_on_demand_requests",
    "20250715090000_policies",
    "20250902090000_soft_delete",
)
FEATURES = ("20251014220000_bridge_add_audit_system", "20251014220100_bridge_add_upload_errors_table")
NOTES = """create table public.customer_notes (id int primary key, body text not null);
alter table public.customer_notes enable row level security;
"""
TOUCH = "create or replace function public.touch() returns trigger language plpgsql as $$ begin return new; end $$;\n"
HOURS = "create table public.opening_hours (weekday int primary key, opens time not null);\n"


@dataclass(frozen=True)
class Two:
    """Two databases, and the folder in git."""

    dev: LiveProject
    prod: LiveProject
    folder: Path

    def file(self, name: str, text: str) -> None:
        """A migration in git."""
        place = self.folder / "migrations" / f"{name}.sql"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def example(self, *names: str) -> None:
        """Migrations of the example application in git."""
        for name in names:
            self.file(name, (EXAMPLE / "migrations" / f"{name}.sql").read_text())

    def apply(self, project: LiveProject, **files: str) -> None:
        """Apply what git has, or the given files, which are in somebody's own branch."""
        folder = self.folder
        if files:
            folder = self.folder.parent / f"branch-{project.database}"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(self.folder, folder)
            for name, text in files.items():
                (folder / "migrations" / f"{name.removeprefix('v')}.sql").write_text(text)
        done = run_module("migration", supabase_dir=str(folder), allow_out_of_order=True, **project.login)
        assert not done.get("failed"), done["msg"]

    def both(self, sql: str) -> None:
        """SQL that somebody runs on both by hand."""
        for project in (self.dev, self.prod):
            project.psql(sql)

    def look(self, **params: Any) -> dict[str, Any]:
        """Run the module, and return its whole document."""
        done = self.result(**params)
        assert not done.get("failed"), done["msg"]
        document: dict[str, Any] = json.loads(Path(done["reconciliation"]["document"]).read_text())
        return document

    def result(self, **params: Any) -> dict[str, Any]:
        """Run the module as the role does."""
        wanted = {
            "source": self.dev.login,
            "source_name": DEV,
            "target_name": PROD,
            "supabase_dir": str(self.folder),
            "directory": str(self.folder.parent / "reconcile"),
            **self.prod.login,
            **params,
        }
        return run_module("reconciliation", **wanted)


def history(document: dict[str, Any]) -> list[tuple[str, ...]]:
    """The findings in short: what, version, the other version, on which project, direction."""
    return [
        (f["finding"], f["version"], f["other_version"] or "", f["on"], f["direction"]) for f in document["history"]
    ]


def differences(document: dict[str, Any]) -> list[tuple[str, ...]]:
    """The differences in short: object, direction, risk."""
    return [(f"{d['object_type']} {d['object_name']}", d["direction"], d["risk"]) for d in document["differences"]]


def variables(project: LiveProject, two: Two) -> dict[str, Any]:
    """What the inventory says of a project."""
    login = project.login
    return {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "project_db_host": login["login_host"],
        "project_db_port": login["login_port"],
        "project_db_name": login["login_db"],
        "project_db_user": login["login_user"],
        "project_db_password": login["login_password"],
        "project_ssl_mode": "disable",
        "project_supabase_dir": str(two.folder),
        "project_state_dir": str(two.folder.parent / "runs"),
    }


def play(two: Two, *options: str, callback: str = "pgops.supabase.runbook") -> subprocess.CompletedProcess[str]:
    """Run the playbook on prod, which promotes from dev."""
    inventory = two.folder.parent / "inventory.json"
    hosts = {DEV: variables(two.dev, two), PROD: {**variables(two.prod, two), "project_promotes_from": DEV}}
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    inventory.chmod(0o600)
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "pgops.supabase.reconcile",
            "-i",
            str(inventory),
            *options,
        ],
        cwd=CLONE,
        env={**os.environ, "ANSIBLE_CONFIG": str(CLONE / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": callback},
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    for project in (two.dev, two.prod):
        assert project.login["login_password"] not in done.stdout + done.stderr
    return done
