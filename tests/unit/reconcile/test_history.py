# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions are one migration, and what is said of those that are not everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.ledger.documents import HalfDoneMigration
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.documents import Reconciliation
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.findings import repair
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.job import compare
from tests.unit.reconcile.examples import event, files, row, state

FIRST = row("1", "first", "create table public.a (id int)")
MAKE_A, MAKE_B = "create table public.a (id int);", "create table public.b (id int);"


def told(found: Reconciliation) -> list[tuple[str, ...]]:
    """The findings in short."""
    return [(f.finding, f.version, f.other_version or "", f.on, f.direction) for f in found.history]


def test_equal_histories_have_nothing_to_tell(tmp_path: Path) -> None:
    found = compare(files(tmp_path, v1_first=MAKE_A), state("dev", [FIRST]), state("prod", [FIRST]))
    assert found.equal and found.divergence == [] and found.strategies == [] and found.next_command is None


def test_the_same_statements_under_another_version_are_one_migration_whoever_split_them(tmp_path: Path) -> None:
    git = files(tmp_path, v1_first=MAKE_A, v3_b=f"-- why\n{MAKE_B}\nselect 1;")
    dev = state("dev", [FIRST, row("3", "b", "create table public.b (id int)", "select 1")])
    prod = state("prod", [FIRST, row("2", "of_a_branch", "create table public.b (id int);\r\nselect 1;")])
    found = compare(git, dev, prod)
    assert told(found) == [("renumbered", "2", "3", "target", "differs")]
    (only,) = found.history
    assert "their statements are equal; the row of 2 says name of_a_branch, 1 statement" in only.evidence
    assert only.next_command == (
        "supabase migration repair --linked --status reverted 2 && supabase migration repair --linked --status applied 3"
    )
    assert only.would_change.startswith("two rows of supabase_migrations.schema_migrations on prod; no object")
    assert [(p.after, p.source, p.target) for p in found.divergence] == [("1_first", ["3_b"], ["2_of_a_branch"])]
    assert [entry.same_as for entry in found.timeline] == [None, "3", None]


def test_what_git_renamed_after_both_had_it_is_told_of_both(tmp_path: Path) -> None:
    both = [FIRST, row("2", "b", MAKE_B)]
    found = compare(files(tmp_path, v1_first=MAKE_A, v3_b=MAKE_B), state("dev", both), state("prod", both))
    assert told(found) == [
        ("renumbered", "2", "3", "source", "differs"),
        ("renumbered", "2", "3", "target", "differs"),
    ]
    assert found.divergence == []


def test_a_name_alone_is_no_proof_and_repairs_nothing(tmp_path: Path) -> None:
    git = files(tmp_path, v1_first=MAKE_A, v3_b=MAKE_B)
    found = compare(
        git, state("dev", [FIRST, row("3", "b", MAKE_B)]), state("prod", [FIRST, row("2", "b", "select 2")])
    )
    (only,) = found.history
    assert only.finding == "renumbered" and "but not the same statements" in only.evidence
    assert only.next_command == "ansible-playbook pgops.supabase.plan -l prod"


@pytest.mark.parametrize(
    ("here", "there", "proof"),
    [
        ({"sha256": "x"}, {"sha256": "x"}, "the same SHA-256"),
        (
            {"sha256": "x", "catalog_changes": ["table public.b created"]},
            {"sha256": "y", "catalog_changes": ["table public.b created"]},
            "the same change of the catalog",
        ),
    ],
)
def test_two_ledgers_prove_it_where_the_statements_do_not(
    here: dict[str, Any], there: dict[str, Any], proof: str, tmp_path: Path
) -> None:
    unknown = {"recorded": False}
    dev = state("dev", [FIRST, row("3", "c", **unknown)], ledger=[event(1, "3", "c", **here)])
    prod = state("prod", [FIRST, row("2", "b", **unknown)], ledger=[event(2, "2", "b", **there)])
    found = compare(files(tmp_path, v1_first=MAKE_A), dev, prod)
    assert told(found)[0] == ("renumbered", "2", "3", "target", "differs")
    assert proof in found.history[0].evidence
    # Neither has a file.
    assert told(found)[1:] == [("without_file", "3", "", "source", "differs")]
    assert found.divergence[0].since == "2026-01-01T00:00:00Z" and found.divergence[0].since_is == "applied"


