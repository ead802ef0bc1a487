# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What files declare of the rows they write."""

from __future__ import annotations

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.counts.declarations import read_declarations
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import parse_script


def read(text: str) -> list[tuple[str, str, int | None, str]]:
    return [(d.schema, d.table, d.rows, d.where) for d in read_declarations(parse_script("m.sql", text))]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-- pgops: rows public.notes +2", ("public", "notes", 2)),
        ("--pgops:rows notes -12  ", ("public", "notes", -12)),
        ("--  pgops:  rows  App.Notes  any", ("app", "notes", None)),
        ('-- pgops: rows "App"."a ""b"".c" +0', ("App", 'a "b".c', 0)),
        ("-- pgops: rows public.größe +1", ("public", "größe", 1)),
    ],
)
def test_a_declaration(line: str, expected: tuple[str, str, int | None]) -> None:
    assert read(f"select 'ä';\r\n  {line}\r\nselect 1;\n") == [(*expected, "m.sql:2:3")]


def test_only_comments_count_and_a_file_may_hold_nothing_else() -> None:
    assert (
        read("select '-- pgops: rows a +1';\n/* -- pgops: rows a +1 */ do $$ begin -- pgops: rows a +1\nend $$;\n")
        == []
    )
    assert read("-- pgops: rows a +1\n-- pgops: allow drop-table it is empty\n-- pgops: rows a -1\n") == [
        ("public", "a", 1, "m.sql:1:1"),
        ("public", "a", -1, "m.sql:3:1"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "-- pgops: rows",
        "-- pgops: rows a",
        "-- pgops: rows a 2",
        "-- pgops: rows a +two",
        "-- pgops: rows a + 2",
        "-- pgops: rows a ANY thing",
        "-- pgops: row a +2",
        "-- pgops: rows a.b.c +2",
        "-- pgops: rows two words +2",
        '-- pgops: rows "a +2',
        "-- pgops: rows a +2 rows",
        "-- pgops: ROWS a +2",
    ],
)
def test_one_that_is_not_well_formed_is_an_error_with_its_place(line: str) -> None:
    with pytest.raises(SqlScriptError, match="declaration of rows cannot be read") as caught:
        read(f"select 1;\nselect 2; {line}\n")
    assert str(caught.value.where) == "m.sql:2:11"
