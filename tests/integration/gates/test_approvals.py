# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan is what people sign: with real keys, what counts as an approval, what does not, and that nothing else is applied."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject, run_module
from tests.integration.signers import Signers

FIRST = "20260101000000_first"
ALTER = "alter table public.orders add column note text;"
BACK = "alter table public.orders drop column note;"


@dataclass(frozen=True)
class Planned:
    """An application with a pending migration and its rollback, and people who may sign its plan."""

    application: Application
    signers: Signers

    @property
    def project(self) -> LiveProject:
        return self.application.project

    def plan(self, **params: Any) -> dict[str, Any]:
        """Plan twice, the same both times; nothing is different afterwards but the plan that is kept."""
        before = self.application.snapshot()
        results = [run_module("migration_plan", **{**self._arguments(), **params}) for dummy in range(2)]
        assert not results[0].get("failed"), results[0]["msg"]
        assert results[0] == results[1] and not results[0]["changed"]
        assert self.application.snapshot() == before
        return results[0]

    def hash(self, **params: Any) -> str:
        """The hash of the plan as it is now."""
        plan_hash: str = self.plan(**params)["plan"]["plan_hash"]
        return plan_hash

    def gate(self, *, check: bool = False, **params: Any) -> dict[str, Any]:
        """Hold the gates twice, with the same outcome; the gate of approval, and the whole result in it."""
        given = {
            **self.project.login,
            "project": "app_prod",
            "plan": run_module("migration_plan", **self._arguments())["plan"],
            "plans_dir": str(self.signers.plans),
            "allowed_signers": str(self.signers.allowed),
            "approvals_required": 1,
            **params,
        }
        results = [run_module("preflight_gates", check=check, **given) for dummy in range(2)]
        gates = [next(g for g in r["preflight"]["gates"] if g["name"] == "approval") for r in results]
        assert gates[0] == gates[1]
        assert bool(results[0].get("failed")) == (gates[0]["verdict"] == "FAIL"), results[0]
        return {**gates[0], "result": results[0]}

    def _arguments(self) -> dict[str, Any]:
        return {
            **self.project.login,
            "supabase_dir": str(self.application.directory),
            "project": "app_prod",
            "environment": "prod",
            "validations": [str(self.application.directory / "VALIDATION_SQL.sql")],
            "plans_dir": str(self.signers.plans),
        }


@pytest.fixture
def planned(project: LiveProject, tmp_path: Path) -> Planned:
    project.psql(TABLES)
    application = Application(project, tmp_path / "app" / "supabase")
    application.migration(FIRST, ALTER)
    application.validation("select 'PASS: rows' from public.orders limit 1;")
    rollback = application.directory / "rollbacks" / f"{FIRST}.sql"
    rollback.parent.mkdir()
    rollback.write_text(BACK)
    keys = tmp_path / "keys"
    keys.mkdir()
    return Planned(application, Signers(keys, application.directory.parent / "plans"))


def test_a_plan_is_the_same_in_every_checkout_and_kept_once(planned: Planned, tmp_path: Path) -> None:
    result = planned.plan()
    kept = planned.signers.plans / f"{result['plan']['plan_hash']}.json"
    assert result["plan_file"] == str(kept) and json.loads(kept.read_text()) == result["plan"]
    assert str(tmp_path) not in kept.read_text()
    written = kept.stat().st_mtime_ns
    elsewhere = tmp_path / "other" / "place"
    shutil.copytree(planned.application.directory, elsewhere)
    again = planned.plan(supabase_dir=str(elsewhere), validations=[str(elsewhere / "VALIDATION_SQL.sql")])
    assert again["plan"] == result["plan"] and kept.stat().st_mtime_ns == written
    unkept = planned.plan(plans_dir=None)
    assert (unkept["plan_file"], unkept["sign_command"]) == (None, None)


