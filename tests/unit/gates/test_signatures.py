# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan's hash is made of, what signatures are worth, and what is said where a plan is another one now."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, VerificationFailed
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.gates.approval import (
    ApprovalPolicy,
    different_people,
    judge_approval,
)
from ansible_collections.pgops.supabase.plugins.module_utils.gates.documents import Approval
from ansible_collections.pgops.supabase.plugins.module_utils.gates.lint import judge_lint
from ansible_collections.pgops.supabase.plugins.module_utils.gates.signatures import (
    ApprovalFacts,
    Signature,
    SignedBefore,
    sign_command,
)
from ansible_collections.pgops.supabase.plugins.module_utils.lint.documents import LintFinding, LintReport
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.documents import (
    MigrationPlan,
    PlannedMigration,
    PlannedStep,
    PlannedValidation,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.identity import (
    differences,
    given_plan,
    load_plan,
    plan_hash,
    require_planned_catalog,
)


def migration(version: str = "1", **facts: Any) -> PlannedMigration:
    base = PlannedMigration(
        version=version,
        name="m",
        file=f"migrations/{version}_m.sql",
        sha256="a" * 64,
        statements=1,
        outside_transaction=[],
        locks=[],
        rollback_file=None,
        rollback_sha256=None,
    )
    return dataclasses.replace(base, **facts)


def steps(*migrations: PlannedMigration, outside: bool = False) -> list[PlannedStep]:
    return [PlannedStep(number=1, outside_transaction=outside, lock_table_entries=1, migrations=list(migrations))]


def plan(**facts: Any) -> MigrationPlan:
    base = MigrationPlan(
        project="app",
        project_ref=None,
        environment="prod",
        database="postgres",
        server_version="17.1",
        catalog_before="c" * 64,
        transaction_scope="batch",
        verify_before_commit=True,
        warnings_as_failures=False,
        count_contract={},
        validations=[PlannedValidation(file="V.sql", sha256="v" * 64)],
        plan_hash="",
        steps=steps(migration()),
        lock_table_capacity=6400,
    )
    made = dataclasses.replace(base, **facts)
    made.plan_hash = plan_hash(made)
    return made


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"project": "other"}, "project was 'app' and is 'other'"),
        ({"transaction_scope": "file"}, "transaction_scope was 'batch' and is 'file'"),
        ({"catalog_before": "d" * 64}, "the schema was cccccccccccccccc and is dddddddddddddddd"),
        ({"catalog_before": None}, "the schema was cccccccccccccccc and is unknown"),
        ({"count_contract": {"public.t": 3}}, "count_contract was {} and is {'public.t': 3}"),
        ({"validations": []}, "the validation V.sql was removed"),
        ({"validations": [PlannedValidation(file="V.sql", sha256="w" * 64)]}, "the validation V.sql was changed"),
        ({"steps": []}, "migrations/1_m.sql is not pending any more"),
        ({"steps": steps(migration(), migration("2"))}, "migrations/2_m.sql was not in it"),
        ({"steps": steps(migration(sha256="b" * 64))}, "migrations/1_m.sql was changed"),
        ({"steps": steps(migration(name="n", file="migrations/1_n.sql"))}, "migrations/1_n.sql was changed"),
        (
            {"steps": steps(migration(rollback_file="rollbacks/1_m.sql", rollback_sha256="r"))},
            "rollbacks/1_m.sql was added",
        ),
        ({"steps": steps(migration(), outside=True)}, "are cut as 1 (no transaction)"),
    ],
)
def test_what_makes_another_plan_is_said(facts: dict[str, Any], said: str) -> None:
    other = plan(**facts)
    assert other.plan_hash != plan().plan_hash
    assert said in "; ".join(differences(plan(), other))


@pytest.mark.parametrize(
    "facts",
    [
        {"server_version": "17.2"},
        {"lock_table_capacity": 1},
        {"steps": steps(migration(statements=2))},
        {"steps": steps(migration(file="elsewhere/1_m.sql"))},
    ],
)
def test_what_does_not_make_another_plan(facts: dict[str, Any]) -> None:
    assert plan(**facts).plan_hash == plan().plan_hash
    assert differences(plan(), plan(**facts)) == []


def test_a_plan_that_is_kept_is_the_one_of_its_name(tmp_path: Path) -> None:
    made = plan()
    path = tmp_path / f"{made.plan_hash}.json"
    write_json(path, made.as_dict())
    assert load_plan(path) == made == given_plan(made.as_dict()) == given_plan(str(path))
    write_json(path, {**made.as_dict(), "environment": "dev"})
    with pytest.raises(InputError, match="was changed after it was made"):
        load_plan(path)
    with pytest.raises(InputError, match="not the one that its hash was made of"):
        given_plan({**made.as_dict(), "environment": "dev"})
    with pytest.raises(InputError, match="not the one that its hash was made of") as caught:
        given_plan(str(path))
    assert caught.value.where == str(path)
    path.write_text("{")
    with pytest.raises(InputError, match="This is not a plan") as caught:
        given_plan(str(path))
    assert caught.value.where == str(path)
    with pytest.raises(InputError, match="This is no plan"):
        load_plan(path)
    with pytest.raises(InputError, match="This is not a plan"):
        given_plan({"document": "lint"})
    assert given_plan(None) is None and given_plan({}) is None


