# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes sent to real servers, with and without TLS, that answer well and badly."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.integration import endpoints
from tests.integration.endpoints import Endpoint, Said
from tests.integration.live import LiveProject, run_module

KEYS = {"anon": "S3CR3T-anon-key", "service_role": "S3CR3T-service-key"}
FIVE = json.dumps([{"id": number, "email": "somebody@example.com"} for number in range(5)]).encode()
USERS = {"name": "users", "url": "/users?limit=5&apikey=S3CR3T-query", "role": "service_role", "samples": 3}
# No server listens there, and no database: a probe without SQL needs none.
NOWHERE = {"login_host": "127.0.0.1", "login_port": 1}


@pytest.fixture
def web() -> Iterator[Endpoint]:
    with endpoints.endpoint() as server:
        yield server


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_cert(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    return str(tmp_path / "ca.crt")


def secured(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


def ask(web: Endpoint, tmp_path: Path, *probes: dict[str, Any], check: bool = False, **how: Any) -> dict[str, Any]:
    """Run the module; neither a secret nor what was answered may come back, nor be in the documents."""
    arguments: dict[str, Any] = {**NOWHERE, "api_url": web.url, "api_keys": KEYS, "wait_seconds": 3, **how}
    result = run_module(
        "http_probe", check=check, probes=list(probes or (USERS,)), run_dir=str(tmp_path / "run"), **arguments
    )
    kept = "".join(file.read_text() for file in (tmp_path / "run").glob("*.json"))
    told = json.dumps({name: value for name, value in result.items() if name != "invocation"})
    assert not [word for word in ("S3CR3T", "somebody@example.com") if word in told + kept]
    assert "S3CR3T-anon" not in json.dumps(result) and "S3CR3T-service" not in json.dumps(result)
    return result


def baseline(web: Endpoint, tmp_path: Path, *probes: dict[str, Any], **how: Any) -> str:
    """Ask before; the path of what was found."""
    found = ask(web, tmp_path, *probes, stage="before", **how)
    assert not found.get("failed"), found["msg"]
    return str(found["probes_file"])


@pytest.mark.parametrize("dummy", range(2))
def test_before_and_after(web: Endpoint, tmp_path: Path, dummy: int) -> None:
    web.answer = lambda _number: Said(body=FIVE)
    probe = {**USERS, "expect": "length(@) == `5`"}
    before = baseline(web, tmp_path, probe)
    after = ask(web, tmp_path, probe, baseline=before)
    assert not after.get("failed"), after["msg"]
    written = json.loads((tmp_path / "run" / "probes-after.json").read_text())
    assert written == after["probes"] and written["verdict"] == "PASS" and written["document_version"] == 1
    (found,) = written["probes"]
    assert found["samples"] == 3 and found["limit_seconds"] >= 0.1
    assert 0 < found["p50_seconds"] <= found["p95_seconds"] <= found["max_seconds"]
    assert found["url"] == f"{web.url}/users"
    assert len(web.asked) == 6
    _method, path, headers, _body = web.asked[0]
    assert path.endswith("apikey=S3CR3T-query")
    assert headers["Authorization"] == "Bearer S3CR3T-service-key" and headers["Apikey"] == "S3CR3T-service-key"
    ask(web, tmp_path, probe, baseline=before)


@pytest.mark.parametrize("dummy", range(2))
def test_a_server_error_after_the_migration_is_found_wrong(web: Endpoint, tmp_path: Path, dummy: int) -> None:
    before = baseline(web, tmp_path)
    web.answer = lambda number: (
        Said(500, b'{"code": "XX000", "message": "somebody@example.com"}') if number == 5 else Said()
    )
    failed = ask(web, tmp_path, baseline=before)
    assert failed["failed"] and failed["error"]["code"] == "verification"
    assert "users (GET" in failed["msg"] and "it answered 500 (XX000); expected 2xx" in failed["msg"]
    assert json.loads((tmp_path / "run" / "probes-after.json").read_text())["failed"] == 1


def test_a_probe_that_fails_before_stops_the_run_or_is_a_warning(web: Endpoint, tmp_path: Path) -> None:
    web.answer = lambda _number: Said(404, b'{"code": "PGRST125"}')
    failed = ask(web, tmp_path, stage="before")
    assert failed["failed"] and (failed["error"]["code"], failed["error"]["outcome"]) == ("probe", "unchanged")
    assert "probe_required=false" in failed["msg"]
    let = ask(web, tmp_path, stage="before", required=False)
    assert not let.get("failed") and "it answered 404 (PGRST125)" in str(let["warnings"])
    after = ask(web, tmp_path, baseline=let["probes_file"])
    assert not after.get("failed") and after["probes"]["verdict"] == "WARNING"
    assert "before the migration: it answered 404" in after["probes"]["probes"][0]["message"]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (Said(404, b'{"code": "PGRST205", "message": "Could not find the table"}'), "PGRST205"),
        (Said(503, b'{"code": "PGRST002"}', {"Retry-After": "1"}), "PGRST002"),
        (Said(503, b"<html>", {"Retry-After": "1"}), ""),
    ],
)
def test_a_schema_that_is_read_anew_is_waited_for(web: Endpoint, tmp_path: Path, said: Said, code: str) -> None:
    before = baseline(web, tmp_path)
    web.answer = lambda number: said if number in (4, 6) else Said()
    after = ask(web, tmp_path, baseline=before, wait_seconds=10)
    assert not after.get("failed") and after["probes"]["verdict"] == "PASS"
    # Measured anew from the start, so that no answer of the old schema is among them.
    assert len(web.asked) == 3 + 1 + 2 + 3
    web.answer = lambda _number: said
    late = ask(web, tmp_path, baseline=before, wait_seconds=2)
    assert late["failed"] and late["error"]["code"] == "verification" and code in late["msg"]


