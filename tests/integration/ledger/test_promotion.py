# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Production takes only what development has proven: the same file, applied and verified, with the same change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.application import TABLES, Application
from tests.integration.live import NewProject, run_module

FIRST, SECOND = "20260101000000_first", "20260102000000_second"
VERSIONS = [FIRST[:14], SECOND[:14]]


@pytest.fixture
def projects(new_project: NewProject, tmp_path: Path) -> tuple[Application, Application]:
    """Development and production, with the same files."""
    dev, prod = (Application(new_project(), tmp_path / "supabase") for dummy in range(2))
    for application in (dev, prod):
        application.project.psql(TABLES)
    dev.migration(FIRST, "create table public.first (id int);")
    dev.migration(SECOND, "alter table public.clients add column if not exists note text;")
    return dev, prod


def proofs(dev: Application, **params: Any) -> dict[str, Any]:
    """Ask twice what development has proven."""
    arguments = {
        "supabase_dir": str(dev.directory),
        "versions": VERSIONS,
        "origin": "dev",
        **dev.project.login,
        **params,
    }
    first, second = (run_module("promotion_info", **arguments) for dummy in range(2))
    assert first == second and not first.get("failed"), first
    return first


def verified(application: Application) -> str:
    """What psql finds of verifications after COMMIT."""
    return application.project.psql("select version from pgops.ledger where event = 'verified' order by 1")


def test_what_was_verified_in_its_transaction_may_go_on(projects: tuple[Application, Application]) -> None:
    dev, prod = projects
    dev.applies(baseline=dev.baseline())
    found = proofs(dev)
    assert [proof["problem"] for proof in found["proofs"]] == [None, None]
    prod.applies(promotion=found["proofs"], promotion_origin="dev")
    assert prod.versions() == VERSIONS


def test_what_is_not_applied_or_not_verified_may_not(projects: tuple[Application, Application]) -> None:
    dev, _prod = projects
    assert [proof["problem"] for proof in proofs(dev)["proofs"]] == ["is not applied on dev"] * 2
    dev.applies(verify_before_commit=False, run_id="run-1")
    problems = [proof["problem"] for proof in proofs(dev)["proofs"]]
    assert all("is applied on dev, but was not verified there" in problem for problem in problems)

    record = {"run_id": "run-1", **dev.project.login}
    assert run_module("migration_verified", check=True, **record)["versions"] == VERSIONS
    assert verified(dev) == ""
    assert run_module("migration_verified", **record)["changed"]
    assert not run_module("migration_verified", **record)["changed"]
    assert verified(dev).split() == VERSIONS
    assert [proof["problem"] for proof in proofs(dev)["proofs"]] == [None, None]
    unknown = run_module("migration_verified", **{**record, "run_id": "run-2"})
    assert unknown["failed"] and "Run run-2 applied nothing" in unknown["msg"]


@pytest.mark.parametrize("scope", ["batch", "file"])
def test_what_the_last_of_several_transactions_verified_may_go_on(
    projects: tuple[Application, Application], scope: str
) -> None:
    dev, prod = projects
    if scope == "batch":
        dev.migration(FIRST, "create index concurrently on public.clients (id);")
    dev.applies(transaction_scope=scope, run_id="run-1")
    assert verified(dev).split() == VERSIONS[:1]
    found = proofs(dev)
    assert [proof["problem"] for proof in found["proofs"]] == [None, None]
    prod.applies(transaction_scope=scope, promotion=found["proofs"], promotion_origin="dev")
    assert prod.versions() == VERSIONS


def test_what_a_killed_run_left_unverified_is_verified_by_an_adoption(
    projects: tuple[Application, Application],
) -> None:
    dev, _prod = projects
    dev.applies(verify_before_commit=False, run_id="run-1")
    adopt = {"supabase_dir": str(dev.directory), "verified": True, **dev.project.login}
    assert run_module("migration_adopt", check=True, **adopt)["changed"]
    assert verified(dev) == ""
    assert run_module("migration_adopt", **adopt)["changed"]
    assert not run_module("migration_adopt", **adopt)["changed"]
    assert verified(dev).split() == VERSIONS
    assert [proof["problem"] for proof in proofs(dev)["proofs"]] == [None, None]


def test_another_file_of_the_same_version_may_not(projects: tuple[Application, Application]) -> None:
    dev, _prod = projects
    dev.applies(baseline=dev.baseline())
    dev.migration(SECOND, "alter table public.clients add column note text;")
    first, second = proofs(dev)["proofs"]
    assert first["problem"] is None and "is another file than the one applied on dev" in second["problem"]


