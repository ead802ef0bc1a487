# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project of its own watched while real faults are brought about and mended: who is told, how often, and what is written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import (
    ensure_absent,
    ensure_started,
    ensure_stopped,
)
from tests.integration import endpoints, receivers
from tests.integration.conftest import FAST_SETTINGS
from tests.integration.endpoints import Said
from tests.integration.live import MODULES, LiveProject, module_environment, run_module

# Looked up by an index it is quick; without the index the function sleeps for every row.
TABLES = """
create function public.norm(text) returns text language plpgsql immutable cost 10000
    as $$ begin perform pg_sleep(0.01); return lower($1); end $$;
create table public.notes (id int primary key, body text);
insert into public.notes select i, 'Note S3CR3T ' || i from generate_series(1, 120) i;
{index}
create table public.audits (at timestamptz default now());
insert into public.audits default values;
analyze;
"""
INDEX = "create index notes_norm on public.notes (public.norm(body));"
ASKED = "select count(*) from public.notes where public.norm(body) = 'note s3cr3t 7'"
PROBES = [{"name": "notes", "url": "/notes", "samples": 2}]
METRICS = [
    {"name": "audits", "query": "select count(*) as audits from public.audits", "expect": "[0].audits >= `1`"},
]
THRESHOLDS = {"api_floor_seconds": 0.4, "longest_transaction_seconds": 1, "error_count": 20, "error_share": 0.2}


def dsn(project: LiveProject) -> dict[str, Any]:
    """A connection of a test's own."""
    names = {
        "host": "login_host",
        "port": "login_port",
        "user": "login_user",
        "password": "login_password",
        "dbname": "login_db",
    }
    return {name: getattr(project.options, option) for name, option in names.items()}


@dataclass
class Stage:
    """A project on a server of its own, its endpoint, and the people who are told."""

    project: LiveProject
    run_dir: Path
    api_url: str
    hook: receivers.Web
    mail: receivers.Mail
    textfile: Path
    # Where the server is.
    state: Path
    seen: list[dict[str, Any]] = field(default_factory=list)

    def sample(self, **more: Any) -> dict[str, Any]:
        """One sample by a module of its own: each time the watch is started again."""
        channels = [
            {"name": "chat", "type": "webhook", "url": self.hook.url},
            {
                "name": "on call",
                "type": "email",
                "host": "127.0.0.1",
                "port": self.mail.port,
                "encryption": "none",
                "sender": "pgops@example.com",
                "recipients": ["oncall@example.com"],
            },
        ]
        given = {
            "project": "shop",
            "run_dir": str(self.run_dir),
            "once": True,
            "probes": PROBES,
            "api_url": self.api_url,
            "metrics": METRICS,
            "channels": channels,
            "thresholds": THRESHOLDS,
            "textfile": str(self.textfile),
        }
        found = run_module("monitor", **{**self.project.login, **given, **more})
        self.seen.append(found)
        return found

    def told(self) -> list[str]:
        """What both channels were told, in order: event and what is watched."""
        chat = [payload["text"] for _path, _headers, payload in self.hook.received]
        mails = [f"{message['Subject']}\n{message.get_content()}" for _from, _to, message in self.mail.received]
        both = []
        for texts in (chat, mails):
            said = []
            for text in texts:
                event = "recovered" if "RECOVERED" in text else "alert" if "ALERT" in text else text
                said.append(f"{event} {next(key for key, words in WORDS.items() if words in text)}")
            both.append(said)
        assert both[0] == both[1], both
        return both[0]

    def samples(self) -> list[dict[str, Any]]:
        """The lines of monitor.jsonl."""
        return [json.loads(line) for line in (self.run_dir / "monitor.jsonl").read_text().splitlines()]


WORDS = {
    "api_times": "How fast the application",
    "transactions": "Open transactions",
    "errors": "rolled back",
    "database": "The database",
    "metric": "audits: ",
}


@contextmanager
def staged(state: Path, tmp_path: Path) -> Iterator[Stage]:
    """A server, an endpoint that asks its database, and receivers of messages."""
    server = ensure_started(state, "watched", settings=FAST_SETTINGS).project
    assert server is not None
    project = LiveProject(server, server.database)
    try:
        project.psql("drop table if exists public.notes, public.audits; drop function if exists public.norm(text);")
        project.psql(TABLES.format(index=INDEX))

        def answer(_number: int) -> Said:
            try:
                with psycopg2.connect(**dsn(project)) as connection, connection.cursor() as cursor:
                    cursor.execute(ASKED)
            except psycopg2.OperationalError:
                return Said(503)
            return Said(200, b"[1]")

        with endpoints.endpoint() as web, receivers.web() as hook, receivers.mail() as mail:
            web.answer = answer
            yield Stage(project, tmp_path / "run", web.url, hook, mail, tmp_path / "exported" / "pgops.prom", state)
    finally:
        ensure_absent(state, "watched")


@pytest.fixture
def stage(server_state: Path, tmp_path: Path) -> Iterator[Stage]:
    with staged(server_state / "monitor", tmp_path) as it:
        yield it


class Outside(HTMLParser):
    """What a page would load from elsewhere, and its drawings."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.drawings = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one element."""
        self.drawings += tag == "svg"
        self.loads += [
            str(value)
            for name, value in attrs
            if name in ("src", "href", "xlink:href") and not str(value).startswith("#")
        ]


def check_written(stage: Stage) -> None:
    """Nothing of a row, the page loads nothing, and the text file is what Prometheus reads."""
    for file in stage.run_dir.iterdir():
        assert "S3CR3T" not in file.read_text(), file
        assert stage.project.login["login_password"] not in file.read_text()
    page = Outside()
    page.feed((stage.run_dir / "monitor.html").read_text())
    assert page.loads == [] and page.drawings >= 4
    families = {family.name: family for family in text_string_to_metric_families(stage.textfile.read_text())}
    assert families["pgops_monitor_up"].samples[0].labels == {"project": "shop"}
    assert stage.textfile.stat().st_mode & 0o777 == 0o644


