# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about runs, received by a real web server and a real mail server."""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.integration import receivers
from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject, run_module

LOGIN = ("pgops", "S3CR3T-of-mail")
# What a slow answer is waited for; a receiver that does not answer has to fail soon.
QUICK = {"timeout_seconds": 2}


# One of the mail servers takes a password in clear, to see that none is sent.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def ca_cert(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    return str(tmp_path / "ca.crt")


@pytest.fixture
def web() -> Iterator[receivers.Web]:
    with receivers.web() as server:
        yield server


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run that was rolled back."""
    opened = run_module(
        "run_record", state_dir=str(tmp_path / "runs"), project="shop", operation="rollback", reason="totals are wrong"
    )
    directory = Path(opened["run_dir"])
    rollback = {
        "committed": True,
        "reason": "totals are wrong",
        "migrations": [{"version": "1", "name": "one", "statements": 1, "duration_seconds": 0.1}],
        "exported": [],
        "catalog_expected": "f00",
        "catalog_after": "f00",
        "duration_seconds": 0.1,
    }
    closed = run_module("run_record", state="finished", run_dir=str(directory), documents={"rollback": rollback})
    assert closed["run"]["verdict"] == "rolled_back"
    return directory


def hook(server: receivers.Web, **more: Any) -> dict[str, Any]:
    """A channel to the web server."""
    return {"name": "releases", "type": "webhook", "url": server.url, **QUICK, **more}


def box(server: receivers.Mail, **more: Any) -> dict[str, Any]:
    """A channel to the mail server."""
    addresses = {"sender": "pgops@shop.example", "recipients": ["ops@shop.example", "lead@shop.example"]}
    return {"name": "mail", "type": "email", "host": "localhost", "port": server.port, **addresses, **QUICK, **more}


def tell(run_dir: Path, *channels: dict[str, Any], check: bool = False) -> dict[str, Any]:
    """Run the module; no secret of a channel may come back."""
    result = run_module("notification", check=check, run_dir=str(run_dir), channels=list(channels), contacts=["Ops"])
    assert "S3CR3T" not in json.dumps(result)
    return result


def statuses(result: dict[str, Any]) -> dict[str, str]:
    """What became of the message, by channel."""
    return {delivery["channel"]: delivery["status"] for delivery in result["notification"]["deliveries"]}


def warnings(result: dict[str, Any]) -> list[str]:
    """What a person is warned of, out of the form in which Ansible's modules hand it on."""
    return [warning["event"]["msg"] for warning in result["warnings"]]


def test_a_webhook_is_told_once(web: receivers.Web, run_dir: Path) -> None:
    checked = tell(run_dir, hook(web), check=True)
    assert checked["changed"] and statuses(checked) == {"releases": "not_sent"}
    assert web.received == [] and not (run_dir / "notification.json").exists()
    for time in range(2):
        result = tell(run_dir, hook(web, headers={"X-Token": "S3CR3T-of-header"}))
        assert result["changed"] is (time == 0) and statuses(result) == {"releases": "delivered"}
    ((path, headers, content),) = web.received
    assert path == "/hook/T0PS3CR3T" and headers["X-Token"] == "S3CR3T-of-header"
    assert content["text"].startswith("\u26a0\ufe0f shop: ROLLED BACK: 1 migration; the catalog is again exactly")
    assert "totals are wrong" in content["text"] and "Contact: Ops" in content["text"]
    kept = run_dir / "notification.json"
    assert kept.stat().st_mode & 0o777 == 0o600 and "S3CR3T" not in kept.read_text(encoding="utf-8")
    assert json.loads(kept.read_text(encoding="utf-8")) == result["notification"]


def test_beginning_and_end_of_a_run_are_told_once_each(web: receivers.Web, tmp_path: Path) -> None:
    opened = run_module("run_record", state_dir=str(tmp_path / "runs"), project="shop")
    directory = Path(opened["run_dir"])
    channel = hook(web, payload="document")
    for time in range(2):
        began = run_module(
            "notification", event="started", run_dir=str(directory), expected_seconds=40, channels=[channel]
        )
        assert began["changed"] is (time == 0), began
    run_module("run_record", state="finished", run_dir=str(directory), failure="no", failed_phase="Apply")
    for time in range(2):
        assert tell(directory, channel)["changed"] is (time == 0)
    first, second = [content for _path, _headers, content in web.received]
    assert (first["event"], first["facts"]["Expected to take"]) == ("started", "about 40 s")
    assert second["event"] == "not_applied" and "Took" in second["facts"]
    kept = json.loads((directory / "notification.json").read_text(encoding="utf-8"))
    assert [message["event"] for message in kept["messages"]] == ["started", "not_applied"]


