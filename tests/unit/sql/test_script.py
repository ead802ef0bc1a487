# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQL files: decoded, split with their places, classified."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import (
    Statement,
    created_names,
    decode_sql,
    parse_script,
    position_at,
    read_sql_file,
    reason_not_transactional,
)

EXAMPLE = Path(__file__).parents[3] / "examples" / "ready_set" / "supabase"


def only_statement(sql: str) -> Statement:
    (statement,) = parse_script("f.sql", sql).statements
    return statement


@pytest.mark.parametrize(
    ("content", "where", "text"),
    [
        ("select 'é';\n-- ü".encode() + b"\xe9", "f.sql:2:5", "byte 0xE9"),
        (b"\xff\xfes\0e\0", "f.sql:1:1", "byte 0xFF"),
        ("é\n 🎉\0".encode(), "f.sql:2:3", "NUL"),
    ],
)
def test_bytes_that_do_not_mean_the_same_everywhere(content: bytes, where: str, text: str) -> None:
    with pytest.raises(SqlScriptError, match=text) as caught:
        decode_sql("f.sql", content)
    assert caught.value.where == where
    assert caught.value.next_step and "f.sql" in caught.value.next_step


def test_a_byte_order_mark_is_no_content_and_line_ends_stay() -> None:
    assert decode_sql("f.sql", b"\xef\xbb\xbfselect 1;\r\nselect 2;\r\n") == "select 1;\r\nselect 2;\r\n"


def test_a_lone_carriage_return_is_content() -> None:
    assert decode_sql("f.sql", b"select E'a\rb';") == "select E'a\rb';"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SqlScriptError, match="No such file"):
        read_sql_file(tmp_path / "none.sql")


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("selec 1", "f.sql:1:1", 'near "selec"'),
        ("-- é🎉\nselect 'é🎉', a b c;", "f.sql:2:18", 'near "c"'),
        ("create table t (a int", "f.sql:1:22", "end of input"),
        ("select 1;\nselect $x$ open", "f.sql:2:8", "unterminated dollar-quoted"),
        ("/* open", "f.sql:1:1", "unterminated /\\* comment"),
        ("select 1;\n  \\d", "f.sql:2:3", "backslash commands cannot be used"),
        ("COPY t (a) FROM STDIN WITH (FORMAT text);\n1\tfoo\n\\.", "f.sql:2:1", "write the rows as INSERT"),
    ],
)
def test_syntax_errors_have_their_place(text: str, where: str, message: str) -> None:
    with pytest.raises(SqlScriptError, match=message) as caught:
        parse_script("f.sql", text)
    assert caught.value.where == where


def test_a_finished_copy_is_not_blamed_for_a_later_error() -> None:
    with pytest.raises(SqlScriptError) as caught:
        parse_script("f.sql", "copy t from stdin;\nselect 1;\nselec 2;")
    assert "INSERT" not in caught.value.message()


def test_statements_know_their_place_text_and_record() -> None:
    text = "-- é 🎉\n;; /* a /* nested */ b */ select 'ü;';\n\n  -- why\n\tselect $$x;y$$ ; -- after\nselect 3"
    script = parse_script("f.sql", text)
    assert [str(statement.position) for statement in script.statements] == ["f.sql:2:27", "f.sql:5:2", "f.sql:6:1"]
    assert [statement.sql for statement in script.statements] == ["select 'ü;'", "select $$x;y$$", "select 3"]
    assert list(script.recorded) == [
        "-- é 🎉",
        "/* a /* nested */ b */ select 'ü;'",
        "-- why\n\tselect $$x;y$$",
        "-- after\nselect 3",
    ]
    for statement in script.statements:
        assert text[statement.offset :].startswith(statement.sql)
        assert position_at("f.sql", text, statement.offset) == statement.position


def test_the_examples_statements_are_all_there() -> None:
    for path in EXAMPLE.glob("*/*.sql"):
        text = read_sql_file(path)
        script = parse_script(str(path), text)
        end = 0
        for statement in script.statements:
            assert text.find(statement.sql, end) == statement.offset
            end = statement.offset + len(statement.sql)


@pytest.mark.parametrize(
    ("sql", "command"),
    [
        ("create index concurrently i on t (a)", "CREATE INDEX CONCURRENTLY"),
        ("create index i on t (a)", None),
        ("drop index concurrently i", "DROP INDEX CONCURRENTLY"),
        ("drop index i", None),
        ("reindex index i", None),
        ("reindex table concurrently t", "REINDEX"),
        ("reindex (concurrently) table t", "REINDEX"),
        ("reindex schema public", "REINDEX"),
        ("vacuum", "VACUUM"),
        ("vacuum (analyze) t", "VACUUM"),
        ("analyze t", None),
        ("cluster", "CLUSTER"),
        ("cluster t using i", None),
        ("alter system set work_mem = '1MB'", "ALTER SYSTEM"),
        ("create database d", "CREATE DATABASE"),
        ("drop database d", "DROP DATABASE"),
        ("alter database d set tablespace s", "ALTER DATABASE ... SET TABLESPACE"),
        ("alter database d set work_mem = '1MB'", None),
        ("create tablespace s location '/x'", "CREATE TABLESPACE"),
        ("discard all", "DISCARD ALL"),
        ("discard plans", None),
        ("create subscription s connection '' publication p", "CREATE SUBSCRIPTION"),
        ("create subscription s connection '' publication p with (create_slot = false)", None),
        ("create subscription s connection '' publication p with (connect = off)", None),
        ("alter subscription s refresh publication", "ALTER SUBSCRIPTION ... REFRESH"),
        ("alter subscription s set publication p with (refresh = false)", None),
        ("drop subscription s", "DROP SUBSCRIPTION"),
        ("alter table t detach partition p concurrently", "ALTER TABLE ... DETACH PARTITION CONCURRENTLY"),
        ("alter table t detach partition p", None),
        ("alter type mood add value 'ok'", None),
    ],
)
def test_what_postgresql_refuses_in_a_transaction(sql: str, command: str | None) -> None:
    assert reason_not_transactional(only_statement(sql)) == command


def test_names_that_a_script_creates() -> None:
    script = parse_script(
        "f.sql",
        'create table "Foo" (id int, "isActive" bool); create type mood as enum (\'a\'); create view v as select 1;\n'
        "alter table t add column c int; create function s.f() returns int return 1; create index i on t (c);\n"
        "create trigger tr before insert on t execute function s.f(); create policy p on t; create sequence sq;\n"
        "do $$ begin create table hidden (id int); end $$; drop table gone; alter table t alter column d type int;",
    )
    expected = {"Foo", "id", "isActive", "mood", "v", "c", "f", "i", "tr", "p", "sq", "hidden"}
    assert expected <= created_names(script)
    assert "gone" not in created_names(script)
