# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Supabase CLI, run on a database as a person without Docker runs it, and what it says in JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.live import CLONE, LiveProject


@dataclass(frozen=True)
class SupabaseCli:
    """One release of the CLI."""

    version: str
    program: Path
    # The CLI writes below its user's home.
    home: Path

    def pending(self, project: LiveProject, supabase_dir: Path) -> list[str]:
        """The file names that C(db push --dry-run) would push."""
        said = self._run(project, supabase_dir, "db", "push", "--dry-run", "--include-all")
        assert said["dryRun"] is True
        assert said["upToDate"] is (not said["migrations"])
        names: list[str] = said["migrations"]
        return names

    def push(self, project: LiveProject, supabase_dir: Path, *, include_all: bool = False) -> list[str]:
        """Push what is pending, also before the newest where that is asked for; the file names that were pushed."""
        said = self._run(project, supabase_dir, "db", "push", *(["--include-all"] if include_all else []))
        assert said["dryRun"] is False
        names: list[str] = said["migrations"]
        return names

    def refuses_to_push(self, project: LiveProject, supabase_dir: Path) -> str:
        """Push, which has to fail; what is said then."""
        done = self.run(project, supabase_dir, "db", "push")
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def listed(self, project: LiveProject, supabase_dir: Path) -> dict[str, bool]:
        """The versions of the files that C(migration list) shows, and whether each is applied in the database."""
        rows = self._run(project, supabase_dir, "migration", "list")["migrations"]
        assert all(row["remote"] in (row["local"], "") for row in rows), rows
        return {row["local"]: bool(row["remote"]) for row in rows}

    def run(
        self, project: LiveProject, supabase_dir: Path, *command: str, path: str = os.defpath
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, and return what it said and its exit code, whichever it is.

        The password is not part of the URL, because command lines can be read by every user of a machine: the CLI takes it
        from PGPASSWORD.

        :param path: where the CLI finds other programs.
        """
        login = project.options
        url = (
            f"postgresql://{login.login_user}@{login.login_host}:{login.login_port}/{project.database}?sslmode=disable"
        )
        target = f"--remote={url}" if int(self.version.split(".")[0]) >= 3 else f"--db-url={url}"
        return subprocess.run(
            [str(self.program), *command, target, "--yes", f"--workdir={supabase_dir.parent}"],
            # Nothing else: the user's own settings and tokens are not for this database.
            env={
                "PATH": path,
                "HOME": str(self.home),
                "PGPASSWORD": login.login_password or "",
                "SUPABASE_TELEMETRY_DISABLED": "1",
                "SUPABASE_NO_UPDATE_NOTIFIER": "1",
            },
            stdin=subprocess.DEVNULL,
            check=False,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )

    def _run(self, project: LiveProject, supabase_dir: Path, *command: str) -> dict[str, Any]:
        """Run a command that has to succeed.

        A dry run exits with 0 whether or not something is pending, so its JSON is what counts.
        """
        done = self.run(project, supabase_dir, *command, "--output-format=json")
        assert done.returncode == 0, done.stdout + done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said


def installed(version: str, home: Path) -> SupabaseCli:
    """One release of the CLI, brought first where it is missing; that it cannot be had is a failure, not a skip."""
    command = [sys.executable, str(CLONE / "scripts" / "supabase_cli.py"), version]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0, done.stderr
    return SupabaseCli(version, Path(done.stdout.strip()), home)