def test_what_an_earlier_release_told_is_not_told_again(web: receivers.Web, run_dir: Path) -> None:
    delivery = {"channel": "releases", "status": "delivered", "at": "2026-01-01", "detail": ""}
    before = {"document": "notification", "document_version": 1, "message": {}, "deliveries": [delivery]}
    (run_dir / "notification.json").write_text(json.dumps(before), encoding="utf-8")
    for _time in range(2):
        assert not tell(run_dir, hook(web))["changed"]
    assert web.received == []


def test_maintenance_is_told_without_a_run_and_in_the_users_words(web: receivers.Web, tmp_path: Path) -> None:
    (tmp_path / "maintenance_on.j2").write_text("{{ project }} rests: {{ reason }}", encoding="utf-8")
    (tmp_path / "maintenance_off.j2").write_text("{{ missing.name }}", encoding="utf-8")
    given: dict[str, Any] = {
        "project": "shop",
        "details": {"Reason": "release"},
        "templates": str(tmp_path),
        "channels": [hook(web)],
    }
    for _time in range(2):
        assert run_module("notification", event="maintenance_on", **given)["changed"]
    off = run_module("notification", event="maintenance_off", **given)
    assert "the text is ours" in warnings(off)[0].lower() and "missing" in warnings(off)[0]
    texts = [content["text"] for _path, _headers, content in web.received]
    assert texts[:2] == ["shop rests: release\n"] * 2 and "MAINTENANCE OFF" in texts[2]
    nobody = run_module("notification", event="alert", channels=[hook(web)])
    assert nobody["failed"] and "project is required" in nobody["msg"] and len(web.received) == 3


def test_the_team_is_told_beforehand_when_a_migration_is_planned(web: receivers.Web) -> None:
    details = {"Migrations": "20260101090000_notes", "At": "Tuesday, 22:00"}
    given: dict[str, Any] = {"event": "announced", "project": "shop", "details": details, "channels": [hook(web)]}
    for time in range(2):
        assert run_module("notification", **given)["changed"]
        _path, _headers, content = web.received[time]
        lines = content["text"].splitlines()
        assert lines[0].endswith("shop: MIGRATION PLANNED") and "At:         Tuesday, 22:00" in lines
        assert "what speaks against it" in content["text"]


@pytest.mark.parametrize("form", ["discord", "teams", "document"])
def test_a_webhook_gets_the_form_that_it_asks_for(web: receivers.Web, run_dir: Path, form: str) -> None:
    result = tell(run_dir, hook(web, payload=form))
    ((_path, _headers, content),) = web.received
    expected = {"discord": "content", "teams": "attachments", "document": "facts"}[form]
    assert statuses(result) == {"releases": "delivered"} and expected in content
    assert "totals are wrong" in json.dumps(content)


def test_one_that_is_busy_is_asked_again_and_one_that_refuses_is_not(web: receivers.Web, run_dir: Path) -> None:
    web.answers = [503, 429, 200]
    assert statuses(tell(run_dir, hook(web))) == {"releases": "delivered"}
    assert len(web.received) == 3
    web.answers, web.says = [403], "invalid_token"
    result = tell(run_dir, hook(web), hook(web, name="other"))
    assert len(web.received) == 4
    assert statuses(result) == {"releases": "delivered", "other": "failed"} and not result["changed"]
    assert warnings(result) == ["The channel other was not told: it answered 403 Forbidden: invalid_token"]
    web.answers = [200]
    for time in range(2):
        again = tell(run_dir, hook(web), hook(web, name="other"))
        assert again["changed"] is (time == 0) and statuses(again) == {"releases": "delivered", "other": "delivered"}
    assert len(web.received) == 5


def test_a_redirect_is_no_delivery(web: receivers.Web, run_dir: Path) -> None:
    web.answers = [302]
    for _time in range(2):
        result = tell(run_dir, hook(web))
        assert statuses(result) == {"releases": "failed"} and "302" in warnings(result)[0]
    assert [content is None for _path, _headers, content in web.received] == [False, False]


def test_what_cannot_be_sent_is_told_without_the_secret(web: receivers.Web, run_dir: Path) -> None:
    with receivers.mail(login=LOGIN) as server:
        result = tell(
            run_dir,
            hook(web, name="space", url=f"{web.url} S3CR3T"),
            hook(web, name="header", headers={"X-Token": "S3CR3T\u2603"}),
            box(server, encryption="none", user=LOGIN[0], password="S3CR3T\u2603"),
        )
    assert set(statuses(result).values()) == {"failed"}, result
    assert all("has characters" in warning and "\u2603" not in warning for warning in warnings(result))
    assert web.received == [] and server.received == []


