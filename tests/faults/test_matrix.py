# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is killed, and whenever: the database is whole, what is said of it is true, and the next run makes it complete."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.faults.conftest import FIGURES
from tests.faults.figures import Figures
from tests.faults.matrix import After, Fault, Outcome, Point, Undisturbed, disturb, in_short, points, undisturbed
from tests.faults.stage import Prepared, Stage
from tests.faults.subject import SUBJECTS, Subject

FULL = os.environ.get("PGOPS_FAULTS") == "full"
WANTED = os.environ.get("PGOPS_FAULT_POINTS", "").split(",")

Recorded = tuple[Prepared, Undisturbed]


@pytest.fixture(scope="session")
def recorded(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Subject], Recorded]:
    """A subject with its undisturbed run, which each worker makes once."""
    known: dict[str, Recorded] = {}

    def record(subject: Subject) -> Recorded:
        if subject.name not in known:
            prepared = stage.prepare(subject, tmp_path_factory.mktemp(subject.name) / "supabase")
            known[subject.name] = prepared, undisturbed(prepared)
        return known[subject.name]

    return record


def chosen(subject: Subject, fault: Fault, run: Undisturbed) -> list[Point]:
    """The points to make: all, a part, or those that were asked for."""
    every = list(points(subject.name, fault, run))
    if any(WANTED):
        return [point for point in every if any(text and text in point.name for text in WANTED)]
    return every if FULL else in_short(every)


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value)
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_every_point(
    subject: Subject,
    fault: Fault,
    recorded: Callable[[Subject], Recorded],
    record_property: Callable[[str, object], None],
) -> None:
    prepared, run = recorded(subject)
    assert run.states == subject.states, "an undisturbed run does not go through the states that are documented"
    started = time.monotonic()
    outcomes = [attempt(prepared, run, point) for point in chosen(subject, fault, run)]
    if not outcomes:
        pytest.skip("no point has such a name")
    record_property(FIGURES, figures(subject, fault, outcomes, time.monotonic() - started).as_properties())
    wrong = [f"{outcome.point}\n    {outcome.wrong}" for outcome in outcomes if outcome.wrong]
    assert not wrong, (
        f"{len(wrong)} of {len(outcomes)} points; one alone: make faults POINTS='{first_words(wrong[0])}'\n"
        + "\n".join(wrong)
    )


def attempt(prepared: Prepared, run: Undisturbed, point: Point) -> Outcome:
    """One point; when it cannot be made or looked at, that is told among the others."""
    try:
        return disturb(prepared, run, point)
    except Exception as error:
        return Outcome(point.name, None, f"{type(error).__name__}: {error}")


def figures(subject: Subject, fault: Fault, outcomes: list[Outcome], seconds: float) -> Figures:
    """What became of the points, counted."""
    after = Counter(outcome.after for outcome in outcomes)
    right = sum(not outcome.wrong for outcome in outcomes)
    return Figures(
        subject.name,
        fault.value,
        len(outcomes),
        after[After.UNTOUCHED],
        after[After.IN_PART],
        after[After.COMPLETE],
        right,
        seconds,
    )


def first_words(name: str) -> str:
    """Enough of a point's name to ask for it: up to the first space."""
    return name.split(" ", maxsplit=1)[0]
