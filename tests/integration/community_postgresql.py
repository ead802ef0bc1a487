# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection community.postgresql, its modules run as Ansible runs them."""

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
class CommunityPostgresql:
    """The pinned release, in a directory of its own."""

    directory: Path

    def run(self, name: str, project: LiveProject, /, *, check: bool = False, **params: Any) -> dict[str, Any]:
        """Run a module on the project's server and return its result, a failure too."""
        login = {key: project.login[key] for key in ("login_host", "login_port", "login_user", "login_password")}
        arguments = {**login, **params, "_ansible_check_mode": check}
        done = subprocess.run(
            [sys.executable, "-m", f"ansible_collections.community.postgresql.plugins.modules.{name}"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}, default=str),
            # It takes the programs from PATH: the server's own, so that it fails for no other reason than ours would.
            env={
                "PATH": os.pathsep.join([project.server.pg_bin, os.defpath]),
                "HOME": os.environ.get("HOME", "/"),
                "PYTHONPATH": str(self.directory),
            },
            check=False,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        assert done.stdout.strip(), f"the module {name} gave no result:\n{done.stderr}"
        result: dict[str, Any] = json.loads(done.stdout)
        return result


def installed() -> CommunityPostgresql:
    """The collection, brought first where it is missing; that it cannot be had is a failure, not a skip."""
    command = [sys.executable, str(CLONE / "scripts" / "community_postgresql.py")]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return CommunityPostgresql(Path(done.stdout.strip()))
