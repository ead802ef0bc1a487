# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file's own transactions become: left out, kept as parts, or refused with their place."""

from __future__ import annotations

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.sql.runnable import (
    RunnableScript,
    alone_or_apart,
    runnable,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import parse_script


def found(sql: str, *, outside_transaction: bool = True) -> RunnableScript:
    return runnable(parse_script("f.sql", sql), outside_transaction=outside_transaction)


@pytest.mark.parametrize(
    ("sql", "kept"),
    [
        ("begin; select 1; commit;", 1),
        ("START TRANSACTION;\nselect 1;\nselect 2;\nEND;", 2),
        ("-- x\nBEGIN WORK;\nselect 1;\nCOMMIT WORK; -- y", 1),
        ("begin; commit;", 0),
        ("select 1; do $$ begin null; end $$;", 2),
        ("create function f() returns int begin atomic select 1; end;", 1),
        ("set lock_timeout = '2s'; begin; select 1; commit; notify pgrst, 'reload schema';", 3),
        ("select set_config('search_path', '', false); begin; select 1; commit; reset all; -- end", 3),
        ("", 0),
    ],
)
def test_an_outer_transaction_is_left_out(sql: str, kept: int) -> None:
    script = found(sql, outside_transaction=False)
    assert len(script.statements) == kept
    assert not any(statement.is_transaction_control for statement in script.statements)
    assert not script.outside_transaction and not script.parts and not alone_or_apart(script)


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        ("select 1; commit; select 2; select 3;", [(["select 1"], "begin"), (["select 2", "select 3"], "begin")]),
        ("begin; select 1; commit; begin; select 2; commit;", [(["select 1"], "begin"), (["select 2"], "begin")]),
        ("select 1; commit;", [(["select 1"], "begin")]),
        ("begin; select 1; end; select 2;", [(["select 1"], "begin"), (["select 2"], "begin")]),
        (
            "BEGIN ISOLATION LEVEL SERIALIZABLE; select 1; commit;",
            [(["select 1"], "BEGIN ISOLATION LEVEL SERIALIZABLE")],
        ),
        (
            "select 1; vacuum; select 2; begin; select 3; commit; commit;",
            [(["select 1"], "begin"), (["vacuum"], "begin"), (["select 2"], "begin"), (["select 3"], "begin")],
        ),
    ],
)
def test_transactions_of_a_files_own_are_parts(sql: str, parts: list[tuple[list[str], str]]) -> None:
    script = found(sql)
    assert script.outside_transaction
    texts = [statement.sql for statement in script.statements]
    assert [(texts[part.first : part.end], part.begin) for part in script.parts] == parts
    assert [place for part in script.parts for place in range(part.first, part.end)] == list(range(len(texts)))
    assert len(alone_or_apart(script)) == len(parts)
    with pytest.raises(SqlScriptError, match="middle of a file|of its own kind"):
        found(sql, outside_transaction=False)


@pytest.mark.parametrize(
    ("sql", "where", "text"),
    [
        ("begin; select 1;", "f.sql:1:1", "left open"),
        ("select 1; commit; begin; select 1;", "f.sql:1:19", "left open"),
        ("begin; savepoint a; commit;", "f.sql:1:8", "SAVEPOINT A"),
        ("rollback to a;", "f.sql:1:1", "ROLLBACK TO A"),
        ("begin; select 1; rollback;", "f.sql:1:18", "ROLLBACK"),
        ("select 1;\nrollback;", "f.sql:2:1", "ROLLBACK"),
        ("begin; select 1; prepare transaction 'x';", "f.sql:1:18", "PREPARE TRANSACTION"),
        ("commit prepared 'x';", "f.sql:1:1", "COMMIT PREPARED"),
        ("begin; begin; commit;", "f.sql:1:8", "BEGIN"),
        ("begin; select 1; commit and chain;", "f.sql:1:18", "COMMIT AND CHAIN"),
        ("begin; create index concurrently i on t (a); commit; select 1;", "f.sql:1:8", "file's own BEGIN"),
        ("select 1; copy t from stdin;", "f.sql:1:11", "inline data"),
    ],
)
def test_what_would_lose_what_was_done_is_refused(sql: str, where: str, text: str) -> None:
    with pytest.raises(SqlScriptError, match=text) as caught:
        found(sql)
    assert caught.value.where == where
    assert caught.value.next_step
