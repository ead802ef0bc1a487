# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The migrations directory: discovered, ordered, hashed, paired."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import MigrationFileError, SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import (
    discover,
    left_out,
    read_script,
    recorded_statements,
)


def migrations(directory: Path, *names: str) -> Path:
    """A project directory with these files in migrations/."""
    (directory / "migrations").mkdir(parents=True)
    for name in names:
        (directory / "migrations" / name).write_text("select 1;\n")
    return directory


def refused(directory: Path) -> MigrationFileError:
    with pytest.raises(MigrationFileError) as caught:
        discover(directory)
    assert caught.value.state == "nothing was changed"
    assert caught.value.next_step
    return caught.value


def test_files_in_order_with_hash_and_rollback(tmp_path: Path) -> None:
    migrations(tmp_path, "20260102_b_c.sql", "20260101_a.sql", "20260103_.sql", "notes.md", ".hidden.sql", "x.sql~")
    (tmp_path / "rollbacks").mkdir()
    (tmp_path / "rollbacks" / "20260102_b_c.sql").write_text("select 2;")
    found = discover(tmp_path)
    assert [(file.version, file.name, file.label) for file in found] == [
        ("20260101", "a", "20260101_a"),
        ("20260102", "b_c", "20260102_b_c"),
        ("20260103", "", "20260103_"),
    ]
    assert {file.sha256 for file in found} == {hashlib.sha256(b"select 1;\n").hexdigest()}
    assert [file.rollback for file in found] == [None, tmp_path / "rollbacks" / "20260102_b_c.sql", None]


def test_no_directory_and_no_files(tmp_path: Path) -> None:
    assert refused(tmp_path / "none").where == str(tmp_path / "none" / "migrations")
    assert "no migrations directory" in refused(tmp_path / "none").what
    migrations(tmp_path, "README.md")
    assert "holds no migration" in refused(tmp_path).what and "README.md" in refused(tmp_path).what


@pytest.mark.parametrize("name", ["add.sql", "20260101.sql", "2026-01_a.sql", "v1_a.sql", "_a.sql", "٢٠٢٦_a.sql"])
def test_names_that_are_no_migrations_are_left_out_and_named(tmp_path: Path, name: str) -> None:
    migrations(tmp_path, "20260101_a.sql", name, ".DS_Store")
    (tmp_path / "migrations" / "old").mkdir()
    assert [file.label for file in discover(tmp_path)] == ["20260101_a"]
    assert left_out(tmp_path) == sorted([name, "old"])


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["1_a.sql", "1_b.sql"], "Two files have the version 1: 1_a.sql and 1_b.sql"),
        (["01_a.sql", "1_b.sql", "01_c.sql"], "Two files have the version 01: 01_a.sql and 01_c.sql"),
    ],
)
def test_one_version_of_two_files(tmp_path: Path, names: list[str], text: str) -> None:
    assert text in refused(migrations(tmp_path, *names)).what


@pytest.mark.parametrize(
    "versions", [["10", "9"], ["01", "1"], ["0012", "20240101", "20240101000000", "3"], ["20260101000000", "20260102"]]
)
def test_the_order_is_that_of_the_text_as_in_supabase(tmp_path: Path, versions: list[str]) -> None:
    migrations(tmp_path, *(f"{version}_a.sql" for version in reversed(versions)))
    assert [file.version for file in discover(tmp_path)] == versions


def test_the_clis_own_first_file_is_left_out_as_by_the_cli(tmp_path: Path) -> None:
    migrations(tmp_path, "20210101000000_init.sql", "20210102000000_init.sql", "20220101000000_a.sql")
    assert [file.version for file in discover(tmp_path)] == ["20210102000000", "20220101000000"]
    assert left_out(tmp_path) == ["20210101000000_init.sql"]


@pytest.mark.parametrize("first", ["20211209000000_init.sql", "001_init.sql", "20210101000000_start.sql"])
def test_another_first_file_is_a_migration(tmp_path: Path, first: str) -> None:
    migrations(tmp_path, first, "20220101000000_a.sql")
    assert len(discover(tmp_path)) == 2 and left_out(tmp_path) == []


def test_all_that_is_wrong_with_names_and_files_is_said_at_once(tmp_path: Path) -> None:
    migrations(tmp_path, "1_a.sql", "1_b.sql", "9_c.sql", "9_d.sql")
    os.mkfifo(tmp_path / "migrations" / "11_pipe.sql")
    error = refused(tmp_path)
    for text in (
        "3 problems",
        "Two files have the version 1",
        "Two files have the version 9",
        "11_pipe.sql is not a file",
    ):
        assert text in error.what
    assert len(error.details["problems"]) == 3


def test_the_hash_does_not_depend_on_the_checkout(tmp_path: Path) -> None:
    migrations(tmp_path, "1_a.sql")
    hashes = set()
    for content in (b"select 1;\nselect 2;\n", b"select 1;\r\nselect 2;\r\n", b"\xef\xbb\xbfselect 1;\nselect 2;\n"):
        (tmp_path / "migrations" / "1_a.sql").write_bytes(content)
        hashes |= {discover(tmp_path)[0].sha256, read_script(tmp_path / "migrations" / "1_a.sql").sha256}
    assert hashes == {hashlib.sha256(b"select 1;\nselect 2;\n").hexdigest()}


def test_lengths_may_differ_where_the_order_is_the_same(tmp_path: Path) -> None:
    found = discover(migrations(tmp_path, "20260101_a.sql", "20260101000000_b.sql", "2026010100000001_c.sql"))
    assert [file.name for file in found] == ["a", "b", "c"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    migrations(tmp_path)
    os.mkfifo(tmp_path / "migrations" / "1_pipe.sql")
    assert "1_pipe.sql is not a file" in refused(tmp_path).what


def test_a_file_without_a_statement(tmp_path: Path) -> None:
    file = tmp_path / "1_a.sql"
    file.write_text("-- nothing\n;;\n")
    assert read_script(file).statements == ()
    file.write_text("selec")
    with pytest.raises(SqlScriptError, match="does not parse"):
        read_script(file)


def test_recorded_statements_are_the_same_however_they_were_split() -> None:
    whole = recorded_statements(["-- a\ncreate table t (id int); -- b\n\nselect 'x;y';\n"])
    assert whole == ("create table t (id int)", "select 'x;y'")
    assert recorded_statements(["-- a\ncreate table t (id int)", "-- b\n\nselect 'x;y'", "-- end"]) == whole
    assert recorded_statements(["create table t (id bigint)", "select 'x;y'"]) != whole
    assert recorded_statements(["selec"]) is None
    assert recorded_statements([]) == ()
