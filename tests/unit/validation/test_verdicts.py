# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts: words, names, missing objects, values, and the decision."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.validation.documents import Check, Stage, Verdict
from ansible_collections.pgops.supabase.plugins.module_utils.validation.verdicts import (
    failing_checks,
    message_of_row,
    missing_names,
    name_of_cell,
    overall_verdict,
    plain_value,
    text_of_notice,
    verdict_cells,
    verdict_of,
)


def check(verdict: Verdict, *, always: bool = False) -> Check:
    return Check(name="n", verdict=verdict, message="m", where="v.sql:1:1", section="", source="cell", always=always)


@pytest.mark.parametrize(
    ("text", "verdict", "rest"),
    [
        ("PASS", "PASS", ""),
        ("✓ PASS: all is well", "PASS", "all is well"),
        ("✅ PASSED", "PASS", ""),
        ("❌  FAIL - 3 rows", "FAIL", "3 rows"),
        ("✗ FAILED (x)", "FAIL", "(x)"),
        ("FAILURE", "FAIL", ""),
        ("⚠️ WARNING: slow", "WARNING", "slow"),
        ("[WARN] slow", "WARNING", "slow"),
        ("ℹ️ SKIP", "SKIP", ""),
        ("  * SKIPPED, no rows", "SKIP", "no rows"),
        ("[x] FAIL a", "FAIL", "a"),
        ("1. PASS", "PASS", ""),
        ("① PASS", "PASS", ""),
        ("12:00:01 FAIL", "FAIL", ""),
        ("\x1b[31m✗ FAIL\x1b[0m", "FAIL", ""),
        ("(FAIL)", "FAIL", ""),
        ('{"FAIL a"}', "FAIL", "a"),
        ("FAIL\nline two", "FAIL", "line two"),
        ("pass", "PASS", ""),
        ("Fail", "FAIL", ""),
        ("failed: 3 rows", "FAIL", "3 rows"),
        ("Skipped (no rows)", "SKIP", "(no rows)"),
        ("❌ fail - three rows", "FAIL", "three rows"),
        ("• warning", "WARNING", ""),
        ("[fail] rows are missing", "FAIL", "rows are missing"),
        ("[FAIL] rows are missing", "FAIL", "rows are missing"),
        ("Status: FAIL", "FAIL", ""),
        ("Status: ❌ FAIL 3 rows", "FAIL", "3 rows"),
        ("result: PASS", "PASS", ""),
        ("Check 3: PASS", "PASS", "Check 3"),
        ("✅ RLS is on: passed", "PASS", "RLS is on"),
        ("Test 2: Status: failed", "FAIL", "Test 2"),
        ("ERROR: no such table", "FAIL", "no such table"),
        ("❌ Error - three orphans", "FAIL", "three orphans"),
        ("ERROR", "FAIL", ""),
    ],
)
def test_a_text_that_begins_with_a_verdict(text: str, verdict: Verdict, rest: str) -> None:
    found = verdict_of(text)
    assert found is not None
    assert (found[0], found[1].removesuffix("\x1b[0m")) == (verdict, rest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "✓",
        "Pass the token on",
        "fail-safe is on",
        "Warning lights work",
        "Error messages are kept",
        "ERROR LOG",
        "We fail: never",
        "It did not fail",
        "the checks passed",
        "Legend: FAIL = rows are missing",
        "Note: failed logins are kept",
        "Failed: 0",
        "Result: 0 failed",
        "http://skip/it",
        "PASSENGERS",
        "FAILOVER",
        "FAIL_COUNT",
        "3",
        "0 FAILED",
        "12 PASS",
        "äFAIL",
    ],
)
def test_a_text_that_does_not(text: str) -> None:
    assert verdict_of(text) is None


def test_every_cell_and_every_element_of_an_array_counts() -> None:
    found = verdict_cells(["a", "PASS", None, 3, ["PASS x", "✗ FAIL y"], "WARNING"])
    assert [(index, verdict) for index, verdict, _rest in found] == [
        (1, "PASS"),
        (4, "PASS"),
        (4, "FAIL"),
        (5, "WARNING"),
    ]


@pytest.mark.parametrize(
    ("columns", "row", "index", "rest", "name"),
    [
        (["section", "check_name", "status"], ["1", "orphans", "PASS"], 2, "", "orphans"),
        (["status", "table_name", "n"], ["FAIL", "profiles", "5"], 0, "", "profiles"),
        (["n", "status", "about"], ["5", "FAIL", "old rows"], 1, "", "old rows"),
        (["audit_table_exists"], ["✓ PASS"], 0, "", "audit_table_exists"),
        (["?column?"], ["PASS: rows are there"], 0, "rows are there", "rows are there"),
        (["case"], ["PASS"], 0, "", "title"),
        (["check"], ["PASS: one"], 0, "one", "one"),
        (["name", "rls", "policies"], ["profiles", "PASS", "FAIL"], 2, "", "profiles: policies"),
    ],
)
def test_a_check_has_the_best_name_there_is(
    columns: list[str], row: list[Any], index: int, rest: str, name: str
) -> None:
    assert name_of_cell(columns, row, index, rest, "title") == name


