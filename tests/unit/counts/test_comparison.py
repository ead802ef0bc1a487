# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts judged: plain data in, verdicts out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.counts.comparison import compare_counts, parse_table_name
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import (
    RowCounts,
    RowDeclaration,
    TableCount,
)
from ansible_collections.pgops.supabase.plugins.module_utils.counts.job import read_baseline
from ansible_collections.pgops.supabase.plugins.module_utils.counts.own import OwnChanges, OwnWork

KEY = ("public", "t")


def judge(
    before: int | None,
    after: int | None,
    own: int | None = None,
    declared: int | Literal["any"] | None = None,
) -> tuple[str, str]:
    """The verdict and message on one table of that many rows."""
    comparison = compare_counts(
        [] if before is None else [TableCount(schema="public", table="t", rows=before)],
        [] if after is None else [TableCount(schema="public", table="t", rows=after)],
        own=None if own is None else OwnWork({KEY: own}),
        contract={} if declared is None else {"t": declared},
    )
    (change,) = comparison.tables
    assert comparison.verdict == change.verdict
    return change.verdict, change.message


@pytest.mark.parametrize(
    ("before", "after", "own", "declared", "verdict", "message"),
    [
        (5, 5, None, None, "PASS", "unchanged"),
        (5, 5, 0, None, "PASS", "unchanged"),
        (None, 7, None, None, "PASS", "is new with 7 rows"),
        (None, 3, None, 3, "PASS", "is new with 3 rows"),
        (None, 4, None, 3, "FAIL", "is new with 4 rows, declared: 3 rows"),
        (None, 4, None, "any", "PASS", "is new with 4 rows"),
        (5, None, None, None, "FAIL", "is gone: it held 5 rows"),
        (5, None, None, -4, "FAIL", "is gone: it held 5 rows"),
        (5, None, None, -5, "PASS", "is gone with its 5 rows, as declared"),
        (1, None, None, "any", "PASS", "is gone with its 1 row, as declared"),
        (5, 9, None, "any", "PASS", "+4 rows; any change is declared"),
        (5, 8, None, 3, "PASS", "+3 rows, declared: +3 rows"),
        (5, 8, None, None, "FAIL", "+3 rows"),
        (5, 4, None, None, "FAIL", "-1 row"),
        (5, 5, None, 3, "FAIL", "unchanged, declared: +3 rows"),
        (5, 8, 3, 3, "PASS", "+3 rows, declared: +3 rows"),
        (5, 7, 0, None, "PASS", "unchanged; other sessions: +2 rows"),
        (5, 9, 3, 3, "PASS", "+3 rows, declared: +3 rows; other sessions: +1 row"),
        (5, 7, 2, None, "FAIL", "+2 rows"),
        (5, 3, -2, None, "FAIL", "-2 rows"),
        (5, 0, 0, None, "PASS", "unchanged; other sessions: -5 rows"),
        (5, 5, -1, None, "FAIL", "-1 row; other sessions: +1 row"),
        (5, 8, 0, 3, "FAIL", "unchanged, declared: +3 rows; other sessions: +3 rows"),
        (5, 3, -4, "any", "PASS", "-4 rows; any change is declared; other sessions: +2 rows"),
        (5, None, -1, None, "FAIL", "-1 row"),
        (None, 9, 3, 3, "PASS", "is new with 9 rows"),
        (None, 9, 4, 3, "FAIL", "is new with 4 rows of the migration, declared: 3 rows"),
        (0, None, None, None, "PASS", "is gone; it was empty"),
        (None, None, None, 3, "FAIL", "is declared in the contract, but was counted neither before nor after"),
    ],
)
def test_the_verdict_on_a_table(
    before: int | None,
    after: int | None,
    own: int | None,
    declared: int | Literal["any"] | None,
    verdict: str,
    message: str,
) -> None:
    assert judge(before, after, own, declared) == (verdict, message)


@pytest.mark.parametrize(
    ("rows_after", "work", "verdict"),
    [((1, 1), {}, "PASS"), ((1, 2), {}, "PASS"), ((0, 2), {}, "PASS"), ((0, 1), {("public", "t0"): -1}, "FAIL")],
)
def test_the_worst_verdict_is_the_whole_verdict(rows_after: tuple[int, int], work: OwnChanges, verdict: str) -> None:
    def counts(*rows: int) -> list[TableCount]:
        return [TableCount(schema="public", table=f"t{number}", rows=value) for number, value in enumerate(rows)]

    assert compare_counts(counts(1, 1), counts(*rows_after), own=OwnWork(work)).verdict == verdict


