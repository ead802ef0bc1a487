# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON and trees that are deeper than the interpreter lets calls nest."""

from __future__ import annotations

import json

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.sql import nested_json
from ansible_collections.pgops.supabase.plugins.module_utils.sql.effects import relations_used
from ansible_collections.pgops.supabase.plugins.module_utils.sql.locks import entries_in_the_lock_table
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import parse_script

INNER: dict[str, object] = {
    "a": [1, -2.5, True, None, "x", [], {}],
    'b"\\:,{}[]\n\u00fc': {"c": "]}", "d": '"'},
    "": "",
}
DEPTH = 20_000


def test_what_is_deep_is_read_as_what_is_flat() -> None:
    tree = nested_json.loads('{"x":[' * DEPTH + json.dumps(INNER) + ", 7]}" * DEPTH)
    for _level in range(DEPTH):
        ((name, (tree, seven)),) = tree.items()
        assert (name, seven) == ("x", 7)
    assert tree == INNER


@pytest.mark.parametrize(
    "sql",
    [
        " union all ".join(["select id from app.t"] * 1000),
        "select id, " + " || ".join(["'a'"] * 600) + " from app.t",
        "create view v as " + " union all ".join(["select id from app.t"] * 1000),
        "select " + "(" * 500 + "id" + ")" * 500 + " from app.t",
    ],
)
def test_a_long_chain_is_read_like_any_other_statement(sql: str) -> None:
    first, last = parse_script("m.sql", f"{sql};\nselect 2").statements
    assert (first.sql, last.position.line) == (sql, 2)
    assert ("app", "t") in relations_used(first)


def test_the_keys_of_a_table_with_a_long_expression_are_counted() -> None:
    check = " || ".join(["'a'"] * 600)
    script = parse_script("m.sql", f"create table t (id int primary key, u text unique check (u <> {check}))")
    assert entries_in_the_lock_table(script) == 7
