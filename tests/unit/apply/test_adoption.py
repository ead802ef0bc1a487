# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What another tool applied: which files may stand in the ledger, what that proves, and what a rollback makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.apply.adoption import compare_recorded, judge_history
from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import AdoptionEntry
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import Event, HistoryRow, LedgerEvent
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.promotion import prove
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import MigrationFile
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.choice import choose_versions
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import parse_script

TEXT = "-- notes\ncreate table notes (id int);\n\ninsert into notes values (1);\n"
RECORDED = ["-- notes\ncreate table notes (id int)", "insert into notes values (1)"]


def event(number: int, kind: Event, version: str, sha256: str = "same", **details: Any) -> LedgerEvent:
    return LedgerEvent(number, "2026-01-01T00:00:00.000+00:00", kind, version, "n", sha256, "run", "me", details)


def decided(
    recorded: list[str] | None,
    *,
    text: str = TEXT,
    ledger: tuple[LedgerEvent, ...] = (),
    trusted: str | None = None,
    half_done: tuple[str, ...] = (),
) -> AdoptionEntry:
    """The verdict on one file and its row, the same whenever it is asked for."""
    script = parse_script("/m/1_n.sql", text)
    arguments: dict[str, Any] = {
        "files": [MigrationFile("1", "n", Path("/m/1_n.sql"), script.sha256, None)],
        "scripts": {"1": script},
        "history": [HistoryRow("1", "n", None if recorded is None else tuple(recorded))],
        "ledger": ledger,
        "trusted": {} if trusted is None else {"1": trusted},
        "half_done": half_done,
    }
    (first,), (second,) = judge_history(**arguments), judge_history(**arguments)
    assert first == second
    return first


def test_what_was_recorded_is_adopted_with_its_hash() -> None:
    entry = decided(RECORDED)
    assert (entry.verdict, entry.compared, entry.problem) == ("adopted", "identical", None)
    assert entry.sha256 == parse_script("x", TEXT).sha256


def test_line_ends_are_the_checkouts() -> None:
    entry = decided([text.replace("\n", "\r\n") for text in RECORDED])
    assert (entry.verdict, entry.compared) == ("adopted", "line_ends")


@pytest.mark.parametrize(
    ("recorded", "compared", "place", "difference"),
    [
        (
            [RECORDED[0], "insert into notes values (2)"],
            None,
            "4:27",
            'the file has "(1)", the history has "(2)"',
        ),
        ([RECORDED[0]], None, "4:1", 'the file goes on with "insert into notes values (1)", where the history ends'),
        ([*RECORDED, "select 1"], None, "4:29", 'the file ends, where the history goes on with "select 1"'),
        (["create table notes (id int)", RECORDED[1]], "statements", "1:1", 'the file has "-- notes create table'),
        (["-- notes", "create table notes (id int)", RECORDED[1]], "statements", "1:9", "the history has"),
    ],
)
def test_a_difference_is_named_with_its_place(
    recorded: list[str], compared: str | None, place: str, difference: str
) -> None:
    entry = decided(recorded)
    assert (entry.verdict, entry.compared, entry.where) == ("refused", compared, f"/m/1_n.sql:{place}")
    assert entry.problem and difference in entry.problem
    assert entry.next_step


def test_trust_covers_comments_and_missing_statements_only() -> None:
    comments = ["create table notes (id int)", RECORDED[1]]
    for recorded, compared in ((comments, "statements"), (None, None), ([], None)):
        assert decided(recorded).verdict == "refused"
        entry = decided(recorded, trusted="I compared them")
        assert (entry.verdict, entry.compared, entry.trusted) == ("adopted", compared, "I compared them")
    assert decided([RECORDED[0], "select 2"], trusted="never mind").verdict == "refused"
    assert decided(RECORDED, trusted="no need").trusted is None


def test_an_empty_file_was_recorded_without_statements() -> None:
    assert decided([], text="\n").compared == "identical"
    assert decided(["-- nothing"], text="-- nothing\n").compared == "identical"