def test_twice_on_one_side_and_about_to_be_twice(tmp_path: Path) -> None:
    git = files(tmp_path, v1_first=MAKE_A, v2_again=MAKE_A)
    found = compare(git, state("dev", [FIRST, row("2", "again", MAKE_A)]), state("prod", [FIRST]))
    assert told(found) == [("duplicate", "2", "1", "target", "only_source")]
    assert found.history[0].next_command == "supabase migration repair --linked --status applied 2"
    found = compare(git[:1], state("dev", [FIRST]), state("prod", [FIRST, row("2", "again", MAKE_A)]))
    assert told(found) == [("duplicate", "2", "1", "target", "only_target")]
    assert found.history[0].next_command == "supabase migration repair --linked --status reverted 2"


def test_what_is_everywhere_twice_was_meant(tmp_path: Path) -> None:
    git = files(tmp_path, v1_first=MAKE_A, v2_again=MAKE_A)
    both = [FIRST, row("2", "again", MAKE_A)]
    assert compare(git, state("dev", both), state("prod", both)).equal


def test_what_waits_and_what_is_late(tmp_path: Path) -> None:
    git = files(tmp_path, v1_first=MAKE_A, v2_late=MAKE_B, v3_c="select 3;", v4_new="create table public.d (id int);")
    dev = state("dev", [FIRST, row("2", "late", MAKE_B), row("3", "c", "select 3")])
    prod = state("prod", [FIRST, row("3", "c", "select 3")])
    found = compare(git, dev, prod)
    assert told(found) == [
        ("out_of_order", "2", "", "target", "only_source"),
        ("not_applied", "4", "", "source", "only_git"),
    ]
    assert found.history[0].next_command.endswith("-e preflight_allow_out_of_order=true")
    assert found.strategies[0].steps[:2] == [
        "ansible-playbook pgops.supabase.migrate -l dev   # 4",
        "ansible-playbook pgops.supabase.migrate -l prod -e preflight_allow_out_of_order=true   # 2, 4",
    ]


def test_by_hand_is_told_only_where_all_of_it_is_there_and_no_other_file_made_it(tmp_path: Path) -> None:
    table = {"table public.b": {"owner": "postgres"}}
    git = files(tmp_path, v1_first=MAKE_A, v2_b=MAKE_B)
    dev = state("dev", [FIRST, row("2", "b", MAKE_B)], table)
    assert told(compare(git, dev, state("prod", [FIRST], table))) == [("by_hand", "2", "", "target", "only_source")]
    assert told(compare(git, dev, state("prod", [FIRST]))) == [("pending", "2", "", "target", "only_source")]
    otherwise = compare(git, dev, state("prod", [FIRST], {"table public.b": {"owner": "somebody"}}))
    assert told(otherwise) == [("by_hand", "2", "", "target", "differs")]
    assert otherwise.history[0].next_command.endswith("-e reconcile_bridge=true")
    # Another file of prod's made it: that it is there says nothing of this one.
    earlier = row("1", "first", MAKE_B, "drop table public.b")
    assert told(compare(git[1:], dev, state("prod", [earlier], table)))[-1][0] == "pending"


