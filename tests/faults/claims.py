# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what a failed run says of the database is true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.faults.states import State

_AS_BEFORE = re.compile(r"nothing (more )?was changed|rolled back|rolls the transaction back by itself")
_KEPT = re.compile(r"; committed before and still there: ([\d, ]+)$")
_NOT_READ_BACK = re.compile(r"committed, but not read back: ([\d, ]+)$")
_STATEMENTS = re.compile(
    r"the (\d+) statements? before it in the file (?:is|are) done and stays?; nothing after it was run"
)
_WITHOUT_RECORD = "the file may be applied without a record of it; running again finds out"
# What was lost is the connection, whatever the statement was; after COMMIT it is the looking that failed.
_CODES = frozenset({"connection", "verification", "not_seen"})


def untrue(result: dict[str, Any], start: State, found: State) -> Iterator[str]:
    """What a run says that the database does not bear out; pure."""
    if not result.get("failed"):
        return
    error = result.get("error")
    if not error or not error.get("next_step"):
        yield f"the failure does not say what to do: {result['msg']}"
        return
    if error["code"] not in _CODES:
        yield f"a lost connection is reported as {error['code']}: {error['what']}"
    state = error["state"]
    committed = found.versions - start.versions
    outcome = error.get("outcome")
    if outcome == "unchanged" and start.difference(found):
        yield f"to programs it says unchanged: {start.difference(found)}"
    if outcome == "committed" and not committed:
        yield "to programs it says committed, and nothing is"
    if result.get("changed") and not committed:
        yield f"it says changed, and nothing is committed: {state}"
    if kept := _KEPT.search(state):
        state = state[: kept.start()]
    said = _versions(kept)
    if "not known" in state:
        if not said <= committed:
            yield f"it says that {sorted(said)} is committed: {sorted(committed)}"
    elif not_read_back := _NOT_READ_BACK.search(state):
        if _versions(not_read_back) != committed:
            yield f"it says that {not_read_back[1]} is committed: {sorted(committed)}"
    elif statements := _STATEMENTS.search(state):
        # The one that was interrupted may be finished; nobody says that it is not.
        if found.finished - int(statements[1]) not in (0, 1) or said != committed:
            yield f"it says '{state}', and {found.finished} are finished; committed is {sorted(committed)}"
    elif _WITHOUT_RECORD in state:
        if not said <= committed:
            yield f"it says that {sorted(said)} is committed: {sorted(committed)}"
    elif _AS_BEFORE.search(state):
        if said != committed or (not said and start.difference(found)):
            yield f"it says '{error['state']}', and committed is {sorted(committed)}: {start.difference(found)}"
    else:
        yield f"nobody knows what this means: {state}"


def _versions(match: re.Match[str] | None) -> frozenset[str]:
    return frozenset(match[1].replace(" ", "").split(",")) if match else frozenset()
