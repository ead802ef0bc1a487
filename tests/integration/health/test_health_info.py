# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What health_info says of real servers, beside what psql says of them."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import ensure_absent, ensure_started
from tests.integration.conftest import FAST_SETTINGS
from tests.integration.installations import WHEELS, programs_of
from tests.integration.live import LiveProject, run_module

TABLES = """
create table public.notes (id int primary key, kind int, body text);
insert into public.notes select i, i % 7, repeat('x', 100) from generate_series(1, 5000) i;
create index notes_kind on public.notes (kind);
create index notes_kind_again on public.notes (kind);
create index notes_body on public.notes (body);
create table public.parts (id int, note int);
insert into public.parts values (1, -1);
alter table public.parts add constraint parts_note foreign key (note) references public.notes (id) not valid;
analyze public.notes;
"""
SECRET = "S3CR3T-of-a-row"


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


def look(project: LiveProject, **params: Any) -> dict[str, Any]:
    """Run the module; it reports no change, and no secret."""
    found = run_module("health_info", **{**project.login, **params})
    assert not found.get("failed") and not found["changed"], found
    assert SECRET not in json.dumps({name: value for name, value in found.items() if name != "invocation"})
    health: dict[str, Any] = found["health"]
    return health


@pytest.mark.parametrize("dummy", range(2))
def test_it_says_what_psql_says(project: LiveProject, tmp_path: Path, dummy: int) -> None:
    project.psql(TABLES)
    for _round in range(2):
        found = look(project, run_dir=str(tmp_path / "run"))
        assert json.loads((tmp_path / "run" / "health.json").read_text()) == found
        sample = found["sample"]
        assert sample["connections_limit"] == int(
            project.psql(
                "select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
                " - coalesce(current_setting('reserved_connections', true)::int, 0)"
            )
        )
        assert sample["connections_used"] == sum(sample["connections"].values()) >= 1
        assert sample["invalid"] == ["constraint parts_note of public.parts"]
        (notes,) = [table for table in sample["tables"] if table["name"] == "public.notes"]
        assert notes["total_bytes"] == int(project.psql("select pg_total_relation_size('public.notes')"))
        assert notes["bloat_bytes_estimate"] < 100_000
        assert {index["name"] for index in found["unused_indexes"]} == {
            "public.notes_kind",
            "public.notes_kind_again",
            "public.notes_body",
        }
        (same,) = found["duplicate_indexes"]
        assert (same["name"], same["same_as"]) == ("public.notes_kind_again", ["public.notes_kind"])
        assert sample["counters"]["wal_bytes"] > 0 and sample["counters"]["committed"] > 0
        assert not [text for text in found["not_seen"] if "lacks" in text]


def test_what_keeps_a_constraint_is_nobodys_duplicate(project: LiveProject) -> None:
    # The exclusion constraint is the younger one of the two.
    project.psql("""
        create table public.bookings (during int4range, other int4range);
        create index bookings_during on public.bookings using gist (during);
        alter table public.bookings add constraint bookings_once exclude using gist (during with &&);
        alter table public.bookings add constraint bookings_apart exclude using gist (other with &&);
        alter table public.bookings add constraint bookings_unlike exclude using gist (other with -|-);
    """)
    for _round in range(2):
        (same,) = look(project)["duplicate_indexes"]
        assert (same["name"], same["same_as"]) == ("public.bookings_during", ["public.bookings_once"])


def test_bloat_is_seen(project: LiveProject) -> None:
    project.psql(TABLES)
    project.psql("alter table public.notes set (autovacuum_enabled = false); delete from public.notes where id > 500;")
    project.psql("vacuum (truncate off) public.notes; analyze public.notes;")
    (notes,) = [table for table in look(project)["sample"]["tables"] if table["name"] == "public.notes"]
    size = int(project.psql("select pg_relation_size('public.notes')"))
    assert size * 0.8 < notes["bloat_bytes_estimate"] < size


def test_sessions_that_wait_and_stay(project: LiveProject) -> None:
    project.psql(TABLES)
    with psycopg2.connect(**dsn(project)) as first, psycopg2.connect(**dsn(project)) as second:
        first.cursor().execute("lock table public.notes")
        waiter = threading.Thread(target=lambda: second.cursor().execute("lock table public.notes"))
        waiter.start()
        until = time.monotonic() + 60
        while project.psql("select count(*) from pg_locks where not granted") == "0" and time.monotonic() < until:
            time.sleep(0.05)
        # It does not wait itself: the table's size is what was known of it.
        found = look(project)["sample"]
        assert found["lock_waits"] == 1 and found["longest_lock_wait_seconds"] >= 0
        assert [table["total_bytes"] > 0 for table in found["tables"] if table["name"] == "public.notes"] == [True]
        first.rollback()
        waiter.join()
        first.cursor().execute("select 1")
        second.rollback()
        found = look(project)["sample"]
        assert found["idle_in_transaction"] == 1 and found["longest_transaction_seconds"] > 0
        assert found["connections"]["idle in transaction"] >= 1