@pytest.mark.parametrize("value", ["3", 1.5, True, None])
def test_a_contract_declares_numbers_or_any(value: Any) -> None:
    with pytest.raises(InputError, match="neither a number of rows nor any"):
        compare_counts([], [], contract={"t": value})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("t", ("public", "t")),
        ("app.t", ("app", "t")),
        ("public.Foo", ("public", "Foo")),
        ('public."Foo"', ("public", "Foo")),
        ('"a.b"."c""d"', ("a.b", 'c"d')),
        ("two words", ("public", "two words")),
    ],
)
def test_a_table_name_is_taken_literally(name: str, expected: tuple[str, str]) -> None:
    assert parse_table_name(name) == expected


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a.b.c", '"a', 'a"b', '""', "a..b"])
def test_what_is_no_table_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not the name of a table"):
        parse_table_name(name)


def test_a_baseline_is_a_document_or_the_path_of_one(tmp_path: Path) -> None:
    counts = RowCounts(
        taken_at="2026-01-01T00:00:00.000+00:00",
        server_version="17.10",
        tables=[TableCount(schema="public", table="t", rows=9007199254740993)],
        total=9007199254740993,
        duration_seconds=0.1,
    )
    write_json(tmp_path / "counts-before.json", counts.as_dict())
    assert read_baseline(counts.as_dict()) == counts
    assert read_baseline(str(tmp_path / "counts-before.json")) == counts


@pytest.mark.parametrize("content", [None, "not json", "[]", '{"document": "migration"}', '{"document": "row_counts"}'])
def test_anything_else_is_no_baseline(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "counts-before.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match="The baseline is not a row counts document") as caught:
        read_baseline(str(path))
    assert caught.value.where == str(path)


def table(name: str, rows: int) -> TableCount:
    return TableCount(schema="public", table=name, rows=rows)


@pytest.mark.parametrize(
    ("change", "after", "verdict", "message"),
    [
        (0, 0, "FAIL", "-5 rows"),
        (5, 5, "PASS", "unchanged"),
        (5, None, "FAIL", "is gone: it held 5 rows"),
        (2, 3, "FAIL", "-3 rows; other sessions: +1 row"),
    ],
)
def test_what_an_emptied_table_holds_counts_from_nothing(
    change: int, after: int | None, verdict: str, message: str
) -> None:
    own = OwnWork({KEY: change}, emptied=frozenset({KEY}))
    comparison = compare_counts([table("t", 5)], [] if after is None else [table("t", after)], own=own)
    assert (comparison.tables[0].verdict, comparison.tables[0].message) == (verdict, message)


def test_a_renamed_table_is_the_same_table() -> None:
    own = OwnWork({("public", "new"): 2}, renamed={KEY: ("public", "new")})
    (change,) = compare_counts([table("t", 5)], [table("new", 7)], own=own, contract={"new": 2}).tables
    assert (change.table, change.before, change.after, change.verdict) == ("new", 5, 7, "PASS")


def test_declarations_add_up_and_a_failure_says_where_they_stand() -> None:
    declared = [
        RowDeclaration(schema="public", table="t", rows=rows, where=f"m.sql:{line}:1")
        for line, rows in ((1, 2), (9, 1))
    ]
    for own, verdict, message in (
        (4, "PASS", "+4 rows, declared: +4 rows"),
        (3, "FAIL", "+3 rows, declared: +4 rows (m.sql:1:1, m.sql:9:1)"),
    ):
        comparison = compare_counts(
            [table("t", 5)], [], own=OwnWork({KEY: own}), contract={"t": 1}, declarations=declared
        )
        assert (comparison.tables[0].verdict, comparison.tables[0].message) == (verdict, message)
    anything = [*declared, RowDeclaration(schema="public", table="t", rows=None, where="m.sql:10:1")]
    assert compare_counts([table("t", 5)], [], own=OwnWork({KEY: -5}), declarations=anything).verdict == "PASS"


def test_where_nothing_is_known_of_the_work_a_table_may_grow_when_that_is_in_order() -> None:
    assert compare_counts([table("t", 5)], [table("t", 6)], may_grow=True).verdict == "PASS"
    assert compare_counts([table("t", 5)], [table("t", 4)], may_grow=True).verdict == "FAIL"
    assert compare_counts([table("t", 5)], [table("t", 6)]).verdict == "FAIL"
