# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which migrations a rollback takes back, and what catalog it has to return to."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import RollbackError
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import Event, LedgerEvent
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.choice import (
    choose_versions,
    expected_fingerprint,
)


def ledger(*events: tuple[Event, str, str | None], **details: Any) -> list[LedgerEvent]:
    """A ledger of events, each given as event, version and run."""
    return [
        LedgerEvent(number, f"2026-01-01T00:00:{number:02d}Z", event, version, "name", "hash", run, "op", details)
        for number, (event, version, run) in enumerate(events, 1)
    ]


def choose(
    history: list[str], events: list[LedgerEvent], of_run: str | None = None, to_version: str | None = None
) -> list[str]:
    """The decision two times: it is pure."""
    first = choose_versions(history, events, of_run=of_run, to_version=to_version)
    assert choose_versions(history, events, of_run=of_run, to_version=to_version) == first
    return first


TWO_RUNS = ledger(("applied", "9", "a"), ("applied", "10", "b"), ("applied", "11", "b"))


def test_the_last_run_is_taken_back_newest_first_by_number() -> None:
    assert choose(["10", "11", "9"], TWO_RUNS) == ["11", "10"]
    assert choose(["10", "9"], ledger(("applied", "9", "a"), ("applied", "10", "a"))) == ["10", "9"]


def test_asking_twice_reaches_no_further_back() -> None:
    taken_back = [*TWO_RUNS, *ledger(("rolled_back", "11", "c"), ("rolled_back", "10", "c"))]
    assert choose(["9"], taken_back) == []


def test_failures_in_between_do_not_matter() -> None:
    assert choose(["9", "10", "11"], [*TWO_RUNS, *ledger(("failed", "12", "c"))]) == ["11", "10"]


def test_nothing_was_ever_applied() -> None:
    assert choose([], []) == []
    assert choose(["1", "2"], []) == []


def test_without_a_run_it_is_the_last_batch() -> None:
    events = [
        *ledger(("applied", "1", None), batch=["1"]),
        *ledger(("applied", "2", None), ("applied", "3", None), batch=["2", "3"]),
    ]
    assert choose(["1", "2", "3"], events) == ["3", "2"]


def test_a_named_run() -> None:
    assert choose(["9", "10", "11"], TWO_RUNS, of_run="b") == ["11", "10"]


def test_a_named_run_that_was_taken_back_is_nothing_to_do() -> None:
    events = [*TWO_RUNS, *ledger(("rolled_back", "11", "c"), ("rolled_back", "10", "c"))]
    assert choose(["9"], events, of_run="b") == []


def test_an_unknown_run_is_an_error_and_not_nothing_to_do() -> None:
    with pytest.raises(RollbackError, match="knows no run z"):
        choose(["9", "10", "11"], TWO_RUNS, of_run="z")


def test_down_to_a_version() -> None:
    assert choose(["10", "11"], TWO_RUNS, to_version="10") == ["11"]
    assert choose(["10", "11"], TWO_RUNS, to_version="11") == []
    assert choose(["9", "10", "11"], TWO_RUNS, to_version="0") == ["11", "10", "9"]


@pytest.mark.parametrize("version", ["1", "12", "", "latest"])
def test_down_to_a_version_that_is_not_applied_is_an_error(version: str) -> None:
    with pytest.raises(RollbackError, match="is not applied") as caught:
        choose(["9", "10", "11"], TWO_RUNS, to_version=version)
    assert "9, 10, 11" in str(caught.value)


def test_later_migrations_on_top_are_named() -> None:
    with pytest.raises(RollbackError, match="on top: 10, 11"):
        choose(["9", "10", "11"], TWO_RUNS, of_run="a")


def test_a_later_migration_of_another_tool_is_on_top_too() -> None:
    with pytest.raises(RollbackError, match="on top: 12"):
        choose(["9", "10", "11", "12"], TWO_RUNS)


def test_the_catalog_to_return_to_is_from_before_the_oldest_of_its_batch() -> None:
    events = ledger(("applied", "2", "b"), ("applied", "3", "b"), batch=["2", "3"], catalog_before="f00")
    assert expected_fingerprint(["3", "2"], events) == "f00"


def test_the_catalog_in_the_middle_of_a_batch_is_not_known() -> None:
    events = ledger(("applied", "2", "b"), ("applied", "3", "b"), batch=["2", "3"], catalog_before="f00")
    assert expected_fingerprint(["3"], events) is None


def test_the_catalog_in_the_middle_of_a_batch_is_known_where_it_was_read() -> None:
    events = ledger(("applied", "2", "b"), ("applied", "3", "b"), batch=["2", "3"], catalog_before_file="f01")
    assert expected_fingerprint(["3"], events) == "f01"


def test_the_catalog_before_another_tools_migration_is_not_known() -> None:
    assert expected_fingerprint(["3"], []) is None
    assert expected_fingerprint([], TWO_RUNS) is None
    assert expected_fingerprint(["9"], ledger(("applied", "9", "a"), batch=["9"])) is None


def test_what_was_applied_out_of_order_is_taken_back_alone() -> None:
    events = ledger(("applied", "10", "a"), ("applied", "12", "a"), ("applied", "11", "b"))
    assert choose(["10", "11", "12"], events) == ["11"]
    with pytest.raises(RollbackError, match="on top: 11"):
        choose(["10", "11", "12"], events, of_run="a")
    assert choose(["10", "11", "12"], events, to_version="10") == ["11", "12"]