def test_everything_that_decides_is_in_the_hash(planned: Planned) -> None:
    application, hashes = planned.application, [planned.hash()]
    others: list[dict[str, Any]] = [
        {"project": "app_dev"},
        {"environment": "dev"},
        {"project_ref": "abcdefghijklmnopqrst"},
        {"transaction_scope": "file"},
        {"verify_before_commit": False},
        {"warnings_as_failures": True},
        {"count_contract": {"public.orders": "any"}},
        {"validations": []},
    ]
    hashes += [planned.hash(**other) for other in others]
    application.migration(FIRST, ALTER + "\n")
    hashes.append(planned.hash())
    (application.directory / "rollbacks" / f"{FIRST}.sql").write_text(BACK + "\n")
    hashes.append(planned.hash())
    application.validation("select 'PASS: more rows' from public.orders limit 1;")
    hashes.append(planned.hash())
    planned.project.psql("alter table public.clients add column age int")
    hashes.append(planned.hash())
    assert len(set(hashes)) == len(hashes) == 13
    # What happens to rows, to the ledger and to statistics is not the schema.
    planned.project.psql("insert into public.clients values (9, 'nine'); analyze")
    assert planned.hash() == hashes[-1]


def test_the_command_that_is_shown_approves(planned: Planned, tmp_path: Path) -> None:
    planned.signers.allowed.touch()
    closed = planned.gate(approvals_required=2)
    assert closed["evidence"].startswith("0 of 2 people signed the plan") and "nobody" in closed["evidence"]
    assert planned.plan()["sign_command"] in closed["result"]["msg"]
    for name, kind in (("ada@example.org", "ed25519"), ("bob", "ecdsa")):
        home = tmp_path / name / ".ssh"
        home.mkdir(parents=True)
        planned.signers.person(name, kind).rename(home / "id_ed25519")
        command = planned.plan()["sign_command"].replace("YOUR_NAME", name)
        subprocess.run(["sh", "-c", command], env={**os.environ, "HOME": str(home.parent)}, check=True)
    opened = planned.gate(approvals_required=2)
    assert opened["verdict"] == "PASS" and "ada@example.org (ED25519 SHA256:" in opened["evidence"]
    report = opened["result"]["preflight"]
    assert [approval["principal"] for approval in report["approvals"]] == ["ada@example.org", "bob"]
    assert report["plan_hash"] == planned.hash()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_keys_of_any_kind_sign(planned: Planned, kind: str) -> None:
    planned.signers.sign(planned.hash(), "ada", planned.signers.person("ada", kind))
    assert f"({kind.upper()} SHA256:" in planned.gate()["evidence"]


def test_one_person_counts_once(planned: Planned) -> None:
    signers, plan_hash = planned.signers, planned.hash()
    ada = signers.person("ada")
    second_key = signers.key("second")
    signers.allow("ada,ada@home", second_key)
    signers.sign(plan_hash, "ada", ada)
    signers.sign(plan_hash, "ada@home", second_key)
    assert planned.gate(approvals_required=2)["verdict"] == "PASS", "two names and two keys are two people"
    signers.allow("ada@home", ada)
    signers.sign(plan_hash, "ada@home", ada)
    closed = planned.gate(approvals_required=2)
    assert closed["verdict"] == "FAIL" and "1 of 2 people" in closed["evidence"] and "count once" in closed["evidence"]
    everybody = signers.key("everybody")
    signers.allow("*", everybody)
    for name in ("carl", "dora", "emil"):
        signers.sign(plan_hash, name, everybody)
    assert "2 of 3 people" in planned.gate(approvals_required=3)["evidence"]


def expired(signers: Signers, plan_hash: str) -> None:
    signers.sign(plan_hash, "ada", signers.person("ada", options='valid-before="20200101"'))


def not_valid_yet(signers: Signers, plan_hash: str) -> None:
    signers.sign(plan_hash, "ada", signers.person("ada", options='valid-after="29990101"'))


def another_namespace(signers: Signers, plan_hash: str) -> None:
    signers.sign(plan_hash, "ada", signers.person("ada"), namespace="git")


def key_for_another_namespace(signers: Signers, plan_hash: str) -> None:
    signers.sign(plan_hash, "ada", signers.person("ada", options='namespaces="git"'))


def another_hash(signers: Signers, plan_hash: str) -> None:
    signers.sign(plan_hash, "ada", signers.person("ada"), text=f"{plan_hash[::-1]}\n")


def unknown_key(signers: Signers, plan_hash: str) -> None:
    signers.person("ada")
    signers.sign(plan_hash, "ada", signers.key("mallory"))


def in_the_name_of_another(signers: Signers, plan_hash: str) -> None:
    mallory = signers.key("mallory")
    signers.allow("mallory@outside", mallory)
    signers.person("ada")
    signers.sign(plan_hash, "ada", mallory)


