# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several at once: runs beside each other, and readers beside a run that waits for its locks."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    connect,
    execute,
    fetch_all,
    session,
)
from tests.faults.stage import wait_for
from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

FIRST, SECOND = "20260101000000_first", "20260102000000_second"
LOCK_TIMEOUT_SECONDS = 1.0
# For a machine that has other things to do; the session that is waited for stays much longer than this.
SLACK_SECONDS = 2.0
PATIENT_SECONDS, IMPATIENT_SECONDS = 60.0, 0.1


@pytest.fixture
def application(project: LiveProject, tmp_path: Path) -> Application:
    """An application without migrations."""
    project.psql(TABLES)
    return Application(project, tmp_path / "supabase")


@contextmanager
def holding(project: LiveProject, sql: str) -> Iterator[PgConnection]:
    """A session in the middle of a transaction."""
    with session(project.options) as connection:
        execute(connection, sql)
        yield connection


def waiting(project: LiveProject, query: str) -> int:
    """How many sessions wait for a lock with a statement that begins so."""
    return int(
        project.psql(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' "
            f"and query ilike '{query}%'"
        )
    )


@pytest.mark.parametrize(
    ("runs", "lock_wait_seconds"),
    [(2, PATIENT_SECONDS), (10, IMPATIENT_SECONDS)],
    ids=["two-that-wait", "ten-that-do-not-wait"],
)
def test_of_many_at_the_same_time_exactly_one_applies(
    application: Application, runs: int, lock_wait_seconds: float
) -> None:
    application.migration(FIRST, "create table public.first (id int);\nupdate public.clients set name = name || '.';\n")
    application.migration(SECOND, "insert into public.first values (1);\n")
    patient = lock_wait_seconds == PATIENT_SECONDS
    with ThreadPoolExecutor(runs) as pool:
        with holding(application.project, "lock table public.clients in share mode") as holder:
            started = [
                pool.submit(application.apply, lock_wait_seconds=lock_wait_seconds, lock_timeout_seconds=60)
                for _number in range(runs)
            ]
            wait_for(lambda: waiting(application.project, "update public.clients") == 1, "nobody applies")
            if patient:
                # Each polls for the apply lock with a session of its own.
                asking = "select count(*) from pg_stat_activity where query like '%pg_try_advisory_xact_lock%' and state like 'idle%'"
                wait_for(lambda: application.project.psql(asking) == str(runs - 1), "nobody waits")
            else:
                wait_for(lambda: sum(run.done() for run in started) == runs - 1, "the others do not end")
            holder.rollback()
        results = [run.result() for run in started]
    assert Counter(result["changed"] for result in results) == {True: 1, False: runs - 1}
    expected = "history" if patient else "busy"
    for loser in (result for result in results if not result["changed"]):
        assert loser["failed"] and loser["error"]["code"] == expected, loser
        assert loser["error"]["state"] == "nothing was changed" and loser["error"]["next_step"]
    assert application.project.psql("select id from public.first") == "1"
    assert application.project.psql("select name from public.clients order by id") == "one.\ntwo.\nthree."
    assert application.events() == [f"applied {FIRST[:14]}", f"applied {SECOND[:14]}"]
    assert application.apply()["changed"] is False


class Reader:
    """Reads a table again and again, and knows how long the longest of it took."""

    def __init__(self, project: LiveProject) -> None:
        self.longest_seconds = 0.0
        self.reads = 0
        self._connection = connect(project.options)
        self._connection.autocommit = True
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()
        self._connection.close()

    def _read(self) -> None:
        # The second is evaluated when the lock is there.
        read = "select extract(epoch from clock_timestamp() - statement_timestamp())::float8 from public.orders limit 1"
        while not self._ended.is_set():
            self.longest_seconds = max(self.longest_seconds, fetch_all(self._connection, read)[0][0])
            self.reads += 1


def test_a_long_reader_does_not_hold_up_the_others(application: Application) -> None:
    """An ALTER TABLE that waits lets nobody pass: each of its waits is bounded, and after the last nobody waits any more."""
    application.migration(FIRST, "alter table public.orders add column note text;\n")
    project = application.project
    with holding(project, "select count(*) from public.orders") as holder:
        for retries in (0, 1):
            with Reader(project) as reader, ThreadPoolExecutor(1) as pool:
                run = pool.submit(application.apply, lock_timeout_seconds=LOCK_TIMEOUT_SECONDS, retries=retries)
                wait_for(lambda: waiting(project, "select extract") == 1 or run.done(), "the run waits for nothing")
                result = run.result()
                reads = reader.reads
                # The long reader is still there, and the others read on.
                wait_for(lambda: reader.reads > reads + 10, "readers wait although the run has given up")
            assert result["failed"] and result["error"]["details"]["sqlstate"] == "55P03", result
            assert result["error"]["details"]["attempts"] == retries + 1
            assert LOCK_TIMEOUT_SECONDS / 4 < reader.longest_seconds < LOCK_TIMEOUT_SECONDS + SLACK_SECONDS
            assert waiting(project, "") == 0
        assert holder.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_INTRANS
    application.applies()