def test_one_that_is_not_there_keeps_nobody_else_from_being_told(web: receivers.Web, run_dir: Path) -> None:
    with socket.socket() as silent:
        # It takes connections and never answers.
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://localhost:{silent.getsockname()[1]}/S3CR3T"
        dead = {"name": "dead", "type": "webhook", "url": address, "timeout_seconds": 0.2}
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            refused = closed.getsockname()[1]
        gone = box(receivers.Mail(port=refused), name="gone", encryption="none")
        result = tell(run_dir, dead, gone, hook(web))
    assert statuses(result) == {"dead": "failed", "gone": "failed", "releases": "delivered"}
    assert len(warnings(result)) == 2 and "timed out" in warnings(result)[0] and "refused" in warnings(result)[1]


@pytest.mark.parametrize("encryption", ["starttls", "tls"])
def test_a_mail_arrives_encrypted_and_by_login(
    run_dir: Path, certificate: ssl.SSLContext, ca_cert: str, encryption: str
) -> None:
    with receivers.mail(certificate, starttls=encryption == "starttls", login=LOGIN) as server:
        channel = box(server, encryption=encryption, ca_cert=ca_cert, user=LOGIN[0], password=LOGIN[1])
        for time in range(2):
            result = tell(run_dir, channel)
            assert result["changed"] is (time == 0) and statuses(result) == {"mail": "delivered"}, result
        wrong = tell(run_dir, {**channel, "name": "wrong", "password": "S3CR3T-of-nobody"})
        assert statuses(wrong)["wrong"] == "failed" and "535" in warnings(wrong)[0]
        strange = tell(run_dir, {**channel, "name": "strange", "ca_cert": None})
        assert statuses(strange)["strange"] == "failed" and "certificate" in warnings(strange)[0].lower()
    ((sender, recipients, message),) = server.received
    assert sender == "pgops@shop.example" and recipients == ["ops@shop.example", "lead@shop.example"]
    assert (
        message["Subject"].startswith("\u26a0\ufe0f shop: ROLLED BACK")
        and message["Auto-Submitted"] == "auto-generated"
    )
    assert message["To"] == "ops@shop.example, lead@shop.example" and message["Date"] and message["Message-ID"]
    assert "Reason:" in message.get_content() and "totals are wrong" in message.get_content()


def test_a_server_that_offers_no_encryption_gets_neither_mail_nor_password(run_dir: Path) -> None:
    with receivers.mail(login=LOGIN) as server:
        result = tell(run_dir, box(server, user=LOGIN[0], password=LOGIN[1]))
    assert statuses(result) == {"mail": "failed"} and "STARTTLS" in warnings(result)[0]
    assert server.received == [] and server.logins == []


def test_who_is_refused_is_named_and_the_others_are_told(run_dir: Path) -> None:
    with receivers.mail() as server:
        server.refuses, server.answers = frozenset({"lead@shop.example"}), ["451 come back later"]
        result = tell(run_dir, box(server, encryption="none"))
        assert statuses(result) == {"mail": "delivered"}
        assert warnings(result) == ["The channel mail was told in part: refused: lead@shop.example"]
        server.refuses = frozenset({"ops@shop.example", "lead@shop.example"})
        nobody = tell(run_dir, box(server, encryption="none", name="nobody"))
        assert statuses(nobody)["nobody"] == "failed" and "550 no such mailbox" in warnings(nobody)[0]
    ((_sender, recipients, _message),) = server.received
    assert recipients == ["ops@shop.example"]


def test_who_does_not_want_to_hear_of_it_is_left_alone(web: receivers.Web, run_dir: Path) -> None:
    for _time in range(2):
        result = tell(run_dir, hook(web, events=["migrated", "needs_attention"]))
        assert not result["changed"] and statuses(result) == {"releases": "not_wanted"}
    assert web.received == []


