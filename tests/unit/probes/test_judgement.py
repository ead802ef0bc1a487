# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an answer is worth: percentiles, the schema that is read anew, expectations, and the comparison with before."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.probes.documents import ProbeResult
from ansible_collections.pgops.supabase.plugins.module_utils.probes.judgement import (
    RELOADING_CODES,
    beside_baseline,
    limit_of,
    percentile,
    problem_of,
    reloading,
)
from ansible_collections.pgops.supabase.plugins.module_utils.probes.request import Answer


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(seconds=0.01, status=status, body=text, headers={k.replace("_", "-"): v for k, v in headers.items()})


def result(name: str = "users", **how: Any) -> ProbeResult:
    return ProbeResult(
        **{"name": name, "method": "GET", "url": "https://api/users", "writes": False, "verdict": "PASS", **how}
    )


def samples(seed: int) -> Iterator[list[float]]:
    """Lists of any length, with equal values among them."""
    numbers = random.Random(seed)
    for length in range(1, 60):
        yield [numbers.choice((0.0, 1.5, numbers.expovariate(3))) for _number in range(length)]


@pytest.mark.parametrize("seed", range(5))
def test_a_percentile_is_one_of_the_values_and_so_many_do_not_exceed_it(seed: int) -> None:
    for values in samples(seed):
        found = [percentile(values, percent) for percent in (1, 50, 95, 100)]
        assert found == sorted(found) and set(found) <= set(values)
        assert found[-1] == max(values) and percentile(values, 0) == min(values)
        for percent, one in zip((1, 50, 95, 100), found, strict=True):
            assert sum(value <= one for value in values) >= percent / 100 * len(values)
            # It is the smallest that does.
            assert sum(value < one for value in values) < percent / 100 * len(values)
        assert percentile(values[::-1], 95) == percentile(values, 95)


def test_one_slow_answer_of_twenty_is_no_percentile_and_two_are() -> None:
    assert percentile([0.01] * 19 + [9.0], 95) == 0.01
    assert percentile([0.01] * 18 + [9.0] * 2, 95) == 9.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 95)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (0.002, 0.005, "PASS"),
        (0.002, 0.099, "PASS"),
        (0.002, 0.1, "FAIL"),
        (0.2, 0.399, "PASS"),
        (0.2, 0.4, "FAIL"),
        (0.2, 0.01, "PASS"),
    ],
)
def test_twice_the_baseline_is_too_slow_above_the_floor(before: float, after: float, verdict: str) -> None:
    compared = beside_baseline(result(p95_seconds=after), {"users": result(p95_seconds=before)})
    assert compared.verdict == verdict
    assert compared.limit_seconds == limit_of(before) and ("percentile" in compared.message) == (verdict == "FAIL")


@pytest.mark.parametrize("code", sorted(RELOADING_CODES))
def test_a_schema_that_is_read_anew_is_waited_for(code: str) -> None:
    assert reloading(answer(404, {"code": code, "message": "..."})) == 1.0


@pytest.mark.parametrize(
    ("said", "pause"),
    [
        (answer(503, {}, retry_after="3"), 3.0),
        (answer(503, {}, retry_after="100000"), 10.0),
        (answer(503, {}, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), 1.0),
        (answer(503, b"<html>"), None),
        (answer(500, {"code": "XX000"}), None),
        (answer(404, {"code": "PGRST116"}), None),
        (answer(404, {"code": ["PGRST204"]}), None),
        (answer(404, ["PGRST204"]), None),
        (answer(200, [{"code": "PGRST204"}]), None),
        (Answer(seconds=1, reached="no_answer", why="refused"), None),
    ],
)
def test_only_what_says_so_is_waited_for(said: Answer, pause: float | None) -> None:
    assert reloading(said) == pause


USERS = [{"id": 1, "email": "somebody@example.com"}, {"id": 2, "email": "else@example.com"}]


@pytest.mark.parametrize(
    ("said", "status", "expect", "problem"),
    [
        (answer(200, USERS), [], "length(@) == `2`", ""),
        (answer(200, USERS), [], "[0].id == `1` && [1].id == `2`", ""),
        (answer(201, USERS), [200], None, "it answered 201; expected 200"),
        (answer(404, {}), [200, 404], None, ""),
        (answer(200, USERS), [], "length(@) == `5`", "length(@) == `5` is not true of its answer"),
        # Something is not yet true.
        (answer(200, USERS), [], "[0].email", "[0].email is not true of its answer"),
        (answer(200, USERS), [], "abs([0].email)", "cannot be asked of its answer"),
        (answer(200, b"<html>somebody@example.com"), [], "a", "not JSON"),
        (answer(204, b""), [], "a", "not JSON"),
        (answer(204, b""), [], None, ""),
        (answer(500, {"code": "XX000", "message": "somebody@example.com"}), [], None, "it answered 500 (XX000)"),
        (answer(400, {"code": "somebody@example.com"}), [], None, "it answered 400; expected 2xx"),
        (
            answer(302, b"", location="https://evil.example/?key=S3CR3T"),
            [],
            None,
            "a redirect to https://evil.example,",
        ),
        (answer(302, b"", location="/login?key=S3CR3T"), [], None, "another path of the same host"),
        (Answer(seconds=1, status=200, body=b"[]", too_large=True), [], None, "larger than 1024 KiB"),
    ],
)
def test_what_is_wrong_is_said_without_what_was_answered(
    said: Answer, status: list[int], expect: str | None, problem: str
) -> None:
    found = problem_of(said, status, expect)
    assert (problem in found) if problem else not found
    assert "example.com" not in found and "S3CR3T" not in found


DOWN = {"verdict": "FAIL", "message": "refused", "reached": "no_answer"}


@pytest.mark.parametrize(
    ("after", "before", "verdict"),
    [
        (DOWN, {"users": result()}, "FAIL"),
        (DOWN, {"users": result(**DOWN)}, "WARNING"),
        # Nobody asked it before: its neighbour on the same host tells whether anybody was there.
        (DOWN, {"other": result("other")}, "FAIL"),
        (DOWN, {"other": result("other", url="https://elsewhere/")}, "SKIP"),
        (DOWN, {"other": result("other", **DOWN)}, "SKIP"),
        (DOWN, {}, "SKIP"),
        ({**DOWN, "reached": "not_asked"}, {"users": result()}, "SKIP"),
        ({"verdict": "FAIL", "message": "it answered 500"}, {"users": result()}, "FAIL"),
        ({"verdict": "FAIL", "message": "it answered 500"}, {}, "FAIL"),
        ({"verdict": "FAIL", "message": "it answered 500"}, {"users": result(verdict="FAIL")}, "WARNING"),
        ({"p95_seconds": 5.0, "writes": True}, {"users": result(p95_seconds=0.1)}, "PASS"),
        ({"p95_seconds": 5.0}, {}, "PASS"),
    ],
)
def test_the_migration_is_blamed_for_what_was_right_before(
    after: dict[str, Any], before: dict[str, ProbeResult], verdict: str
) -> None:
    assert beside_baseline(result(**after), before).verdict == verdict
