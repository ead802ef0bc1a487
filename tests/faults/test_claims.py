# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge of what failed runs say, judged: a lie about the database has to be found."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.claims import untrue
from tests.faults.states import State

ROLLED_BACK = "the transaction was rolled back: catalog and data are as they were before"


def database(*versions: str, finished: int = 0, clients: int = 3) -> State:
    """A database with these versions in its history."""
    log = tuple(("3", position, "", "finished") for position in range(finished))
    return State({}, {"public.clients": (clients, None)}, tuple((version, "", ()) for version in versions), (), log)


def failure(
    state: str, *, changed: bool = False, code: str = "connection", outcome: str | None = None
) -> dict[str, Any]:
    """What a failed run reports."""
    error = {"code": code, "what": "It failed", "outcome": outcome, "state": state, "next_step": "Run again."}
    return {"failed": True, "changed": changed, "msg": "It failed", "error": error}


@pytest.mark.parametrize(
    ("result", "found"),
    [
        (failure("nothing was changed", outcome="unchanged"), database("1")),
        (failure(ROLLED_BACK), database("1")),
        (failure(f"{ROLLED_BACK}; committed before and still there: 2", changed=True), database("1", "2")),
        (failure("committed, but not read back: 2, 3", changed=True, code="verification"), database("1", "2", "3")),
        (failure("not known: transaction 7 is either committed as a whole or not at all"), database("1", "2")),
        (
            failure("the 1 statement before it in the file is done and stays; nothing after it was run"),
            database("1", finished=2),
        ),
        ({"changed": True, "migration": {}}, database("1", "2")),
    ],
)
def test_the_truth_passes(result: dict[str, Any], found: State) -> None:
    assert not list(untrue(result, database("1"), found))


@pytest.mark.parametrize(
    ("result", "found"),
    [
        (failure("nothing was changed"), database("1", "2")),
        (failure("not known", outcome="unchanged"), database("1", "2")),
        (failure("not known", outcome="committed"), database("1")),
        (failure(ROLLED_BACK), database("1", clients=4)),
        (failure(f"{ROLLED_BACK}; committed before and still there: 2", changed=True), database("1")),
        (failure(f"{ROLLED_BACK}; committed before and still there: 2", changed=True), database("1", "2", "3")),
        (failure("committed, but not read back: 2, 3", changed=True), database("1", "2")),
        (failure("not known; committed before and still there: 2"), database("1")),
        (
            failure("the 1 statement before it in the file is done and stays; nothing after it was run"),
            database("1", finished=3),
        ),
        (failure("all is well"), database("1")),
        (failure(ROLLED_BACK, changed=True), database("1")),
        (failure(ROLLED_BACK, code="statement"), database("1")),
        ({"failed": True, "msg": "Traceback"}, database("1")),
    ],
)
def test_a_lie_is_found(result: dict[str, Any], found: State) -> None:
    assert list(untrue(result, database("1"), found))