@pytest.mark.parametrize(
    ("channel", "says"),
    [
        ({"type": "webhook", "url": "http://hooks.example/S3CR3T"}, "would travel to hooks.example unencrypted"),
        ({"type": "webhook", "url": "ftp://localhost/S3CR3T"}, "url is no address of HTTP"),
        ({"type": "webhook", "url": "https://localhost:S3CR3T/"}, "url is no address of HTTP"),
        ({"type": "webhook"}, "url"),
        ({"type": "email", "host": "mail.example", "sender": "a@b", "recipients": []}, "recipients is empty"),
        ({"type": "email", "host": "mail.example", "sender": "nobody", "recipients": ["a@b"]}, "is no mail address"),
        (
            {
                "type": "email",
                "host": "mail.example",
                "sender": "a@b",
                "recipients": ["a@b"],
                "encryption": "none",
                "user": "u",
                "password": "S3CR3T",
            },
            "the password would travel to mail.example unencrypted",
        ),
    ],
)
def test_what_is_no_channel_is_refused_before_anybody_is_told(
    web: receivers.Web, run_dir: Path, channel: dict[str, Any], says: str
) -> None:
    for check in (True, False):
        result = tell(run_dir, hook(web), {"name": "bad", **channel}, check=check)
        assert result["failed"] and says in result["msg"], result
    alone = run_module("notification", check=True, channels=[{"name": "bad", **channel}])
    assert alone["failed"] and says in alone["msg"]
    assert web.received == []


def test_two_channels_of_one_name_and_a_run_that_goes_on_are_refused(web: receivers.Web, tmp_path: Path) -> None:
    opened = run_module("run_record", state_dir=str(tmp_path / "runs"), project="shop")
    for _time in range(2):
        twice = tell(Path(opened["run_dir"]), hook(web), hook(web))
        assert twice["failed"] and "two channels have this name" in twice["msg"]
        running = tell(Path(opened["run_dir"]), hook(web))
        assert running["failed"] and "has not ended" in running["msg"]
    assert web.received == []


@pytest.fixture
def app(project: LiveProject, tmp_path: Path) -> Application:
    """An application with a pending migration and its rollback."""
    os.chmod(tmp_path, 0o755)
    project.psql(TABLES)
    application = Application(project, tmp_path / "supabase")
    application.migration("1_labels", "create table public.labels (id int primary key);")
    application.way_back("1_labels", "drop table public.labels;")
    return application


def settings(*channels: dict[str, Any]) -> dict[str, Any]:
    """The inventory's variables for a project that nobody marked and that lies in no repository."""
    waivers = {"git": "a test", "identity": "a test", "lint": "a test"}
    return {"project_channels": list(channels), "project_contacts": ["Ops"], "preflight_waivers": waivers}


def test_a_migration_and_its_rollback_are_told_with_the_reason(app: Application, web: receivers.Web) -> None:
    # A message that cannot be delivered changes nothing about the run.
    web.answers = [403, 403, 200]
    variables = settings(hook(web, payload="document"))
    migrated = app.play("migrate", **variables)
    assert migrated.returncode == 0 and app.versions() == ["1"], migrated.stdout
    assert "The channel releases was not told" in migrated.stdout + migrated.stderr
    rolled_back = app.play("rollback", rollback_reason="totals are wrong", **variables)
    assert rolled_back.returncode == 0, rolled_back.stdout
    began, first, second = [content for _path, _headers, content in web.received]
    assert (began["event"], began["facts"]["Migrations"]) == ("started", "1_labels")
    assert (first["event"], first["facts"]["Migrations"]) == ("migrated", "1_labels")
    assert (second["event"], second["reason"], second["contacts"]) == ("rolled_back", "totals are wrong", ["Ops"])
    assert app.events()[-1] == "rolled_back 1"
    assert "S3CR3T" not in migrated.stdout + rolled_back.stdout


def test_a_rollback_by_itself_is_told_with_its_cause(app: Application, web: receivers.Web) -> None:
    app.validation("select case when to_regclass('public.labels') is null then 'PASS: x' else 'FAIL: labels' end;")
    variables = {**settings(hook(web, payload="document")), "migrate_verify_before_commit": False}
    done = app.play("migrate", **variables)
    assert done.returncode != 0, done.stdout
    began, content = [content for _path, _headers, content in web.received]
    assert began["event"] == "started"
    assert content["event"] == "rolled_back" and "ROLLED BACK" in content["title"]
    assert "check" in content["reason"], content
    assert app.project.psql("select to_regclass('public.labels') is null") == "t"


def test_a_channel_that_is_none_stops_a_migration_before_anything_is_done(app: Application) -> None:
    before = app.snapshot()
    bad = {"name": "bad", "type": "webhook", "url": "http://hooks.example/S3CR3T"}
    for _time in range(2):
        done = app.play("migrate", **settings(bad))
        assert done.returncode != 0 and "The channel bad cannot be used" in done.stdout, done.stdout
        assert "S3CR3T" not in done.stdout + done.stderr
    assert app.snapshot() == before