def test_what_the_ledger_knows_is_held_to_its_hash() -> None:
    sha256 = parse_script("x", TEXT).sha256
    for kind in ("applied", "adopted"):
        assert decided(["other"], ledger=(event(1, kind, "1", sha256),)).verdict == "known"
        assert decided(RECORDED, ledger=(event(1, kind, "1", "other"),)).verdict == "refused"
        assert decided(RECORDED, ledger=(event(1, kind, "1", "other"),), trusted="no").verdict == "refused"
    taken_back = (event(1, "applied", "1", "other"), event(2, "rolled_back", "1", "other"))
    assert decided(RECORDED, ledger=taken_back).verdict == "adopted"


def test_what_is_half_done_or_unreadable_is_refused() -> None:
    assert "half done" in str(decided(RECORDED, half_done=("1",)).problem)
    file = MigrationFile("1", "n", Path("/m/1_n.sql"), "hash", None)
    broken = SqlScriptError("The file does not parse", where="/m/1_n.sql:3:4", next_step="Mend it.")
    (entry,) = judge_history([file], {"1": broken}, [HistoryRow("1", "n", ("x",))], [], trusted={"1": "sure"})
    assert (entry.verdict, entry.where, entry.next_step) == ("refused", "/m/1_n.sql:3:4", "Mend it.")


def test_rows_without_a_file_and_twice_are_refused() -> None:
    rows = [HistoryRow(version, "n", ("select 1",)) for version in ("1", "1", "01", "2", "baseline")]
    problems = [str(entry.problem) for entry in judge_history([], {}, rows, [], trusted={"2": "sure"})]
    assert ["more than once" in problem for problem in problems] == [True, True, False, False, False]
    assert ["no file" in problem for problem in problems] == [False, False, True, True, True]


def test_every_place_is_found_again_in_the_file() -> None:
    text = "select 1; select 1;\n-- é\nselect 'ä;' ;\n"
    script = parse_script("/m/1_n.sql", text)
    for number, entry in enumerate(script.recorded):
        recorded = [*script.recorded[:number], entry + " x", *script.recorded[number + 1 :]]
        place = compare_recorded(script, recorded).place
        assert place is not None
        line = text.split("\n")[place.line - 1]
        assert line[: place.column - 1].endswith(entry.rsplit("\n", maxsplit=1)[-1])


def test_adoption_proves_what_was_compared_and_verified() -> None:
    def proof(*events: LedgerEvent, history: tuple[str, ...] = ("1",)) -> tuple[str | None, str]:
        (found,) = prove({"1": ("n", "same")}, events, "dev", history)
        return found.problem, found.evidence

    assert proof() == ("is applied on dev by another tool, and was not adopted there", "")
    assert proof(history=()) == ("is not applied on dev", "")
    unverified = event(1, "adopted", "1", compared="identical")
    assert proof(unverified) == ("is applied on dev, but was not verified there", "")
    for events in (
        (unverified, event(2, "verified", "1")),
        (event(1, "adopted", "1", compared="identical", verified=True),),
    ):
        problem, evidence = proof(*events)
        assert problem is None
        assert "another tool applied on dev" in evidence and "is not known, so none is compared here" in evidence
    problem, _evidence = proof(event(1, "adopted", "1", compared=None, trusted="looked at it", verified=True))
    assert problem and "on trust, not compared with what was applied there (looked at it)" in problem
    # What a restore brought back has the details of its application, and keeps its proof.
    assert "the same catalog change" in proof(event(1, "adopted", "1", verified=True, catalog_change="f00"))[1]
    assert proof(event(1, "adopted", "1", "other", compared="identical", verified=True))[0]
    same_change = proof(event(1, "applied", "1", verified=True, catalog_change="f00"))[1]
    assert "it has to make the same catalog change here" in same_change


def test_a_rollback_does_not_take_an_adoption_for_an_application() -> None:
    ledger = [
        event(1, "applied", "3"),
        event(2, "adopted", "1", compared="identical"),
        event(3, "adopted", "2", compared=None),
    ]
    history = ["1", "2", "3"]
    for _twice in range(2):
        # The others were adopted later than 3 was applied, and are below it all the same.
        assert choose_versions(history, ledger, of_run=None, to_version="2") == ["3"]
        assert choose_versions(history, ledger, of_run=None, to_version="0") == ["3", "2", "1"]
        assert choose_versions(["1", "2"], ledger[1:], of_run=None, to_version=None) == []
        assert choose_versions(["1", "2"], ledger[1:], of_run="run", to_version=None) == []