def test_slow_is_measured_again_before_it_fails(web: Endpoint, tmp_path: Path) -> None:
    before = baseline(web, tmp_path)
    web.answer = lambda number: Said(after_seconds=0.3 if number <= 6 else 0)
    assert ask(web, tmp_path, baseline=before)["probes"]["verdict"] == "PASS"
    web.answer = lambda _number: Said(after_seconds=0.3)
    failed = ask(web, tmp_path, baseline=before)
    assert failed["failed"] and "95th percentile" in failed["msg"] and "below 100 ms" in failed["msg"]
    assert failed["error"]["code"] == "verification"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (Said(after_seconds=3), "no whole answer within 0.5 s"),
        # Each byte in time, and the whole not.
        (Said(body=b"[" + b" " * 100 + b"]", drip_seconds=0.1), "no whole answer within 0.5 s"),
        (Said(body=b"<html>somebody@example.com"), "its answer is not JSON"),
        (Said(body=b'["' + b"x" * (1024 * 1024) + b'"]'), "its answer is larger than 1024 KiB"),
        (Said(raw=b"somebody@example.com\r\n\r\n"), "no whole HTTP answer (BadStatusLine)"),
        (Said(raw=b""), "no whole HTTP answer (RemoteDisconnected)"),
        (Said(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n[]"), "its answer was cut off"),
    ],
)
def test_a_bad_answer_is_named(web: Endpoint, tmp_path: Path, said: Said, why: str) -> None:
    web.answer = lambda _number: said
    failed = ask(web, tmp_path, {**USERS, "expect": "length(@) == `5`", "timeout_seconds": 0.5}, stage="before")
    assert failed["failed"] and why in failed["msg"]


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_redirect_is_not_followed_so_no_key_goes_elsewhere(web: Endpoint, tmp_path: Path, elsewhere: bool) -> None:
    with endpoints.endpoint() as other:
        target = f"{other.url}/?key=S3CR3T-location" if elsewhere else "/login"
        web.answer = lambda _number: Said(302, b"", {"Location": target})
        failed = ask(web, tmp_path, stage="before")
        assert failed["failed"] and "a redirect to" in failed["msg"] and "which is not followed" in failed["msg"]
        assert not other.asked and len(web.asked) == 1
        assert not ask(web, tmp_path, {**USERS, "status": [302]}, stage="before").get("failed")
        assert not other.asked