def test_a_row_reads_as_one_line() -> None:
    assert message_of_row(["result"], ["FAIL: x"], 0, "x", "title") == "x"
    assert message_of_row(["a", "b"], ["FAIL", None], 0, "", "title") == "b: null"
    assert message_of_row(["check", "b", "n"], ["rows", "PASS: all", 2], 1, "all", "rows") == "all, n: 2"


@pytest.mark.parametrize(
    ("notice", "text"),
    [
        ("NOTICE:  ✓ PASS: x\n", "✓ PASS: x"),
        ("HINWEIS:  FAIL\nDETAIL:  d\n", "FAIL\nDETAIL:  d"),
        ("ПРЕДУПРЕЖДЕНИЕ:  FAIL\n", "FAIL"),
        ("no severity", "no severity"),
    ],
)
def test_a_notice_loses_its_severity_in_any_language(notice: str, text: str) -> None:
    assert text_of_notice(notice) == text


@pytest.mark.parametrize(
    ("state", "message", "sql", "marker", "names"),
    [
        ("42P01", 'relation "public.a" does not exist', "select * from public.a", "public", {"a"}),
        ("42P01", "la relation « a » n'existe pas", 'select * from public . "userAudits" u', "public", {"userAudits"}),
        ("42703", "column p.deletedBy does not exist", 'select p."deletedBy" from p', "p.", {"deletedBy"}),
        ("42703", "column deletedby does not exist", "select deletedBy from p", "deletedBy", {"deletedby"}),
        ("42883", "function x.f(unknown) does not exist", "select x.f('a')", "x.f", {"f"}),
        ("3F000", 'schema "x" does not exist', "select x.f('a')", "x.f", {"x"}),
        ("42P01", 'relation "public.a" does not exist', "select 'public.a'::regclass", "'public", {"a"}),
        ("42601", 'syntax error at or near "a"', "a", "a", set()),
        ("42P01", 'relation "b" does not exist', "select * from type", "type", {"type"}),
    ],
)
def test_what_is_missing_is_read_where_the_error_points(
    state: str, message: str, sql: str, marker: str, names: set[str]
) -> None:
    assert missing_names(state, message, sql, sql.index(marker)) == names


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ('trigger "trg_audit" for table "profiles" does not exist', "trg_audit"),
        ("le trigger « trg_audit » de la table « profiles » n'existe pas", "trg_audit"),
        ("Trigger »trg_audit« für Tabelle »profiles« existiert nicht", "trg_audit"),
        ("function public.trg_audit(integer) does not exist", "trg_audit"),
        ('relation "public.trg_audit" does not exist', "trg_audit"),
    ],
)
def test_without_a_place_the_message_is_read_in_any_language(message: str, name: str) -> None:
    assert name in missing_names("42704", message, "drop trigger", None)


@pytest.mark.parametrize(
    ("text", "oid", "value"),
    [
        (None, 25, None),
        ("t", 16, True),
        ("9007199254740993", 20, 9007199254740993),
        ("9007199254740993", 1700, 9007199254740993),
        ("3.00", 1700, 3),
        ("0.1", 1700, 0.1),
        ("0.1000000000000000055", 1700, "0.1000000000000000055"),
        ("NaN", 1700, "NaN"),
        ("Infinity", 701, "Infinity"),
        ('{"a": [9007199254740993, 0.5]}', 3802, {"a": [9007199254740993, 0.5]}),
        ("infinity", 1184, "infinity"),
        ("12345-01-01", 1082, "12345-01-01"),
    ],
)
def test_values_are_exact(text: str | None, oid: int, value: object) -> None:
    found = plain_value(text, oid)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("checks", "stage", "strict", "verdict"),
    [
        ([check("PASS"), check("SKIP")], "after", False, "PASS"),
        ([check("PASS"), check("FAIL")], "after", False, "FAIL"),
        ([check("PASS"), check("FAIL")], "dry_run", False, "FAIL"),
        ([check("PASS"), check("FAIL")], "before", False, "WARNING"),
        ([check("PASS"), check("FAIL", always=True)], "before", False, "FAIL"),
        ([check("PASS"), check("WARNING")], "after", False, "WARNING"),
        ([check("PASS"), check("WARNING")], "after", True, "FAIL"),
        ([check("PASS"), check("WARNING")], "before", True, "WARNING"),
        ([check("WARNING", always=True)], "before", True, "FAIL"),
        ([check("SKIP")], "after", False, "SKIP"),
        ([], "after", False, "SKIP"),
    ],
)
def test_many_checks_are_one_verdict(checks: list[Check], stage: Stage, strict: bool, verdict: Verdict) -> None:
    assert overall_verdict(checks, stage, strict) == verdict
    assert bool(failing_checks(checks, stage, strict)) == (verdict == "FAIL")