def link_to_a_signature(signers: Signers, plan_hash: str) -> None:
    real = signers.sign(plan_hash, "ada", signers.person("ada"))
    moved = real.rename(signers.directory / "elsewhere.sig")
    real.symlink_to(moved)


def link_to_nothing(signers: Signers, plan_hash: str) -> None:
    signers.person("ada")
    (signers.plans / f"{plan_hash}.ada.sig").symlink_to("/nowhere")


def pipe(signers: Signers, plan_hash: str) -> None:
    signers.person("ada")
    os.mkfifo(signers.plans / f"{plan_hash}.ada.sig")


def directory(signers: Signers, plan_hash: str) -> None:
    signers.person("ada")
    (signers.plans / f"{plan_hash}.ada.sig").mkdir()


def empty(signers: Signers, plan_hash: str) -> None:
    signers.person("ada")
    (signers.plans / f"{plan_hash}.ada.sig").touch()


def noise(signers: Signers, plan_hash: str) -> None:
    signers.person("ada")
    (signers.plans / f"{plan_hash}.ada.sig").write_bytes(bytes(range(256)) * 10)


def too_large(signers: Signers, plan_hash: str) -> None:
    path = signers.sign(plan_hash, "ada", signers.person("ada"))
    path.write_text(path.read_text() + " " * 2_000_000)


def odd_name(signers: Signers, plan_hash: str) -> None:
    key = signers.key("ada")
    signers.allow("*", key)
    signers.sign(plan_hash, "-n x", key)


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        (expired, "key has expired"),
        (not_valid_yet, "not yet valid"),
        (another_namespace, "namespace does not match"),
        (key_for_another_namespace, "key is not permitted for use in signature namespace"),
        (another_hash, "incorrect signature"),
        (unknown_key, "no key that ada may sign with made it"),
        (in_the_name_of_another, "no key that ada may sign with made it"),
        (link_to_a_signature, "it is a link"),
        (link_to_nothing, "it is a link"),
        (pipe, "not a regular file"),
        (directory, "Is a directory"),
        (empty, "parse signature"),
        (noise, "parse signature"),
        (too_large, "too large"),
        (odd_name, "is not one of a signer"),
    ],
)
def test_what_is_no_approval(planned: Planned, attack: Callable[[Signers, str], None], said: str) -> None:
    attack(planned.signers, planned.hash())
    closed = planned.gate()
    assert closed["verdict"] == "FAIL" and closed["evidence"].startswith("0 of 1 people"), closed["evidence"]
    assert said in closed["evidence"]
    assert closed["result"]["preflight"]["approvals"] == []


def test_only_those_whom_the_policy_names_count(planned: Planned) -> None:
    signers, plan_hash = planned.signers, planned.hash()
    signers.sign(plan_hash, "ada", signers.person("ada"))
    closed = planned.gate(approvers=["bob", "carl"])
    assert closed["verdict"] == "FAIL" and "its signer is not among the approvers" in closed["evidence"]
    assert "Have one of bob, carl read the plan" in closed["next_step"]
    signers.sign(plan_hash, "bob", signers.person("bob"))
    assert planned.gate(approvers=["bob", "carl"])["verdict"] == "PASS"


def test_what_changed_after_signing_is_named(planned: Planned) -> None:
    application, signers = planned.application, planned.signers
    key = signers.person("ada")
    signers.sign(planned.hash(), "ada", key)
    assert planned.gate()["verdict"] == "PASS"
    rollback = application.directory / "rollbacks" / f"{FIRST}.sql"
    changes: list[tuple[Callable[[], object], Callable[[], object], str]] = [
        (
            lambda: application.migration(FIRST, ALTER + " drop table public.orders;"),
            lambda: application.migration(FIRST, ALTER),
            f"migrations/{FIRST}.sql was changed",
        ),
        (
            lambda: rollback.write_text("select 1;"),
            lambda: rollback.write_text(BACK),
            f"rollbacks/{FIRST}.sql was changed",
        ),
        (rollback.unlink, lambda: rollback.write_text(BACK), f"rollbacks/{FIRST}.sql was removed"),
        (
            lambda: application.migration("20260102000000_more", "select 1;"),
            (application.directory / "migrations" / "20260102000000_more.sql").unlink,
            "migrations/20260102000000_more.sql was not in it",
        ),
        (
            lambda: application.validation("select 1;"),
            lambda: application.validation("select 'PASS: rows' from public.orders limit 1;"),
            "the validation VALIDATION_SQL.sql was changed",
        ),
        (
            lambda: planned.project.psql("create table public.surprise (id int)"),
            lambda: planned.project.psql("drop table public.surprise"),
            "the schema was",
        ),
    ]
    for change, undo, said in changes:
        change()
        closed = planned.gate()
        assert closed["verdict"] == "FAIL" and said in closed["evidence"], closed["evidence"]
        assert "Signed was the plan" in closed["evidence"]
        undo()
        assert planned.gate()["verdict"] == "PASS", "the plan that was signed is the plan again"