def wait_for(seen: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + 120
    while not seen():
        assert time.monotonic() < until
        time.sleep(0.1)


@contextmanager
def long_transaction(stage: Stage) -> Iterator[None]:
    """A transaction that is open for longer than it may be."""
    connection = psycopg2.connect(**dsn(stage.project))
    try:
        connection.cursor().execute("select 1")
        age = "select coalesce(max(now() - xact_start) > interval '1.2 s', false) from pg_stat_activity where state = 'idle in transaction'"
        wait_for(lambda: stage.project.psql(age) == "t")
        yield
    finally:
        connection.close()


def burst(stage: Stage) -> None:
    """Transactions that fail, counted by the server before anybody looks."""
    rolled_back = "select xact_rollback from pg_stat_database where datname = current_database()"
    before = int(stage.project.psql(rolled_back))
    connection = psycopg2.connect(**dsn(stage.project))
    for _number in range(60):
        with pytest.raises(psycopg2.errors.DivisionByZero):
            connection.cursor().execute("select 1 / 0")
        connection.rollback()
    # A session hands on what it counted at its end.
    connection.close()
    wait_for(lambda: int(stage.project.psql(rolled_back)) >= before + 60)


def samples(stage: Stage, number: int = 2, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Some samples, with something that happens before each."""
    for _number in range(number):
        meanwhile()
        assert not stage.sample().get("failed"), stage.seen[-1]


def faults_of_the_work(stage: Stage, told: list[str], once_more: int) -> None:
    """An index is missing, a transaction stays open, transactions fail."""
    samples(stage)
    assert stage.told() == told and stage.seen[-1]["alerts_open"] == 0
    # An index that is missing.
    stage.project.psql("drop index public.notes_norm")
    samples(stage, 2 + once_more)
    told.append("alert api_times")
    assert stage.told() == told and stage.seen[-1]["alerts_open"] == 1
    stage.project.psql(INDEX)
    samples(stage, 2 + once_more)
    told.append("recovered api_times")
    assert stage.told() == told and stage.seen[-1]["alerts_open"] == 0
    # A transaction that stays open.
    with long_transaction(stage):
        samples(stage, 2 + once_more)
    samples(stage)
    told += ["alert transactions", "recovered transactions"]
    assert stage.told() == told
    # A burst of errors.
    samples(stage, 2 + once_more, lambda: burst(stage))
    samples(stage)
    told += ["alert errors", "recovered errors"]
    assert stage.told() == told


def faults_of_the_rest(stage: Stage, told: list[str], once_more: int) -> None:
    """The server is away, and a metric of one's own is not as it has to be."""
    # The server is gone, and comes back.
    ensure_stopped(stage.state, "watched")
    samples(stage, 2 + once_more)
    told.append("alert database")
    assert stage.told() == told
    ensure_started(stage.state, "watched", settings=FAST_SETTINGS)
    samples(stage)
    # A metric of one's own.
    stage.project.psql("delete from public.audits")
    samples(stage)
    stage.project.psql("insert into public.audits default values")
    samples(stage)
    told += ["recovered database", "alert metric", "recovered metric"]
    assert stage.told() == told


def test_each_fault_is_told_once_and_its_end_once(stage: Stage) -> None:
    before = run_module(
        "http_probe",
        stage="before",
        probes=PROBES,
        api_url=stage.api_url,
        run_dir=str(stage.run_dir),
        **stage.project.login,
    )
    assert not before.get("failed"), before
    told: list[str] = []

    for once_more in (1, 0):
        faults_of_the_work(stage, told, once_more)
        faults_of_the_rest(stage, told, once_more)
        check_written(stage)
    assert len(stage.samples()) == len(stage.seen)


def started(stage: Stage, **more: Any) -> subprocess.Popen[str]:
    """A watch as a process that is not waited for."""
    given = {
        "project": "shop",
        "run_dir": str(stage.run_dir),
        "probes": [],
        "channels": [],
        "interval_seconds": 0.2,
        **more,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", f"{MODULES}.monitor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=module_environment(),
        encoding="utf-8",
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": {**stage.project.login, **given}}))
    process.stdin.close()
    return process


def result_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What it returned."""
    assert process.stdout is not None
    with process.stdout as output:
        found: dict[str, Any] = json.loads(output.read())
    process.wait()
    return found


def test_a_watch_that_is_ended_or_killed_goes_on(stage: Stage) -> None:
    records, lines = [], 0
    for how in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        process = started(stage)
        samples = stage.run_dir / "monitor.jsonl"
        wait_for(lambda: samples.is_file() and len(samples.read_text().splitlines()) >= lines + 2)
        # Another one has to wait for its turn.
        refused = stage.sample()
        assert refused["failed"] and refused["error"]["code"] == "busy"
        process.send_signal(how)
        if how == signal.SIGKILL:
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        else:
            assert result_of(process)["state"] == "stopped"
        record = json.loads((stage.run_dir / "monitor.json").read_text())
        records.append((record["started_at"], record["ends_at"], record["baseline"]["taken_at"]))
        lines = len(samples.read_text().splitlines())
        assert record["samples"] in (lines, lines - 1)
    assert len(set(records)) == 1
    assert "<svg" in (stage.run_dir / "monitor.html").read_text()
    for _round in range(2):
        stage.run_dir = stage.run_dir.parent / f"short-{_round}"
        done = result_of(started(stage, duration_seconds=0.5))
        assert done["state"] == "finished" and done["samples"] >= 1