def test_a_change_that_its_text_does_not_show_is_found_by_its_effect(tmp_path: Path) -> None:
    text = "alter table public.a enable row level security;"
    git = files(tmp_path, v1_first=MAKE_A, v2_rls=text)
    on, off = {"table public.a": {"row security": True}}, {"table public.a": {"row security": False}}
    applied = event(
        1, "2", "rls", git[1].sha256, catalog_changes=["table public.a changed: row security: false -> true"]
    )
    dev = state("dev", [FIRST, row("2", "rls", text)], on, [applied])
    assert told(compare(git, dev, state("prod", [FIRST], on))) == [("by_hand", "2", "", "target", "only_source")]
    assert told(compare(git, dev, state("prod", [FIRST], off))) == [("pending", "2", "", "target", "only_source")]


def test_another_text_than_the_one_that_was_applied(tmp_path: Path) -> None:
    git = files(tmp_path, v1_first="create table public.a (id bigint);")
    found = compare(git, state("dev", [row("1", "first", "create table public.a (id bigint)")]), state("prod", [FIRST]))
    assert told(found) == [("edited", "1", "", "target", "differs")]
    assert (
        found.history[0].risk == "availability"
        and "git log -p -- supabase/migrations/1_first.sql" in found.history[0].next_command
    )
    spaces = files(tmp_path, v1_first="-- a comment\n" + MAKE_A)
    events = [event(1, "1", "first", "of the file before the comment")]
    found = compare(spaces, state("dev", [FIRST]), state("prod", [FIRST], ledger=events))
    assert [(f.finding, f.risk) for f in found.history] == [("edited", "cosmetic")]
    found = compare([], state("dev", [FIRST]), state("prod", [row("1", "first", "select 1")]))
    assert [f.finding for f in found.history] == ["without_file", "recorded_otherwise"]


def test_half_done_is_finished_first(tmp_path: Path) -> None:
    half = HalfDoneMigration(version="2", finished=1, begun=None, run_id=None, recorded_at="2026-01-01T00:00:00Z")
    git = files(tmp_path, v1_first=MAKE_A, v2_b="create index concurrently b on public.a (id);")
    found = compare(git, state("dev", [FIRST]), state("prod", [FIRST], half_done=[half]))
    assert ("half_done", "2", "", "target", "only_target") in told(found)
    assert found.next_command == "ansible-playbook pgops.supabase.migrate -l prod"


def test_what_may_differ_is_left_out(tmp_path: Path) -> None:
    git = files(tmp_path, v1_first=MAKE_A, v2_b=MAKE_B)
    jobs = {"tidy": {"schedule": "* * * * *", "command": "hash", "active": True, "role": "postgres"}}
    dev = state("dev", [FIRST], {"table public.scratch": {}}, cron_jobs=jobs)
    assert not compare(git, dev, state("prod", [FIRST])).equal
    assert compare(
        git, dev, state("prod", [FIRST]), ignore=["migration 2_*", "cron job *", "table public.scratch"]
    ).equal


def test_a_cron_jobs_command_is_never_told() -> None:
    one = {"schedule": "1 * * * *", "command": "hash of one", "active": True, "role": "postgres"}
    other = {**one, "schedule": "2 * * * *", "command": "hash of another"}
    found = compare([], state("dev", cron_jobs={"tidy": one}), state("prod", cron_jobs={"tidy": other}))
    assert [(d.object_type, d.object_name, d.detail) for d in found.differences] == [
        ("cron job", "tidy", "schedule: 2 * * * * -> 1 * * * *, command")
    ]


def test_tables_that_have_to_have_equally_many_rows() -> None:
    dev, prod = state("dev", rows={"public.kinds": 3, "public.a": 1}), state(
        "prod", rows={"public.kinds": 4, "public.a": 2}
    )
    assert compare([], dev, prod).equal
    (only,) = compare([], dev, prod, equal_rows=["kinds"]).differences
    assert (only.object_type, only.object_name, only.detail) == ("rows", "public.kinds", "4 -> 3")


def test_a_version_that_is_no_number_runs_nothing_when_its_command_is_typed() -> None:
    odd = "1; echo taken"
    assert repair(("reverted", odd)).split(" --status ")[1] == f"reverted '{odd}'"
    assert repair(("applied", "20250101000000")).endswith("--status applied 20250101000000")