def test_a_plan_that_was_tampered_with_is_refused(planned: Planned) -> None:
    result = planned.plan()
    kept = Path(result["plan_file"])
    tampered = json.loads(kept.read_text())
    tampered["steps"][0]["migrations"][0]["sha256"] = "0" * 64
    kept.write_text(json.dumps(tampered))
    arguments = {"supabase_dir": str(planned.application.directory), **planned.project.login}
    for _time in range(2):
        again = run_module(
            "migration_plan",
            **arguments,
            plans_dir=str(planned.signers.plans),
            project="app_prod",
            environment="prod",
            validations=[str(planned.application.directory / "VALIDATION_SQL.sql")],
        )
        assert again["failed"] and "was changed after it was made" in again["msg"]
        gates = run_module("preflight_gates", **planned.project.login, project="app_prod", plan=tampered)
        assert gates["failed"] and "not the one that its hash was made of" in gates["msg"]


def test_a_dry_run_comes_before_the_signatures(planned: Planned) -> None:
    planned.signers.person("ada")
    warned = planned.gate(check=True)
    assert warned["verdict"] == "WARNING" and warned["evidence"].startswith("a run would be stopped: 0 of 1")


def test_a_waiver_of_approval_is_on_record(planned: Planned) -> None:
    planned.signers.person("ada")
    waived = planned.gate(waivers={"approval": "the site is down, two of us agreed by telephone"})
    assert (waived["verdict"], waived["waiver"]) == ("WAIVED", "the site is down, two of us agreed by telephone")
    assert planned.gate(approvals_required=0)["verdict"] == "SKIP"


def test_without_ssh_keygen_it_says_what_to_install(
    planned: Planned, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    planned.signers.sign(planned.hash(), "ada", planned.signers.person("ada"))
    monkeypatch.setenv("PATH", str(tmp_path))
    closed = planned.gate()
    assert closed["verdict"] == "FAIL" and "openssh-client" in closed["next_step"]


def test_a_list_of_signers_that_cannot_be_trusted(planned: Planned) -> None:
    signers = planned.signers
    signers.sign(planned.hash(), "ada", signers.person("ada"))
    signers.allowed.chmod(0o666)
    assert "Anybody on this machine may change" in planned.gate()["evidence"]
    signers.allowed.chmod(0o644)
    assert planned.gate()["verdict"] == "PASS"
    assert "cannot be read" in planned.gate(allowed_signers=str(signers.directory / "nowhere"))["evidence"]
    signers.allowed.write_text("no key at all\n")
    assert planned.gate()["verdict"] == "FAIL"


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"approvals_required": 2, "approvers": ["ada"]}, "the policy names 1"),
        ({"approvals_required": 2, "approvers": ["ada", "ada"]}, "the policy names 1"),
        ({"approvals_required": 1, "allowed_signers": None}, "not whose signatures are allowed"),
        ({"approvals_required": -1}, "-1 people"),
    ],
)
def test_a_policy_that_cannot_be_met(planned: Planned, policy: dict[str, Any], said: str) -> None:
    given = {"allowed_signers": str(planned.signers.allowed), "plans_dir": str(planned.signers.plans), **policy}
    for _time in range(2):
        result = run_module("preflight_gates", **planned.project.login, project="app_prod", **given)
        assert result["failed"] and result["error"]["code"] == "input" and said in result["msg"]


