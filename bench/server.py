# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the contenders work on: a local server with its usual settings, databases on it, and the programs that reach it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_value, session
from ansible_collections.pgops.supabase.plugins.module_utils.servers.documents import LocalProject
from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import (
    create_database,
    drop_database,
    ensure_absent,
    ensure_started,
)
from bench.measure import Sample, run_measured

CLONE = Path(__file__).resolve().parent.parent
MODULES = "ansible_collections.pgops.supabase.plugins.modules"
# Room for what is measured in memory; everything that keeps data safe stays on.
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB"}


@dataclass(frozen=True)
class Bench:
    """A running server, and a directory for whatever a contender writes."""

    server: LocalProject
    scratch: Path

    def psql(self, *arguments: str | Path, database: str, stdin: str = "") -> Sample:
        """Run psql; a statement that fails ends it."""
        command = [self.program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", *arguments]
        return run_measured(command, self.environment(database), stdin)

    def module(self, name: str, *, database: str, **parameters: Any) -> Sample:
        """Run a module of the collection in a process of its own, as Ansible does."""
        login = self.server.connection(database)
        names = ("login_host", "login_port", "login_user", "login_password", "login_db", "ssl_mode")
        arguments = {**{option: getattr(login, option) for option in names}, **parameters}
        return run_measured(
            [sys.executable, "-m", f"{MODULES}.{name}"],
            {**os.environ, "PYTHONPATH": str(CLONE / ".ansible" / "collections")},
            json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        )

    def environment(self, database: str) -> dict[str, str]:
        """The environment in which PostgreSQL's programs reach a database as postgres."""
        login = self.server.connection(database)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "PGHOST": login.login_host,
            "PGPORT": str(login.login_port),
            "PGUSER": login.login_user,
            "PGPASSWORD": login.login_password or "",
            "PGDATABASE": database,
        }

    def program(self, name: str) -> Path:
        """One of PostgreSQL's programs, of the server's own release."""
        return Path(self.server.pg_bin) / name

    def new_database(self, name: str) -> None:
        """Have an empty, Supabase-shaped database of this name."""
        drop_database(self.server, name)
        create_database(self.server, name)

    def statement(self, database: str, statement: str) -> None:
        """Run a statement for the preparation."""
        with session(self.server.connection(database)) as connection:
            connection.autocommit = True
            execute(connection, statement)

    def answer(self, query: str, *, database: str) -> object:
        """The one value that a query gives."""
        with session(self.server.connection(database)) as connection:
            return fetch_value(connection, query)

    def emptied(self, name: str) -> Path:
        """A path in the scratch directory at which nothing is."""
        path = self.scratch / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        return path


@contextmanager
def running() -> Iterator[Bench]:
    """A server for the measurements, removed at the end."""
    # A server that root starts runs as somebody else, who has to be able to enter.
    state = Path(tempfile.mkdtemp(prefix="pgops-bench-"))
    state.chmod(0o755)
    scratch = state / "scratch"
    scratch.mkdir(mode=0o700)
    try:
        server = ensure_started(state, "bench", settings=SETTINGS).project
        assert server is not None
        yield Bench(server, scratch)
    finally:
        ensure_absent(state, "bench")
        shutil.rmtree(state)
