# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of running a script needs no server: whether it may run, and how often it is tried."""

from __future__ import annotations

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    ConnectionFailed,
    SqlScriptError,
    StatementFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import with_retries
from ansible_collections.pgops.supabase.plugins.module_utils.sql.runnable import runnable
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import parse_script


class Attempts:
    """Something that fails with these errors, one after the other, and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.made = 0

    def __call__(self) -> int:
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.made


def failure(sqlstate: str) -> StatementFailed:
    return StatementFailed("failed", details={"sqlstate": sqlstate})


def test_a_script_without_its_own_transaction_is_runnable() -> None:
    script = parse_script("f.sql", "begin; select 1; alter type t add value 'x'; commit;")
    found = runnable(script)
    assert found.script is script
    assert [statement.sql for statement in found.statements] == ["select 1", "alter type t add value 'x'"]


@pytest.mark.parametrize("command", ["vacuum", "create index concurrently i on t (a)", "alter system reset all"])
def test_what_could_not_be_undone_is_refused_with_its_place(command: str) -> None:
    with pytest.raises(SqlScriptError, match="cannot run in a transaction") as caught:
        runnable(parse_script("f.sql", f"begin;\n/* é */ {command};\ncommit;"))
    assert caught.value.where == "f.sql:2:9"
    assert caught.value.state == "nothing was changed"


@pytest.mark.parametrize("sqlstate", ["55P03", "40P01"])
def test_locks_and_deadlocks_are_tried_again(sqlstate: str) -> None:
    attempts = Attempts(failure(sqlstate), failure(sqlstate))
    assert with_retries(attempts, retries=2, base_delay_seconds=0) == 3


def test_the_last_attempt_says_how_many_there_were() -> None:
    attempts = Attempts(*[failure("55P03") for _number in range(9)])
    with pytest.raises(StatementFailed) as caught:
        with_retries(attempts, retries=2, base_delay_seconds=0)
    assert attempts.made == 3
    assert caught.value.details["attempts"] == 3


@pytest.mark.parametrize("error", [failure("42P01"), failure("57014"), ConnectionFailed("lost")])
def test_what_waiting_does_not_cure_is_not_tried_again(error: Exception) -> None:
    attempts = Attempts(error)
    with pytest.raises(type(error)):
        with_retries(attempts, retries=5, base_delay_seconds=0)
    assert attempts.made == 1


def test_without_retries_there_is_one_attempt() -> None:
    attempts = Attempts(failure("55P03"))
    with pytest.raises(StatementFailed):
        with_retries(attempts, retries=0)
    assert attempts.made == 1
