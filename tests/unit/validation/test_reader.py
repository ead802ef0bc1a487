# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading validation scripts: psql's commands, sections, marks, savepoints, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.validation.reader import (
    ValidationScript,
    parse_validation_script,
    read_validation_script,
)

EXAMPLE = Path(__file__).parents[3] / "examples" / "ready_set" / "supabase" / "VALIDATION_SQL.sql"


def parse(text: str) -> ValidationScript:
    return parse_validation_script("v.sql", text)


def sections(text: str) -> list[str]:
    return [statement.section for statement in parse(text).statements]


def test_formatting_commands_leave_every_position_as_it_was() -> None:
    script = parse(
        "\\pset pager off\n\\timing on \\x\n\\set ON_ERROR_STOP 1\n\\echo 'Ünï' \\\\ select 1;\n  select 'é', 2;\n"
    )
    assert [(s.statement.sql, str(s.statement.position)) for s in script.statements] == [
        ("select 1", "v.sql:4:16"),
        ("select 'é', 2", "v.sql:5:3"),
    ]
    assert script.statements[0].section == "Ünï"


def test_backslashes_in_strings_bodies_and_comments_are_not_commands() -> None:
    text = (
        "select '\\i a', E'it\\'s \\i b', \"\\i c\" from (select 1 as \"\\i c\") q; -- \\i d\n"
        "/* \\i e /* nested \\i */ \\i */ do $x$ begin raise notice '\\i %', $$\\i$$; end $x$;\n"
        "select a$b from (select 1 as a$b) \\gx\nselect $1\\g\n"
    )
    assert len(parse(text).statements) == 4


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("select 1;\n  \\i other.sql\n", "v.sql:2:3", "\\i: another file"),
        ("\\! rm -rf x\nselect 1;", "v.sql:1:1", "\\!:"),
        ("\\copy t from 'x'\nselect 1;", "v.sql:1:1", "\\copy:"),
        ("select 'drop table t' \\gexec\n", "v.sql:1:23", "\\gexec:"),
        ("\\c other\nselect 1;", "v.sql:1:1", "\\c:"),
        ("\\o /tmp/x\nselect 1;", "v.sql:1:1", "\\o:"),
        ("select 1 \\g /tmp/x\n", "v.sql:1:10", "\\g that writes"),
        ("select 1; \\g\n", "v.sql:1:11", "\\g that writes"),
        ("\\set wanted 5\nselect 1;", "v.sql:1:1", "\\set wanted"),
        ("\\echo `date`\nselect 1;", "v.sql:1:7", "shell command"),
        ("select 1 \\; select 2;", "v.sql:1:10", "\\;"),
        ("select 1;\nselct 2;\n", "v.sql:2:1", "does not parse"),
        ("select 1;\nvacuum profiles;", "v.sql:2:1", "VACUUM cannot run in a transaction"),
        ("create index concurrently i on t (a);", "v.sql:1:1", "CREATE INDEX CONCURRENTLY cannot run"),
        ("copy t to '/tmp/x';", "v.sql:1:1", "COPY moves rows"),
        ("-- pgops: stage allways\nselect 1;", "v.sql:1:1", "Unknown remark"),
        ("select 1; -- pgops: stage always\nselect 2;", "v.sql:1:11", "above no statement"),
        ("select 1;\n-- pgops: stage always\n", "v.sql:2:1", "above no statement"),
        ("-- nothing\n\\echo hello\n", "v.sql:1:1", "holds no statement"),
        ("", "v.sql:1:1", "holds no statement"),
        ("commit;", "v.sql:1:1", "no transaction was begun"),
        ("begin; select 1; begin;", "v.sql:1:18", "still open"),
        ("begin; commit and chain;", "v.sql:1:8", "never committed"),
        ("begin; prepare transaction 'x';", "v.sql:1:8", "never committed"),
        ("rollback prepared 'x';", "v.sql:1:1", "never committed"),
        ("savepoint a;", "v.sql:1:1", "no transaction was begun"),
        ("begin; savepoint a; rollback to b;", "v.sql:1:21", "there is no savepoint b"),
    ],
)
def test_what_could_do_harm_is_refused_with_its_place(text: str, where: str, what: str) -> None:
    with pytest.raises(SqlScriptError) as caught:
        parse(text)
    assert caught.value.where == where
    assert what in caught.value.what
    assert "nothing was changed" in caught.value.message() and caught.value.next_step


def test_transaction_control_becomes_savepoints() -> None:
    script = parse(
        "begin; savepoint a; savepoint b; rollback to a; release a; commit; start transaction read only; abort; select 1;"
    )
    assert [(s.savepoint.action, s.savepoint.level) for s in script.statements if s.savepoint] == [
        ("set", 0),
        ("set", 1),
        ("set", 2),
        ("roll_back_to", 1),
        ("release", 1),
        ("release", 0),
        ("set", 0),
        ("undo", 0),
    ]


def test_echo_names_the_section_by_the_first_text_of_its_block() -> None:
    text = (
        "\\echo '=========='\n\\echo '  1. Tables  '\n\\echo '=========='\n\\echo 'and what they hold'\nselect 1;\n"
        "\\echo\nselect 2;\n\\echo all about rows\n\\echo ''\n\\qecho == 2. \"Rows\" ==\nselect 3;"
    )
    assert sections(text) == ["1. Tables", "1. Tables", "2. Rows"]


def test_comments_name_sections_when_they_are_framed() -> None:
    text = (
        "-- only prose - with a dash\nselect 1;\n-- === First ===\nselect 2;\n-- --------\n-- Second\n-- --------\n"
        "-- a note\nselect 3;\n"
    )
    assert sections(text) == ["", "First", "Second"]


def test_a_statement_is_titled_by_the_comment_above_it() -> None:
    script = parse("-- rows are there\n-- really\nselect 1;\n\n-- far away\n\nselect 2;\n\\echo Part\nselect 3;")
    assert [s.title for s in script.statements] == ["rows are there", "statement at line 7", "Part"]


def test_the_mark_belongs_to_the_next_statement_only() -> None:
    text = "-- pgops: stage always\n-- named\nselect 1; select 2;\n--pgops:stage always\n\nselect 3;"
    with pytest.raises(SqlScriptError, match="Unknown remark"):
        parse(text.replace("--pgops:stage always", "--pgops: before"))
    script = parse(text.replace("--pgops:stage always", "--pgops: stage always"))
    assert [s.always for s in script.statements] == [True, False, True]
    assert script.statements[0].caption == "named"


def test_the_examples_script_is_understood() -> None:
    script = read_validation_script(EXAMPLE)
    headings = [s.section for s in script.statements]
    assert [h[:2] for h in dict.fromkeys(headings)][:3] == ["1.", "2.", "3."]
    assert sum(s.always for s in script.statements) == EXAMPLE.read_text().count("\n-- pgops: stage always\n")
