# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipt as a reviewer reads it."""

from __future__ import annotations

from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.report.receipt import receipt_tables
from ansible_collections.pgops.supabase.plugins.module_utils.report.section import Section

FILE = "/app/migrations/20260101000000_one.sql"
EMPTY: dict[str, Any] = {
    "executed": 0,
    "executed_seconds": 0.0,
    "transaction_seconds": 0.5,
    "database_bytes_before": 8_000_000,
    "database_bytes_after": 8_000_000,
    "checks": "run",
    "migrations": [],
    "statements": [],
    "not_executed": [],
    "violations": [],
    "locks": [],
    "rewritten_tables": [],
    "rows": [],
    "sequences": [],
}


def tables(*, full: bool = True, **parts: Any) -> dict[str, Section]:
    """The tables of a receipt by their titles."""
    return {table.title: table for table in receipt_tables({**EMPTY, **parts}, full=full)}


def figures(**parts: Any) -> dict[str, str]:
    """The lines of the first table."""
    return {row[0]: row[1] for row in tables(**parts)["Receipt"].rows}


def lock(mode: str, held: float | None, line: int = 1, **parts: Any) -> dict[str, Any]:
    """A lock on a table that was there before."""
    known = {"relation": "public.t", "relation_kind": "table", "new_object": False, "where": f"{FILE}:{line}:1"}
    return {**known, "mode": mode, "held_seconds": held, **parts}


def violation(**parts: Any) -> dict[str, Any]:
    """A check that is false for three rows."""
    return {
        "where": f"{FILE}:2:1",
        "statement": "alter table ...",
        "constraint": "c",
        "table": "public.t",
        "sqlstate": "23514",
        "message": "violated by some row",
        "detail": None,
        "deferred": False,
        "rows": 3,
        "counted": "for which the check is false",
        "follows": None,
        **parts,
    }


def test_what_is_not_there_is_said_too() -> None:
    assert figures() == {
        "executed": "0 of 0 statements in 0.000 s",
        "transaction": "open for 0.500 s, with the checks; rolled back",
        "violations": "none, deferred constraints included",
        "not executed": "none",
        "locks": "none that holds up readers or writers",
        "rewritten": "no table",
        "disk": "0 B more than the 8.0 MB of the database, before the end",
        "rows": "none written",
        "objects": "0 created, 0 changed, 0 dropped",
        "left behind": "nothing; no sequence moved",
    }
    assert list(tables()) == ["Receipt"]


def test_a_weaker_lock_is_shown_only_where_it_was_there_earlier() -> None:
    locks = [
        lock("RowExclusiveLock", 5.0, 1),
        lock("ShareLock", 3.0, 2),
        lock("ShareRowExclusiveLock", 1.0, 4),
        lock("AccessExclusiveLock", 2.0, 3),
        lock("RowExclusiveLock", 4.0, 1, relation="public.i", relation_kind="index"),
        lock("AccessExclusiveLock", None, relation="public.new", new_object=True, where=None),
    ]
    assert list(tables(locks=locks)["Locks"].rows) == [
        ("public.t", "ShareLock", "3.000", "20260101000000:2", "writers; readers go on"),
        ("public.t", "AccessExclusiveLock", "2.000", "20260101000000:3", "everybody, readers too"),
        ("1 more, weaker", "", "4.000", "", "DDL and VACUUM only"),
        ("1 new", "", "", "", "nobody: they are not there yet"),
    ]
    assert figures(locks=locks)["locks"] == "1 relation locked against readers or writers, for up to 3.000 s (public.t)"


def test_violations_are_shown_in_short_as_well() -> None:
    found = [
        violation(),
        violation(rows=None, counted=None, detail="Key (id)=(1) already exists.", sqlstate="23505"),
        violation(deferred=True, where=FILE, follows=f"{FILE}:1:1"),
    ]
    shown = tables(full=False, violations=found)
    assert figures(violations=found)["violations"].startswith("3 (1 of them deferred); 1 perhaps only because")
    place = "20260101000000_one.sql:2:1"
    assert list(shown["Violations"].rows) == [
        (place, "c", "public.t", "3", "for which the check is false [23514]"),
        (place, "c", "public.t", "not counted", "violated by some row [23505] Key (id)=(1) already exists."),
        (
            "20260101000000_one.sql",
            "c",
            "public.t",
            "3",
            "for which the check is false [23514] Checked at the end of the file. "
            "Perhaps only because 20260101000000_one.sql:1:1 was left out.",
        ),
    ]


def test_the_slowest_statements_of_a_file_stand_in_their_order() -> None:
    statements = [
        {"where": f"{FILE}:{line}:1", "command": f"select {line}", "seconds": line / 10, "rows": line}
        for line in range(1, 8)
    ]
    migration = {"version": "20260101000000", "name": "one", "statements": 7, "executed": 7, "duration_seconds": 3.0}
    shown = tables(statements=statements, migrations=[{**migration, "objects": []}])
    (table,) = [table for title, table in shown.items() if title.startswith("File 1 of 1: 20260101000000_one, 7 of 7")]
    assert [row[1] for row in table.rows] == ["3", "4", "5", "6", "7", ""]
    assert table.rows[-1] == ("0.300", "", "", "the other 2")
    assert "File" not in "".join(tables(full=False, statements=statements, migrations=[migration]))


def test_sequences_say_from_where_to_where() -> None:
    moved = [
        {"sequence": "public.a", "before": None, "after": 2, "by_migrations": True},
        {"sequence": "public.b", "before": 7, "after": 9, "by_migrations": False},
    ]
    assert [row[:3] for row in tables(sequences=moved)["Sequences that moved, and stay so"].rows] == [
        ("public.a", "unused", "2"),
        ("public.b", "7", "9"),
    ]
    assert figures(sequences=moved)["left behind"] == "nothing but 2 sequences that moved: public.a, public.b"


def test_names_fit_on_a_line() -> None:
    made = [
        {"change": "created", "object_type": "table", "object_name": "public." + letter * 30, "detail": ""}
        for letter in "abcd"
    ]
    migration = {
        "version": "1",
        "name": "one",
        "statements": 1,
        "executed": 1,
        "duration_seconds": 0.1,
        "objects": made,
    }
    ((_version, what, number, names),) = tables(migrations=[migration])["Objects"].rows
    assert (what, number) == ("table created", "4") and names.endswith(" and 2 more")