def test_an_endpoint_that_is_down(web: Endpoint, tmp_path: Path) -> None:
    before = baseline(web, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    down = Endpoint(f"http://localhost:{closed}")
    assert "Connection refused" in ask(down, tmp_path / "down", stage="before")["msg"]
    # It was there before, so its absence is found wrong, and after a wait.
    gone = ask(down, tmp_path, baseline=before)
    assert gone["failed"] and gone["error"]["code"] == "verification"
    # It was not, so nobody knows, and it is none of the migration's faults.
    let = ask(down, tmp_path / "other", stage="before", required=False)
    assert ask(down, tmp_path / "other", baseline=let["probes_file"])["probes"]["verdict"] == "WARNING"
    unknown = ask(down, tmp_path / "third")
    assert unknown["failed"] and unknown["error"]["code"] == "not_seen"


def test_a_name_that_nobody_knows_takes_nothing_back(web: Endpoint, tmp_path: Path) -> None:
    before = baseline(web, tmp_path)
    unknown = ask(Endpoint("https://api.invalid"), tmp_path, baseline=before)
    assert unknown["failed"] and unknown["error"]["code"] == "not_seen"
    assert "its name is not known" in unknown["msg"]


@pytest.mark.parametrize("dummy", range(2))
def test_tls(authority: trustme.CA, ca_cert: str, tmp_path: Path, dummy: int) -> None:
    with endpoints.endpoint(secured(authority, "localhost")) as web:
        assert not ask(web, tmp_path, stage="before", api_ca_cert=ca_cert).get("failed")
        untrusted = ask(web, tmp_path, stage="before")
        assert untrusted["failed"] and "its certificate is not valid" in untrusted["msg"]
        after = ask(web, tmp_path, baseline=str(tmp_path / "run" / "probes-before.json"))
        assert "not valid" in str(after)
    with endpoints.endpoint(secured(authority, "other.example")) as web:
        misnamed = ask(web, tmp_path, stage="before", api_ca_cert=ca_cert)
        assert misnamed["failed"] and "its certificate is not valid" in misnamed["msg"]
        assert not web.asked
    assert "holds no certificate" in ask(web, tmp_path, stage="before", api_ca_cert=__file__)["msg"]


def test_check_mode_sends_what_reads_and_writes_nothing(web: Endpoint, tmp_path: Path) -> None:
    probes: list[dict[str, Any]] = [USERS, {"name": "change", "url": "/users/1", "method": "PATCH", "body": {"a": 1}}]
    found = ask(web, tmp_path, *probes, check=True, stage="before")
    assert [probe["name"] for probe in found["probes"]["probes"]] == ["users"] and not (tmp_path / "run").exists()
    assert {method for method, *_rest in web.asked} == {"GET"}


SQL_PROBE = {
    "name": "change",
    "url": "/change",
    "method": "PATCH",
    "given": "insert into public.probed values (1, 'given') on conflict do nothing",
    "then": "select exists (select 1 from public.probed where what = 'given')",
    "undo": "delete from public.probed",
}


@pytest.mark.parametrize("dummy", range(2))
def test_what_the_database_has_to_see(web: Endpoint, tmp_path: Path, project: LiveProject, dummy: int) -> None:
    project.psql("create table public.probed (id int primary key, what text)")
    seen: list[str] = []

    def answer(_number: int) -> Said:
        seen.append(project.psql("select what from public.probed"))
        return Said()

    web.answer = answer
    how = {**project.login, "stage": "after"}
    assert not ask(web, tmp_path, SQL_PROBE, **how).get("failed")
    assert seen == ["given"] and project.psql("select count(*) from public.probed") == "0"
    wrong = ask(web, tmp_path, {**SQL_PROBE, "then": "select count(*) from public.probed"}, **how)
    assert wrong["failed"] and "does not return true or false" in wrong["msg"]
    missing = ask(web, tmp_path, {**SQL_PROBE, "then": "select true from public.audits"}, **how)
    assert missing["failed"] and "42P01" in missing["msg"] and missing["error"]["code"] == "verification"
    # A query that asks for what a function of the application would change.
    changes = "with gone as (delete from public.probed returning 1) select exists (select 1 from gone)"
    refused = ask(web, tmp_path, {**SQL_PROBE, "then": changes}, **how)
    assert "25006" in refused["msg"]
    never = ask(web, tmp_path, {**SQL_PROBE, "then": "select false"}, **how)
    assert "was not true within 10 s" in never["msg"]
    assert project.psql("select count(*) from public.probed") == "0"


def test_what_is_wrong_with_sql_is_found_before(web: Endpoint, tmp_path: Path, project: LiveProject) -> None:
    project.psql("create table public.probed (id int primary key, what text)")
    how = {**project.login, "stage": "before"}
    misspelt = ask(web, tmp_path, {**SQL_PROBE, "then": "selecct true"}, **how)
    assert misspelt["failed"] and misspelt["error"]["code"] == "probe" and "42601" in misspelt["msg"]
    # What it asks for may come with the migration.
    assert not ask(web, tmp_path, {**SQL_PROBE, "then": "select true from public.audits"}, **how).get("failed")
    quoting = {**SQL_PROBE, "given": "insert into public.probed values ('somebody@example.com')"}
    assert "PostgreSQL refused given [22P02]" in ask(web, tmp_path, quoting, **how)["msg"]


def test_what_cannot_be_undone_is_said(web: Endpoint, tmp_path: Path, project: LiveProject) -> None:
    project.psql("create table public.probed (id int primary key, what text)")
    left = ask(web, tmp_path, {**SQL_PROBE, "undo": "delete from public.nowhere"}, **project.login)
    assert not left.get("failed") and left["probes"]["verdict"] == "WARNING"
    assert "what it wrote stays: PostgreSQL refused undo" in left["probes"]["probes"][0]["message"]
    # It is undone also when the probe itself failed.
    web.answer = lambda _number: Said(500)
    assert ask(web, tmp_path, SQL_PROBE, **project.login)["failed"]
    assert project.psql("select count(*) from public.probed") == "0"


def test_a_database_that_is_not_there_takes_nothing_back(web: Endpoint, tmp_path: Path) -> None:
    unknown = ask(web, tmp_path, SQL_PROBE)
    assert unknown["failed"] and unknown["error"]["code"] == "not_seen" and not web.asked
