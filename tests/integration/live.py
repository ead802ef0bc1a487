# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the integration tests work with: a database to act on, psql to look at it, and modules run as Ansible runs them."""

from __future__ import annotations

import atexit
import functools
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import ConnectionOptions
from ansible_collections.pgops.supabase.plugins.module_utils.servers.documents import LocalProject
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.integration.module_server import ModuleServer

CLONE = Path(__file__).resolve().parents[2]
MODULES = "ansible_collections.pgops.supabase.plugins.modules"


@dataclass(frozen=True)
class LiveProject:
    """A fresh Supabase-shaped database on a running server."""

    server: LocalProject
    database: str

    @property
    def options(self) -> ConnectionOptions:
        """The connection as postgres."""
        return self.server.connection(self.database)

    @property
    def superuser_options(self) -> ConnectionOptions:
        """The connection as supabase_admin."""
        return self.server.connection(self.database, SUPERUSER)

    @property
    def login(self) -> dict[str, Any]:
        """The connection as postgres, as the modules' parameters."""
        options = self.options
        names = ("login_host", "login_port", "login_user", "login_password", "login_db", "ssl_mode")
        return {name: getattr(options, name) for name in names}

    def psql(self, sql: str, user: str = "postgres") -> str:
        """What psql prints for the SQL: rows by line, cells by |, nothing else."""
        done = self.psql_result(sql, user)
        assert done.returncode == 0, done.stderr
        return done.stdout.removesuffix("\n")

    def psql_error(self, sql: str, user: str = "postgres") -> str:
        """What psql complains about when the SQL is refused."""
        done = self.psql_result(sql, user)
        assert done.returncode != 0, f"this was not refused: {sql}"
        return done.stderr

    def psql_result(self, sql: str, user: str = "postgres") -> subprocess.CompletedProcess[str]:
        """Run psql itself, in a connection of its own that none of the collection's code has a part in."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        environment |= {
            "PGHOST": self.server.host,
            "PGPORT": str(self.server.port),
            "PGUSER": user,
            "PGPASSWORD": self.server.passwords[user],
            "PGDATABASE": self.database,
            "PGCLIENTENCODING": "UTF8",
        }
        command = [str(Path(self.server.pg_bin) / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        return subprocess.run(
            command, env=environment, input=sql, check=False, capture_output=True, encoding="utf-8", timeout=120
        )


class NewProject(Protocol):
    """Make one more fresh database; it is dropped at the end of the test."""

    def __call__(self) -> LiveProject: ...


class RunModule(Protocol):
    """Run a module of the collection and return its result, a failure too."""

    def __call__(self, name: str, /, *, check: bool = False, diff: bool = False, **params: Any) -> dict[str, Any]: ...


def module_environment() -> dict[str, str]:
    """The environment of a module's process: ours, with the collection importable."""
    path = [str(CLONE / ".ansible" / "collections"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


@functools.cache
def _server() -> ModuleServer:
    server = ModuleServer()
    atexit.register(server.stop)
    return server


def run_module(name: str, /, *, check: bool = False, diff: bool = False, **params: Any) -> dict[str, Any]:
    """Run a module in a process of its own, its parameters on standard input, as Ansible's wrapper does.

    Passwords among the parameters must not come back in what the module writes.
    """
    arguments = {**params, "_ansible_check_mode": check, "_ansible_diff": diff}
    given = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}, default=str)
    done = _server().run(f"{MODULES}.{name}", given, module_environment(), timeout_seconds=300)
    assert done.stdout.strip(), f"the module {name} gave no result:\n{done.stderr}"
    result: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if result.get("failed") else 0), done.stderr
    password = params.get("login_password")
    assert not password or password not in done.stdout + done.stderr, f"the module {name} writes its password"
    return as_told(result)


def as_told(result: dict[str, Any]) -> dict[str, Any]:
    """A module's result with a failure's C(msg) as people are told it: the sentence and, from C(error), where, state and next.

    In the module's own answer C(msg) is the sentence alone, and C(error) does not repeat it.
    """
    error = result.get("error")
    if not isinstance(error, dict) or "outcome" not in error:
        return result
    assert "what" not in error and not re.search(r"^(Where|State|Next): ", result["msg"], re.MULTILINE), result
    sentence = result["msg"] if result["msg"].endswith(("?", "!")) else result["msg"].rstrip(".") + "."
    rest = [("Where", error["where"]), ("State", f"{error['state'].rstrip('.')}."), ("Next", error["next_step"])]
    lines = [sentence, *(f"{label}: {text}" for label, text in rest if text)]
    return {**result, "msg": "\n".join(lines), "error": {**error, "what": result["msg"]}}
