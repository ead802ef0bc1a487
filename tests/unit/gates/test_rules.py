# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each gate makes of its facts, and what a waiver makes of a gate."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupEntry, BackupManifest
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowCounts
from ansible_collections.pgops.supabase.plugins.module_utils.gates import rules
from ansible_collections.pgops.supabase.plugins.module_utils.gates.documents import (
    GateResult,
    GateVerdict,
    PreflightReport,
)
from ansible_collections.pgops.supabase.plugins.module_utils.gates.facts import (
    DiskSpace,
    GitFacts,
    InvalidObjects,
    OpenTransaction,
    OpenTransactions,
    PoolingFacts,
    PreparedTransaction,
    Replication,
    Rights,
    SchemaRights,
    ServerIdentity,
    Upstream,
    Versions,
    Wanted,
)
from ansible_collections.pgops.supabase.plugins.module_utils.gates.git import judge_git
from ansible_collections.pgops.supabase.plugins.module_utils.gates.table import (
    GATES,
    gate_result,
    overall,
    require_valid_waivers,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.documents import Lease
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.marker import Marker

REF, OTHER_REF = "abcdefghijklmnopqrst", "zzzzzzzzzzzzzzzzzzzz"
WANTED = Wanted("app_prod", REF, "prod", f"db.{REF}.supabase.co", 5432, "postgres", "postgres")
MARKER = Marker("app_prod", REF, "prod", "2026-01-01T00:00:00.000+00:00", "42")
SERVER = ServerIdentity("postgres", "10.0.0.1", 5432, False, "42", MARKER)
RIGHTS = Rights("postgres", "postgres", False, True, True, (SchemaRights("public", True, True),), True)
LEASE = Lease(
    owner="run-1",
    run_id="run-1",
    operator="ada",
    host="controller",
    acquired_at="2026-01-01T00:00:00.000+00:00",
    renewed_at="2026-01-01T00:10:00.000+00:00",
    expires_at="2026-01-01T01:10:00.000+00:00",
    expired=False,
)


def test_the_project_that_is_meant() -> None:
    judged = rules.judge_identity(WANTED, SERVER)
    assert judged.verdict == "PASS"
    for said in ("postgres", "10.0.0.1:5432", "system identifier 42", "app_prod (prod", REF):
        assert said in judged.evidence


@pytest.mark.parametrize(
    ("wanted", "server", "said"),
    [
        ({}, {"database": "template1"}, "database template1, not postgres"),
        ({}, {"in_recovery": True}, "read replica"),
        ({"login_host": f"db.{OTHER_REF}.supabase.co"}, {}, f"host belongs to project {OTHER_REF}"),
        (
            {"login_host": "aws-0-eu-central-1.pooler.supabase.com", "login_user": f"postgres.{OTHER_REF}"},
            {},
            f"user belongs to project {OTHER_REF}",
        ),
        (
            {"login_host": "pooler.example.org", "login_user": f"postgres.{OTHER_REF}"},
            {},
            f"user belongs to project {OTHER_REF}",
        ),
        ({}, {"marker": dataclasses.replace(MARKER, environment="dev")}, "dev is not prod"),
        ({"environment": "dev"}, {}, "prod is not dev"),
        ({}, {"marker": dataclasses.replace(MARKER, project="shop_prod")}, "shop_prod is not app_prod"),
        ({}, {"marker": dataclasses.replace(MARKER, ref=OTHER_REF)}, f"{OTHER_REF} is not {REF}"),
        ({}, {"system_identifier": "43"}, "written on server 42, and this is server 43"),
    ],
)
def test_another_project(wanted: dict[str, Any], server: dict[str, Any], said: str) -> None:
    judged = rules.judge_identity(dataclasses.replace(WANTED, **wanted), dataclasses.replace(SERVER, **server))
    assert judged.verdict == "FAIL" and said in judged.evidence
    assert judged.next_step and "project_marker" in judged.next_step


def test_identity_where_little_is_known() -> None:
    unreadable = dataclasses.replace(SERVER, system_identifier=None, address=None)
    judged = rules.judge_identity(dataclasses.replace(WANTED, project_ref=None, environment=None), unreadable)
    assert judged.verdict == "PASS" and "not readable by this role" in judged.evidence
    unmarked = rules.judge_identity(WANTED, dataclasses.replace(SERVER, marker=None))
    assert unmarked.verdict == "WARNING" and "environment: prod" in (unmarked.next_step or "")
    # A dot in another user's name means the project only behind Supabase's pooler.
    assert rules.judge_identity(dataclasses.replace(WANTED, login_user=f"ada.{OTHER_REF}"), SERVER).verdict == "PASS"


@pytest.mark.parametrize(
    ("port", "backends", "refusal", "said"),
    [
        (6543, (1, 2, 1), None, "port 6543"),
        (5432, (7, 7, 7), None, "same server process 7"),
        (5432, (1, 2, 3), None, "server processes 1 and 3"),
        (5432, (1, 2, 1), "The server did not take lock_timeout", "did not take lock_timeout"),
        (5432, (1, 2, 1), None, None),
    ],
)
def test_poolers(port: int, backends: tuple[int, int, int], refusal: str | None, said: str | None) -> None:
    judged = rules.judge_pooler(dataclasses.replace(WANTED, login_port=port), PoolingFacts(backends, refusal))
    if said is None:
        assert judged.verdict == "PASS"
    else:
        assert judged.verdict == "FAIL" and said in judged.evidence
        assert "5432" in (judged.next_step or "") and "session pooler" in (judged.next_step or "")


def test_privileges() -> None:
    assert rules.judge_privileges(RIGHTS).verdict == "PASS"
    assert rules.judge_privileges(dataclasses.replace(RIGHTS, history_writable=None)).verdict == "PASS"
    superuser = dataclasses.replace(RIGHTS, superuser=True, bypasses_row_security=False)
    assert rules.judge_privileges(superuser).verdict == "PASS"
    poor = Rights("visitor", "app", False, False, False, (SchemaRights("notes", True, False),), False)
    judged = rules.judge_privileges(poor)
    assert judged.verdict == "FAIL"
    for said in ("row level security", "create schemas", "schema notes", "supabase_migrations"):
        assert said in judged.evidence
    assert 'grant create on database "app" to "visitor";' in (judged.next_step or "")


@pytest.mark.parametrize(
    ("server", "pg_dump", "verdict"),
    [(14, 17, "FAIL"), (15, 15, "PASS"), (17, 16, "FAIL"), (18, 18, "PASS"), (15, 18, "PASS"), (19, 19, "FAIL")],
)
def test_versions(server: int, pg_dump: int, verdict: str) -> None:
    facts = Versions(f"{server}.1", server, f"{pg_dump}.1", pg_dump, "/usr/bin/pg_dump")
    assert rules.judge_versions(facts).verdict == verdict


@pytest.mark.parametrize(("free", "factor", "verdict"), [(100, 1.0, "PASS"), (99, 1.0, "FAIL"), (99, 0.5, "PASS")])
def test_disk(free: int, factor: float, verdict: str) -> None:
    assert rules.judge_disk(DiskSpace("/runs", free, 100), factor).verdict == verdict


def test_long_transactions() -> None:
    transactions = [OpenTransaction(n, "postgres", "psql", "active", age) for n, age in enumerate((400.0, 300.0, 1.0))]
    judged = rules.judge_long_transactions(OpenTransactions(tuple(transactions), 3), 300)
    assert judged.verdict == "FAIL" and judged.evidence.startswith("1 open longer") and "pid 0" in judged.evidence
    assert rules.judge_long_transactions(OpenTransactions((), 3), 300).verdict == "WARNING"
    assert rules.judge_long_transactions(OpenTransactions(tuple(transactions[1:]), 0), 300).verdict == "PASS"
    many = OpenTransactions(tuple(OpenTransaction(n, "r", "", "idle in transaction", 900) for n in range(25)), 0)
    assert "and 15 more" in rules.judge_long_transactions(many, 300).evidence


def test_prepared_transactions_and_half_made_objects() -> None:
    assert rules.judge_prepared_transactions(()).verdict == "PASS"
    judged = rules.judge_prepared_transactions([PreparedTransaction("it's", "ada", 60.0)])
    assert judged.verdict == "FAIL" and "rollback prepared 'it''s';" in (judged.next_step or "")
    assert rules.judge_invalid_objects(InvalidObjects((), ())).verdict == "PASS"
    judged = rules.judge_invalid_objects(InvalidObjects(("public.i",), ("c on public.t",)))
    assert judged.verdict == "WARNING" and "public.i" in judged.evidence and "c on public.t" in judged.evidence


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (Replication((), (), ()), "PASS"),
        (Replication((("a", 100),), (("s", 100),), ()), "PASS"),
        (Replication((("a", 101),), (), ()), "FAIL"),
        (Replication((), (("s", 101),), (("idle", 5),)), "FAIL"),
        (Replication((), (), (("idle", 10**12),)), "WARNING"),
        (Replication((), (), (("lost", None),)), "WARNING"),
        (Replication((("a", None),), (), ()), "WARNING"),
    ],
)
def test_replication(facts: Replication, verdict: str) -> None:
    assert rules.judge_replication(facts, 100).verdict == verdict


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (GitFacts(None, None, ("a.sql",), ()), "WARNING"),
        (GitFacts("/app", None, ("a.sql",), ("a.sql",)), "FAIL"),
        (GitFacts("/app", None, (), ()), "WARNING"),
        (GitFacts("/app", "c0ffee", ("a.sql",), ("a.sql",)), "FAIL"),
        (GitFacts("/app", "c0ffee", ("a.sql",), ()), "PASS"),
        (GitFacts("/app", "c0ffee", (), ()), "PASS"),
        (GitFacts("/app", "c0ffee", ("a.sql",), (), Upstream("o/main", "t", True)), "PASS"),
        (GitFacts("/app", "c0ffee", ("a.sql",), (), Upstream("o/main", "t", True, 2, 3)), "PASS"),
        (GitFacts("/app", "c0ffee", ("a.sql",), (), Upstream("o/main", "t", True, 1, 0, ("a.sql",))), "FAIL"),
        (GitFacts("/app", "c0ffee", ("a.sql",), (), Upstream("o/main", "t")), "WARNING"),
        (GitFacts("/app", "c0ffee", ("a.sql",), (), Upstream("o/main")), "FAIL"),
        (GitFacts("/app", "c0ffee", ("a.sql",), (), Upstream("o/main", problem="no route to host")), "FAIL"),
        (GitFacts("/app", "c0ffee", ("a.sql",), (), Upstream("o/main", "t", True, refusal="denied")), "FAIL"),
    ],
)
def test_git(facts: GitFacts, verdict: str) -> None:
    assert judge_git(facts).verdict == verdict


