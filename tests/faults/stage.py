# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that may be stopped at any time, databases that are made from a template, and the run that is disturbed on them."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg2 import sql

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_value, session
from ansible_collections.pgops.supabase.plugins.module_utils.servers.documents import LocalProject
from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import (
    create_database,
    drop_database,
)
from ansible_collections.pgops.supabase.plugins.module_utils.servers.server import (
    running_pid,
    start_server,
    stop_server,
)
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.faults.applier import Applier, Ended
from tests.faults.proxy import Interfere, Proxy
from tests.faults.states import State, read_state
from tests.faults.subject import BEFORE, Subject
from tests.integration.live import LiveProject

PATIENCE_SECONDS = 30
POLL_SECONDS = 0.005


@dataclass
class Stage:
    """One server with its proxy, and the warm process that applies; nothing of it is shared between workers."""

    server: LocalProject
    proxy: Proxy
    applier: Applier

    def prepare(self, subject: Subject, directory: Path) -> Prepared:
        """Make the database that every run of a subject starts from, and its files."""
        subject.write(directory)
        template = f"start_{subject.name}_{secrets.token_hex(3)}"
        create_database(self.server, template)
        project = LiveProject(self.server, template)
        project.psql(subject.start)
        arguments = {
            "supabase_dir": str(directory),
            "transaction_scope": subject.transaction_scope,
            "run_id": "20260101T000000Z-0001",
            # A statement that is held up must not be given up.
            "lock_timeout_seconds": PATIENCE_SECONDS,
            "lock_wait_seconds": 0.5,
            "retries": 0,
        }
        prepared = Prepared(self, subject, template, arguments)
        before = self.applier.run("migration", {**arguments, **project.login, "to_version": BEFORE.partition("_")[0]})
        assert before.result is not None and before.result.get("changed"), before
        # CREATE DATABASE copies a sequence as it is. When some of its values are logged ahead, the copy gives them out without
        # logging them, and an immediate stop takes them back: not so after setval, which logs none ahead.
        project.psql("select setval('pgops.ledger_event_id_seq', max(event_id)) from pgops.ledger")
        counted = self.applier.run("row_counts", project.login)
        assert counted.result is not None
        arguments["validations"] = [str(directory / "VALIDATION_SQL.sql")]
        arguments["baseline"] = counted.result["row_counts"]
        return prepared

    def stop_at_once(self) -> None:
        """End the server without letting it tidy up: what the disk holds is what it finds when it starts."""
        stop_server(self.server.server, how=signal.SIGQUIT)

    def start_again(self) -> None:
        """Start the server if it does not run."""
        if running_pid(self.server.server) is None:
            start_server(self.server.server)


@dataclass(frozen=True)
class Prepared:
    """A subject that is ready to be applied, as often as wanted, each time from the same start."""

    stage: Stage
    subject: Subject
    template: str
    arguments: dict[str, Any]

    @contextmanager
    def database(self, name: str | None = None) -> Iterator[LiveProject]:
        """A database as it is before the run, by a name of its own unless one is given."""
        server = self.stage.server
        name = name or f"cell_{secrets.token_hex(6)}"
        with session(server.connection(user=SUPERUSER), autocommit=True) as connection:
            execute(
                connection,
                sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(self.template)),
            )
            execute(
                connection,
                sql.SQL('alter database {} set search_path = "$user", public, extensions').format(sql.Identifier(name)),
            )
        try:
            yield LiveProject(server, name)
        finally:
            self.stage.start_again()
            drop_database(server, name)

    def apply(self, project: LiveProject, interfere: Interfere | None = None) -> Ended:
        """Apply all that is pending: directly, or through the proxy, which asks at each question."""
        login = project.login
        if interfere is not None:
            self.stage.proxy.next_run(interfere)
            login = {**login, "login_port": self.stage.proxy.port}
        return self.stage.applier.run("migration", {**self.arguments, **login})

    def state(self, project: LiveProject) -> State:
        """What is committed."""
        return read_state(project.server.connection(project.database, SUPERUSER))


def wait_for(condition: Callable[[], bool], complaint: str) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(POLL_SECONDS)


def wait_until_alone(project: LiveProject) -> None:
    """Wait until no session of a client is left in the database: the server notices by itself that a client is gone."""
    others = "select count(*) from pg_stat_activity where datname = %s and backend_type = 'client backend'"
    with session(project.server.connection(user=SUPERUSER), autocommit=True) as connection:
        wait_for(
            lambda: fetch_value(connection, others, [project.database]) == 0,
            f"a session of the disturbed run stays in {project.database}",
        )