def test_nothing_but_the_plan_is_applied(planned: Planned) -> None:
    application, plan = planned.application, planned.plan(validations=[])["plan"]
    application.migration(FIRST, ALTER + " drop table public.orders cascade;")
    application.refuses("verification", "is not the plan", f"migrations/{FIRST}.sql was changed", plan=plan)
    application.refuses("verification", "is not the plan", plan=plan, check=True)
    application.migration(FIRST, ALTER)
    application.refuses("verification", "transaction_scope was", plan=plan, transaction_scope="file")
    application.refuses("verification", "the validation VALIDATION_SQL.sql was added", plan=plan,
                        validations=[str(application.directory / "VALIDATION_SQL.sql")])  # fmt: skip
    # Also where the checks are left to somebody after COMMIT, they are those that were signed.
    afterwards = {
        "plan": planned.plan(validations=[], verify_before_commit=False)["plan"],
        "verify_before_commit": False,
    }
    application.refuses(
        "verification", "verify_before_commit was True and is False", plan=plan, verify_before_commit=False
    )
    application.refuses("verification", "the validation VALIDATION_SQL.sql was added", **afterwards,
                        validations=[str(application.directory / "VALIDATION_SQL.sql")])  # fmt: skip
    application.refuses("verification", "count_contract was", **afterwards, count_contract={"public.orders": 1})
    later = application.migration("20260102000000_more", "create table public.more (id int);")
    application.refuses("verification", "was not in it", plan=plan)
    later.unlink()
    applied = application.apply(plan=plan, approved_by=["ada", "bob"], lint_waivers=[{"code": "x", "reason": "y"}])
    assert applied["changed"], applied
    details = json.loads(planned.project.psql("select details from pgops.ledger where event = 'applied'"))
    assert (details["plan"], details["approved_by"]) == (plan["plan_hash"], ["ada", "bob"])
    assert details["lint_waivers"] == [{"code": "x", "reason": "y"}]


def test_a_plan_that_was_replaced_after_its_approval_is_refused(planned: Planned, tmp_path: Path) -> None:
    """Whole and under a hash of its own, so that nothing but the hash that was approved tells."""
    application, approved = planned.application, planned.plan(validations=[])["plan"]
    kept = tmp_path / "plan.json"
    kept.write_text(json.dumps(approved))
    application.migration(FIRST, ALTER + " create table public.smuggled (id int);")
    kept.write_text(json.dumps(planned.plan(validations=[])["plan"]))
    asked = {"plan": str(kept), "plan_hash": approved["plan_hash"]}
    application.refuses("verification", f"{approved['plan_hash'][:16]} was approved", **asked)
    application.migration(FIRST, ALTER)
    kept.write_text(json.dumps(approved))
    assert application.apply(**asked)["changed"]


@pytest.mark.parametrize("sql", [ALTER, "create index concurrently orders_client on public.orders (client);"])
def test_a_schema_that_changed_since_the_plan_stops_the_apply(planned: Planned, sql: str) -> None:
    application = planned.application
    application.migration(FIRST, sql)
    plan = planned.plan(validations=[])["plan"]
    planned.project.psql("create table public.surprise (id int)")
    for _time in range(2):
        result = application.apply(plan=plan)
        assert result["failed"] and "The schema is not the one that the plan" in result["msg"], result
        assert application.project.psql("select to_regclass('public.orders_client') is null") == "t"
        columns = "select count(*) from pg_attribute where attrelid = 'public.orders'::regclass and attname = 'note'"
        assert application.project.psql(columns) == "0"
    planned.project.psql("drop table public.surprise")
    assert application.apply(plan=plan)["changed"]


def test_a_locked_schema_cannot_be_approved(planned: Planned) -> None:
    from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import session

    planned.project.psql("alter table public.orders add column extra int default 1")
    signers = planned.signers
    key = signers.person("ada")
    with session(planned.project.options) as holder:
        with holder.cursor() as cursor:
            cursor.execute("lock table public.orders in access exclusive mode")
        arguments = {"supabase_dir": str(planned.application.directory), **planned.project.login}
        plan = run_module("migration_plan", **arguments)["plan"]
        assert plan["catalog_before"] is None
        signers.sign(plan["plan_hash"], "ada", key)
        gates = run_module(
            "preflight_gates",
            **planned.project.login,
            project="app_prod",
            plan=plan,
            plans_dir=str(signers.plans),
            allowed_signers=str(signers.allowed),
            approvals_required=1,
        )
        assert gates["failed"] and "nobody knows what was approved" in gates["msg"]