def test_lease() -> None:
    assert rules.judge_lease(None, "run-2").verdict == "PASS"
    assert rules.judge_lease(LEASE, "run-1").verdict == "PASS"
    assert rules.judge_lease(dataclasses.replace(LEASE, expired=True), "run-2").verdict == "PASS"
    for owner in ("run-2", None):
        judged = rules.judge_lease(LEASE, owner)
        assert judged.verdict == "FAIL" and "ada on controller" in judged.evidence
        assert "owner: run-1" in (judged.next_step or "")


def backup(age: float, *, sound: bool = True, system_identifier: str = "42") -> BackupEntry:
    counts = RowCounts(taken_at="", server_version="17.1", tables=[], total=0, duration_seconds=0.0)
    manifest = BackupManifest(
        backup_id="b",
        run_id=None,
        project="app_prod",
        database="postgres",
        host="db",
        system_identifier=system_identifier,
        server_version="17.1",
        client_version="17.1",
        format="custom",
        compression="none",
        schemas=[],
        own_schemas=["public"],
        left_out_schemas=[],
        snapshot="1:1:",
        started_at="",
        finished_at="",
        duration_seconds=0.0,
        lsn="0/0",
        catalog_fingerprint="",
        counts=counts,
        files=[],
        total_bytes=0,
        verification=None,
    )
    return BackupEntry(path=f"/runs/{age}", manifest=manifest, age_seconds=age, sound=sound, problems=[])


