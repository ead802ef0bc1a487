# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application notices of maintenance: a hundred requests a second before, while it is turned on, migrated, off, and after."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from bench.server import Bench

DATABASE = "maintained"
WORKERS, EACH_SECOND = 10, 10.0
# An API tries to connect again after a pause.
PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Request:
    """One request as its client saw it; times are monotonic seconds."""

    begun: float
    seconds: float
    writes: bool
    failed: bool


@dataclass
class Application:
    """Clients that log in as the API does and act as authenticated: every second request writes, half of those with READ WRITE."""

    bench: Bench
    requests: list[Request] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Have the clients begin."""
        self.threads = [threading.Thread(target=self._work, args=[number]) for number in range(WORKERS)]
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Have them end."""
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def _work(self, number: int) -> None:
        connection: Any = None
        due = time.monotonic() + number / WORKERS / EACH_SECOND
        count = number
        while not self.ended.wait(max(0.0, due - time.monotonic())):
            due, count = max(due + 1 / EACH_SECOND, time.monotonic() - 1), count + 1
            begun, writes = time.monotonic(), count % 2 == 0
            begin = "begin read write" if count % 4 == 0 else "begin"
            act = "insert into public.notes (text) values ('x')" if writes else "select count(*) from public.small"
            try:
                connection = connection or self._connect()
                connection.cursor().execute(f"{begin}; set local role authenticated; {act}; commit")
                failed = False
            except psycopg2.Error:
                failed = True
                with contextlib.suppress(psycopg2.Error, AttributeError):
                    connection.cursor().execute("rollback")
                if connection is None or connection.closed:
                    connection = None
                    self.ended.wait(PAUSE_SECONDS)
            self.requests.append(Request(begun, time.monotonic() - begun, writes, failed))

    def _connect(self) -> Any:
        server = self.bench.server
        connection = psycopg2.connect(
            host=server.host,
            port=server.port,
            user="authenticator",
            password=server.passwords["authenticator"],
            dbname=DATABASE,
            application_name="api",
        )
        connection.autocommit = True
        return connection


def measure(bench: Bench) -> None:
    """Each way once, and without maintenance for comparison."""
    for name, how in (
        ("without maintenance", None),
        ("database", {"strategy": "database"}),
        ("database, keep_api_reads", {"strategy": "database", "keep_api_reads": True}),
    ):
        _measure(bench, name, how)


def _measure(bench: Bench, name: str, how: dict[str, Any] | None) -> None:
    bench.new_database(DATABASE)
    bench.statement(
        DATABASE,
        "create table public.notes (id bigint generated always as identity primary key, text text); "
        "create table public.small (id int); insert into public.notes (text) select 'x' from generate_series(1, 200000); "
        "grant select, insert on all tables in schema public to authenticated",
    )
    supabase = bench.emptied("supabase")
    (supabase / "migrations").mkdir(parents=True)
    file = supabase / "migrations" / "20260101000000_column.sql"
    file.write_text("alter table public.notes add column done boolean; create index on public.notes (text);\n")
    phases: list[tuple[str, float, float]] = []
    application = Application(bench)
    application.start()

    def phase(what: str, work: Callable[[], object]) -> None:
        begun = time.monotonic()
        work()
        phases.append((what, begun, time.monotonic()))

    try:
        phase("before", lambda: time.sleep(3))
        if how:
            phase("on", lambda: bench.module("maintenance", database=DATABASE, state="on", how=how))
        phase("migrate", lambda: _migrate(bench, supabase))
        if how:
            phase("off", lambda: bench.module("maintenance", database=DATABASE, state="off", how=how))
        phase("after", lambda: time.sleep(3))
    finally:
        application.stop()
    _print(name, application.requests, phases)


def _migrate(bench: Bench, supabase: Path) -> None:
    bench.module("migration", database=DATABASE, supabase_dir=str(supabase))


def _print(name: str, requests: list[Request], phases: list[tuple[str, float, float]]) -> None:
    print(
        f"\n{WORKERS * EACH_SECOND:.0f} requests a second; {name}; load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores"
    )
    print("| phase | seconds | reads | failed | writes | failed | longest wait, ms |\n|---|---|---|---|---|---|---|")
    for what, begun, ended in phases:
        these = [request for request in requests if begun <= request.begun < ended]
        reads, writes = ([it for it in these if it.writes is kind] for kind in (False, True))
        failed = [sum(it.failed for it in kind) for kind in (reads, writes)]
        longest = max((it.seconds for it in these if not it.failed), default=0.0) * 1000
        cells = (what, f"{ended - begun:.1f}", len(reads), failed[0], len(writes), failed[1], f"{longest:.0f}")
        print(f"| {' | '.join(map(str, cells))} |")
    print(flush=True)
