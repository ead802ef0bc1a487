# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements as they are shown: recognizable, short, and without what stands in strings and comments."""

from __future__ import annotations

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import parse_script
from ansible_collections.pgops.supabase.plugins.module_utils.sql.shown import shown


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select vault.create_secret('hunter2', 'name')", "select vault.create_secret('...', '...')"),
        ("alter role x\n  password 'hunter2'", "alter role x password '...'"),
        ("insert into t values (1, E'hunter\\'2', U&'hunter2')", "insert into t values (..., '...', '...')"),
        ("select B'101', X'1F', 'a'\n'hunter2'", "select '...', '...', '...'"),
        ("do $q$ begin perform 'hunter2'; end $q$", "do '...'"),
        ("create function f() returns int language sql as $$ select 'hunter2' $$",
         "create function f() returns int language sql as '...'"),
        ("select 1 -- hunter2\n, /* hunter2 */ 2", "select ... , ..."),
        ("update t1 set pin = 4711, rate = -1.5e3 where id = $1", "update t1 set pin = ..., rate = -... where id = $1"),
        ('select "\u00fc\u00fc", \'hunter2\' as "a""b"', 'select "\u00fc\u00fc", \'...\' as "a""b"'),
        ("create table t (" + ", ".join(f"column_{n} int" for n in range(9)) + ")",
         "create table t (column_0 int, column_1 int, column_2 int, column_3 int, colum..."),
    ],
)  # fmt: skip
def test_what_is_shown_of_a_statement(sql: str, expected: str) -> None:
    (statement,) = parse_script("m.sql", sql).statements
    assert shown(statement.sql) == expected
    assert len(expected) <= 80