@pytest.mark.parametrize("dummy", range(2))
def test_statements_are_shown_without_their_values(project: LiveProject, dummy: int) -> None:
    project.psql("create extension if not exists pg_stat_statements with schema extensions", "supabase_admin")
    project.psql(TABLES)
    project.psql(f"create role visitor_{dummy} password '{SECRET}'; drop role visitor_{dummy};")
    project.psql(f"select count(*) from public.notes where body = '{SECRET}';")
    work = "create or replace function public.work() returns void language sql as 'select pg_sleep({})';"
    project.psql(work.format(0) + "select public.work();" * 20)
    before = look(project)
    said = [one["statement"].lower() for one in before["statements"]]
    assert any(text.startswith(f"create role visitor_{dummy} password '...'") for text in said), said
    assert look(project, baseline=before)["slower_statements"] == []
    project.psql(work.format(0.02) + "select public.work();" * 12)
    for _round in range(2):
        (slower,) = look(project, baseline=before)["slower_statements"]
        assert slower["statement"].startswith("select public.work()")
        assert slower["mean_seconds"] >= 0.02 > slower["baseline_mean_seconds"]


def test_metrics_keep_one_number_and_change_nothing(project: LiveProject) -> None:
    project.psql(
        f"create table public.audits (at timestamptz, who text); insert into public.audits values (now(), '{SECRET}');"
    )
    project.psql("create function public.writes() returns int language sql as 'delete from public.audits returning 1'")
    metrics = [
        {"name": "audits", "query": "select count(*) as audits from public.audits", "expect": "[0].audits >= `1`"},
        {"name": "who", "query": "select who from public.audits", "expect": "[0].who == 'nobody'"},
        {"name": "by column", "query": "select who, 4.5 as share from public.audits;", "value": "[0].share"},
        {"name": "writes", "query": "select public.writes()"},
        {"name": "slow", "query": "select pg_sleep(30)", "timeout_seconds": 0.1},
        {"name": "wrong", "query": "select who::int from public.audits"},
        {"name": "many", "query": "select g from generate_series(1, 1000000) as g", "value": "length(@)"},
        {"name": "no number", "query": "select 'nan'::float8"},
        {"name": "percent", "query": "select count(*) from public.audits where who like 'x%'"},
    ]
    for _round in range(2):
        found = {metric["name"]: metric for metric in look(project, metrics=metrics)["sample"]["metrics"]}
        assert (found["audits"]["verdict"], found["audits"]["value"]) == ("PASS", 1)
        assert (found["who"]["verdict"], found["who"]["value"]) == ("FAIL", None)
        assert (found["by column"]["verdict"], found["by column"]["value"]) == ("PASS", 4.5)
        assert "25006" in found["writes"]["message"] and "57014" in found["slow"]["message"]
        assert (found["many"]["value"], found["no number"]["value"]) == (1000, None)
        assert "22P02" in found["wrong"]["message"] and found["percent"]["value"] == 0
        assert project.psql("select count(*) from public.audits") == "1"


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        ({"name": "a", "query": "select 1; commit"}, "not one SELECT"),
        ({"name": "a", "query": "delete from public.notes"}, "not one SELECT"),
        ({"name": "a", "query": "select 1 into t"}, "not one SELECT"),
        ({"name": "a", "query": "selec"}, "does not parse"),
        ({"name": "a", "query": "select 1", "expect": "]"}, "not JMESPath"),
    ],
)
def test_what_is_no_metric_is_refused_before_anything_is_asked(metric: dict[str, Any], says: str) -> None:
    # No server listens there.
    found = run_module("health_info", login_host="127.0.0.1", login_port=1, ssl_mode="disable", metrics=[metric])
    assert found["failed"] and says in found["msg"] and found["error"]["code"] == "input"


def test_a_role_without_rights_says_what_it_does_not_see(project: LiveProject) -> None:
    project.psql(TABLES)
    project.psql("drop role if exists narrow; create role narrow login password 'S3CR3T-narrow'", "supabase_admin")
    with psycopg2.connect(**dsn(project)):
        found = look(project, login_user="narrow", login_password="S3CR3T-narrow")
        assert any("narrow lacks pg_read_all_stats" in text for text in found["not_seen"]), found["not_seen"]
        assert found["sample"]["connections"]["not shown"] >= 1
        assert found["sample"]["tables"] and found["sample"]["tables"][0]["bloat_bytes_estimate"] is None


@pytest.mark.parametrize("release", WHEELS)
def test_each_major_version_of_postgresql(release: str, server_state: Path) -> None:
    state_dir = server_state / f"health-{release}"
    server = ensure_started(state_dir, "one", pg_bin=programs_of(release), settings=FAST_SETTINGS).project
    assert server is not None
    try:
        project = LiveProject(server, server.database)
        project.psql(TABLES)
        for _round in range(2):
            found = look(project)
            assert found["server_version"].split(".")[0] == release.split(".")[0]
            assert found["statements"] and found["unused_indexes"] and found["duplicate_indexes"]
            assert found["sample"]["invalid"] == ["constraint parts_note of public.parts"]
    finally:
        ensure_absent(state_dir, "one")