def test_the_schema_has_to_be_the_planned_one() -> None:
    require_planned_catalog(plan(), "c" * 64, state="")
    require_planned_catalog(plan(catalog_before=None), "d" * 64, state="")
    with pytest.raises(VerificationFailed, match="somebody changed it meanwhile"):
        require_planned_catalog(plan(), "d" * 64, state="nothing was changed")


def signature(name: str, key: str | None = None, problem: str | None = None) -> Signature:
    return Signature(f"h.{name}.sig", name, key, problem)


def judged(
    required: int, *signatures: Signature, approvers: tuple[str, ...] = (), before: SignedBefore | None = None
) -> Any:
    facts = ApprovalFacts("h", "/plans", "s" * 64, signatures, before)
    return judge_approval(ApprovalPolicy(required, approvers), plan(), facts)


def test_enough_people() -> None:
    ada, bob = signature("ada", "ED25519 SHA256:a"), signature("bob", "ED25519 SHA256:b")
    assert judged(2, ada, bob).verdict == "PASS"
    assert judged(2, ada).verdict == judged(1).verdict == "FAIL"
    assert judged(1, ada, approvers=("bob",)).verdict == "FAIL"
    closed = judged(2, ada, signature("carl", problem="key has expired"))
    assert "1 of 2 people" in closed.evidence and "h.carl.sig: key has expired" in closed.evidence
    assert judged(1, ada, signature("carl", problem="key has expired")).verdict == "PASS"
    changed = judged(1, before=SignedBefore("f" * 64, ("migrations/1_m.sql was changed",)))
    assert "Signed was the plan ffffffffffffffff, and since then: migrations/1_m.sql was changed" in changed.evidence


@pytest.mark.parametrize(
    ("people", "number"),
    [
        ([], 0),
        ([("ada", "1")], 1),
        ([("ada", "1"), ("bob", "2")], 2),
        ([("ada", "1"), ("ada", "2")], 1),
        ([("ada", "1"), ("Ada", "2")], 1),
        ([("ada", "1"), ("bob", "1")], 1),
        ([("ada", "1"), ("bob", "2"), ("ada", "2")], 1),
        ([("ada", "1"), ("bob", "2"), ("carl", "3"), ("bob", "3")], 2),
    ],
)
def test_who_shares_a_name_or_a_key_counts_once(people: list[tuple[str, str]], number: int) -> None:
    approvals = [Approval(principal=name, key=key, file="f") for name, key in people]
    assert different_people(approvals) == different_people(approvals[::-1]) == number


def test_the_command_survives_odd_places() -> None:
    words = shlex.split(sign_command("h", "/my plans/$(touch x)"))
    assert "/my plans/$(touch x)/h.YOUR_NAME.sig" in words


def report(*findings: LintFinding) -> LintReport:
    levels = [finding.level for finding in findings if not finding.waived]
    return from_dict(
        LintReport,
        {
            "files": ["/somewhere/supabase/migrations/1_m.sql"],
            "database": None,
            "server_major": 17,
            "excluded": [],
            "findings": [dataclasses.asdict(finding) for finding in findings],
            "errors": levels.count("error"),
            "warnings": levels.count("warning"),
            "notices": levels.count("notice"),
            "waived": len(findings) - len(levels),
            "duration_seconds": 0.1,
        },
    )


def finding(level: Any, *, waived: bool = False) -> LintFinding:
    place: dict[str, Any] = {"file": "/somewhere/supabase/migrations/1_m.sql", "line": 3, "column": 1, "statement": "s"}
    return LintFinding(code=f"c-{level}", level=level, reason="because", fix="Do better.", waived=waived, **place)


@pytest.mark.parametrize(
    ("findings", "level", "verdict"),
    [
        ([], "notice", "PASS"),
        ([finding("notice")], "warning", "PASS"),
        ([finding("notice")], "notice", "FAIL"),
        ([finding("warning")], "error", "WARNING"),
        ([finding("warning")], "warning", "FAIL"),
        ([finding("error")], "error", "FAIL"),
        ([finding("error")], "never", "WARNING"),
        ([finding("error", waived=True)], "notice", "PASS"),
    ],
)
def test_what_the_findings_are_worth(findings: list[LintFinding], level: str, verdict: str) -> None:
    judged = judge_lint(report(*findings), None, plan(), level)
    assert judged.verdict == verdict
    if verdict == "FAIL":
        assert f"{findings[0].code} at supabase/migrations/1_m.sql:3:1, because" in judged.evidence
        assert f"-- pgops: allow {findings[0].code}" in (judged.next_step or "")


def test_the_same_in_many_files_is_said_once() -> None:
    many = [dataclasses.replace(finding("warning"), file=f"/s/supabase/migrations/{n}_m.sql") for n in range(38)]
    judged = judge_lint(report(*many), None, plan(), "error")
    assert judged.evidence == (
        "0 errors, 38 warnings, 0 notices, 0 accepted in the files: c-warning at 38 files: supabase/migrations/0_m.sql:3:1, "
        "supabase/migrations/1_m.sql:3:1, supabase/migrations/2_m.sql:3:1 and 35 more"
    )


def test_every_pending_file_has_to_be_linted() -> None:
    assert judge_lint(report(), None, plan(steps=steps(migration("2"))), "never").verdict == "FAIL"
    assert judge_lint(None, None, plan(), "error").verdict == "SKIP"
    assert judge_lint(report(), "squawk is missing.\nNext: x", plan(), "never").verdict == "FAIL"