def test_a_file_that_does_something_else_here_is_rolled_back(projects: tuple[Application, Application]) -> None:
    dev, prod = projects
    dev.applies(baseline=dev.baseline())
    prod.project.psql("alter table public.clients add column note text")
    refused = prod.refuses(
        "verification",
        f"{SECOND} does not do here what it did on dev",
        promotion=proofs(dev)["proofs"],
        promotion_origin="dev",
    )
    assert "column public.clients.note created" in refused["msg"].replace('"', "")
    assert "Only here: nothing" in refused["msg"]
    assert prod.project.psql("select to_regclass('public.first') is null") == "t"


def test_a_file_outside_a_transaction_that_does_something_else_here_is_on_record(
    projects: tuple[Application, Application],
) -> None:
    dev, prod = projects
    dev.migration(
        SECOND,
        "create index concurrently clients_name on public.clients (name);\n"
        "alter table public.clients add column if not exists note text;",
    )
    assert dev.apply(run_id="run-1").get("changed")
    run_module("migration_verified", run_id="run-1", **dev.project.login)
    prod.project.psql("alter table public.clients add column note text")
    refused = prod.apply(promotion=proofs(dev)["proofs"], promotion_origin="dev")
    assert refused["failed"] and refused["changed"] and refused["migration"]["committed"]
    assert f"{SECOND} does not do here what it did on dev" in refused["msg"]
    assert "the file is applied and recorded" in refused["error"]["state"]
    # What cannot be rolled back is in history and ledger, so that the rollback finds it; a further run has nothing to do.
    assert prod.versions() == VERSIONS
    assert prod.events() == [f"applied {FIRST[:14]}", f"applied {SECOND[:14]}", f"failed {SECOND[:14]}"]
    assert not prod.apply()["changed"]


def test_more_files_than_are_looked_at_one_by_one_are_compared_together(
    projects: tuple[Application, Application],
) -> None:
    """Where the same files are one transaction on both; a difference in any of them is found, and told."""
    dev, prod = projects
    for number in range(60):
        dev.migration(f"202602{number:08d}_many", f"alter table public.clients add column if not exists c{number} int;")
    dev.applies(baseline=dev.baseline())
    versions = dev.versions()
    found = proofs(dev, versions=versions)["proofs"]
    assert [(proof["version"], len(proof["together"])) for proof in found if proof["catalog_change"]] == [
        (versions[-1], 62)
    ]
    assert all("together they have to make the same catalog change" in proof["evidence"] for proof in found)
    prod.project.psql("alter table public.clients add column c30 int")
    said = f"The 62 migrations from {versions[0]} to {versions[-1]} together do not do here what they did on dev"
    for check in (True, False):
        refused = prod.refuses("verification", said, promotion=found, promotion_origin="dev", check=check)
        assert "Only there: column public.clients.c30 created" in refused["msg"].replace('"', "")
    prod.project.psql("alter table public.clients drop column c30")
    prod.applies(promotion=found, promotion_origin="dev")


def test_what_cannot_be_compared_together_is_not_said_to_be(projects: tuple[Application, Application]) -> None:
    dev, _prod = projects
    for number in range(60):
        dev.migration(f"202602{number:08d}_many", f"alter table public.clients add column c{number} int;")
    dev.applies(baseline=dev.baseline())
    found = proofs(dev, versions=dev.versions()[5:])["proofs"]
    assert not any(proof["catalog_change"] or "has to make" in proof["evidence"] for proof in found)
    assert all("its own catalog change was not read there, so none is compared" in proof["evidence"] for proof in found)


def test_many_files_that_were_proven_one_by_one_are_compared_so(projects: tuple[Application, Application]) -> None:
    """Development applied them in several runs, production does it in one."""
    dev, prod = projects
    for number in range(60):
        dev.migration(f"202602{number:08d}_many", f"alter table public.clients add column if not exists c{number} int;")
    dev.applies(baseline=dev.baseline(), to_version=f"202602{29:08d}")
    dev.applies(baseline=dev.baseline())
    found = proofs(dev, versions=dev.versions())["proofs"]
    assert all(proof["catalog_change"] for proof in found)
    prod.project.psql("alter table public.clients add column c30 int")
    prod.refuses("verification", f"202602{30:08d}_many does not do here", promotion=found, promotion_origin="dev")