@pytest.mark.parametrize(
    ("entries", "verdict"),
    [
        ([], "FAIL"),
        ([backup(10)], "PASS"),
        ([backup(101), backup(100)], "PASS"),
        ([backup(101)], "FAIL"),
        ([backup(10, sound=False)], "FAIL"),
        ([backup(10, system_identifier="43")], "FAIL"),
    ],
)
def test_backup_age(entries: list[BackupEntry], verdict: str) -> None:
    assert rules.judge_backup_age(entries, 100, "42").verdict == verdict


def test_a_backup_of_any_server_counts_where_servers_cannot_be_told_apart() -> None:
    assert rules.judge_backup_age([backup(10, system_identifier="43")], 100, None).verdict == "PASS"


def test_a_waiver_lets_a_closed_gate_pass_and_nothing_else() -> None:
    closed, warning = rules.Judgement("FAIL", "full", "free some"), rules.Judgement("WARNING", "hm")
    assert gate_result("disk", closed, {}).verdict == "FAIL"
    waived = gate_result("disk", closed, {"disk": "it is a test"})
    assert (waived.verdict, waived.waiver, waived.evidence) == ("WAIVED", "it is a test", "full")
    assert gate_result("identity", closed, {"identity": "sure"}).evidence.startswith("WAIVED AGAINST THE EVIDENCE")
    assert gate_result("pooler", closed, {"pooler": "sure"}).evidence.startswith("WAIVED AGAINST THE EVIDENCE")
    untouched = gate_result("git", warning, {"git": "not needed"})
    assert (untouched.verdict, untouched.waiver) == ("WARNING", None)


def test_waivers_have_a_gate_and_a_reason() -> None:
    assert require_valid_waivers({"disk": " it is a test "}) == {"disk": "it is a test"}
    for bad in ({"weather": "fine"}, {"disk": ""}, {"disk": " "}, {"disk": None}, {"disk": True}):
        with pytest.raises(InputError):
            require_valid_waivers(bad)


def test_what_the_gates_say_together() -> None:
    def gates(*verdicts: GateVerdict) -> list[GateResult]:
        return [GateResult(name="n", verdict=verdict, evidence="") for verdict in verdicts]

    assert overall(gates("PASS", "SKIP")) == "PASS"
    assert overall(gates("PASS", "WARNING")) == "WARNING"
    assert overall(gates("PASS", "WAIVED")) == "WARNING"
    assert overall(gates("WAIVED", "FAIL")) == "FAIL"


def test_the_report_is_read_back_as_it_was_written() -> None:
    report = PreflightReport(
        project="app_prod",
        project_ref=None,
        environment="prod",
        database="postgres",
        server_version="17.1",
        checked_at="2026-01-01T00:00:00.000+00:00",
        duration_seconds=0.1,
        gates=[GateResult(name=name, verdict="PASS", evidence="") for name in GATES],
        waivers={"disk": "why"},
        verdict="PASS",
    )
    assert from_dict(PreflightReport, report.as_dict()) == report
