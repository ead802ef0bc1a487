# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults, the points at which they are made, and what has to be true after each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import psycopg2

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    connect,
    execute,
    fetch_value,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.faults.claims import untrue
from tests.faults.proxy import OPENING, Moment, Phase, Question, Then
from tests.faults.stage import Prepared, wait_for, wait_until_alone
from tests.faults.states import State
from tests.integration.live import LiveProject

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


class Fault(Enum):
    """What goes wrong."""

    KILL = "kill"  # SIGKILL for the process that applies
    TERMINATE = "terminate"  # the server ends the session
    STOP = "stop"  # the whole server stops at once, and is down until the run has ended
    CUT = "cut"  # the connection is reset on both sides


# What changes nothing; a fault there can only show what the run says of it.
_READS = re.compile(
    r"(select|with|savepoint|release|rollback to|set local|set transaction|reset session) ", re.IGNORECASE
)
# The inner questions of reading a catalog, of which each is like the other.
_CATALOG_BEGINS, _CATALOG_ENDS = "savepoint pgops_catalog", "release savepoint pgops_catalog"
# What holds up a statement while it runs: a lock that another session has on the table.
_HELD_UP: Sequence[tuple[re.Pattern[str], str]] = tuple(
    (re.compile(pattern), f"lock table {table} in {mode} mode nowait")
    for pattern, table, mode in (
        (r"alter table public\.orders|create index concurrently|create index orders", "public.orders", "row exclusive"),
        (r"update (public\.)?orders", "public.orders", "share"),
        (r"vacuum orders", "public.orders", "share update exclusive"),
        (r"create table public\.invoices|insert into public\.invoices", "public.clients", "share update exclusive"),
        (r"create table public\.invoices", "public.clients", "share row exclusive"),
        (r"(alter table|create policy \w+ on) public\.invoices", "public.invoices", "access share"),
        (r"drop index concurrently|update settings", "public.settings", "share"),
        (r"insert into supabase_migrations", "supabase_migrations.schema_migrations", "share"),
        (r"insert into pgops\.ledger", "pgops.ledger", "share"),
        (r"(insert into|delete from) pgops\.statement_log", "pgops.statement_log", "share"),
    )
)


@dataclass(frozen=True)
class Asked:
    """One question of the undisturbed run: what is committed before and after it, and what can hold it up."""

    question: Question
    before: State
    after: State
    held_up_by: str | None

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return _READS.match(self.question.words + " ") is not None


@dataclass(frozen=True)
class Undisturbed:
    """The run that nothing happens to."""

    start: State
    end: State
    asked: Sequence[Asked]

    @property
    def states(self) -> int:
        """Through how many committed states it goes."""
        return 1 + sum(bool(asked.before.difference(asked.after)) for asked in self.asked)


@dataclass(frozen=True)
class Point:
    """One fault at one place of a run."""

    subject: str
    fault: Fault
    phase: Phase
    asked: Asked

    @property
    def name(self) -> str:
        """Its name: what it interrupts, and how."""
        question = self.asked.question
        return f"{self.subject}/{self.fault.value}/{question.number:03}-{self.phase.value} {question.words}"


class After(Enum):
    """What a fault left."""

    UNTOUCHED = "untouched"
    IN_PART = "in part"
    COMPLETE = "complete"


@dataclass(frozen=True)
class Outcome:
    """What became of a point; ``wrong`` is empty when everything is as it has to be."""

    point: str
    after: After | None
    wrong: str


def undisturbed(prepared: Prepared) -> Undisturbed:
    """Apply once without a fault, and note each question with what is committed around it."""
    with prepared.database() as project:
        start = current = prepared.state(project)
        asked: list[Asked] = []
        held_up_by: str | None = None

        def note(moment: Moment) -> Then | None:
            nonlocal current, held_up_by
            if moment.phase is Phase.BEFORE:
                held_up_by = _what_holds_up(project, moment.question)
            elif moment.phase is Phase.UNANSWERED:
                before = current
                one = Asked(moment.question, before, before, held_up_by)
                if not moment.in_transaction and not one.reads:
                    current = prepared.state(project)
                asked.append(Asked(moment.question, before, current, held_up_by))
            return None

        ended = prepared.apply(project, note)
        assert ended.result is not None and ended.result.get("changed") and not ended.result.get("failed"), ended
        end = prepared.state(project)
        assert not end.difference(current), "something was committed where nobody looked"
        return Undisturbed(start, end, asked)


def points(subject: str, fault: Fault, run: Undisturbed) -> Iterator[Point]:
    """Every point of a run at which this fault is made.

    Before, while and after whatever may change something. What only reads gets one fault each, in turn, but after the last COMMIT
    all of them; of reading a catalog, a series of like questions, the first and the last.
    """
    in_catalog = False
    ended = max(asked.question.number for asked in run.asked if asked.question.words.lower() == "commit")
    for asked in run.asked:
        words, number = asked.question.words, asked.question.number
        inner, in_catalog = in_catalog and words != _CATALOG_ENDS, words == _CATALOG_BEGINS or (
            in_catalog and words != _CATALOG_ENDS
        )
        if inner:
            continue
        if asked.reads and number > ended:
            # What is looked at after the last COMMIT: the next run may not take it for nothing, whatever the fault is.
            for phase in (Phase.BEFORE, Phase.UNANSWERED):
                if (fault, words, phase) != (Fault.TERMINATE, OPENING, Phase.BEFORE):
                    yield Point(subject, fault, phase, asked)
            continue
        if asked.reads:
            faults = list(Fault)
            if fault is faults[number % len(faults)]:
                yield Point(subject, fault, Phase.UNANSWERED if number // len(faults) % 2 else Phase.BEFORE, asked)
            continue
        for phase in Phase:
            if phase is Phase.INSIDE and asked.held_up_by is None and words.lower() != "commit":
                continue
            if fault is Fault.TERMINATE and words == OPENING and phase is Phase.BEFORE:
                # There is no session yet that could be ended.
                continue
            yield Point(subject, fault, phase, asked)


def in_short(chosen: Sequence[Point]) -> list[Point]:
    """A part of the points: around each COMMIT, between history and ledger, and of the rest some of each kind."""
    kept = [
        point
        for point in chosen
        if point.asked.before.difference(point.asked.after) and point.phase is not Phase.INSIDE
    ]
    rest = [point for point in chosen if point not in kept]
    # What comes after the last COMMIT; of it another place with each fault.
    after = [point for point in rest if kept and point.asked.question.number > kept[-1].asked.question.number]
    rest = [point for point in rest if point not in after]
    records = [point for point in rest if "pgops.ledger (" in point.asked.question.sql and point.phase is Phase.BEFORE]
    inside = [point for point in rest if point.phase is Phase.INSIDE]
    others = [point for point in rest if point not in records and point not in inside]
    return [
        *kept[-4:],
        *(after[list(Fault).index(after[0].fault) :: len(Fault)][:1] if after else ()),
        *records[:1],
        *inside[:: max(1, len(inside) // 2)][:2],
        *others[:: max(1, len(others) // 2)][:2],
    ]


def disturb(prepared: Prepared, run: Undisturbed, point: Point) -> Outcome:
    """Make the fault, look at what it left, run again, and look whether all is as if nothing had happened."""
    with prepared.database() as project:
        fault = _Disturbance(prepared, project, point)
        try:
            ended = prepared.apply(project, fault)
        finally:
            fault.release()
        prepared.stage.start_again()
        wait_until_alone(project)
        found = prepared.state(project)
        after = _after(run, found)
        wrong = fault.failure or "; ".join(_wrong_after_the_fault(run, point, ended.killed, ended.result, found))
        again = prepared.apply(project)
        if not wrong:
            wrong = "; ".join(_wrong_after_the_next_run(run, again.result, found, prepared.state(project)))
        return Outcome(point.name, after, wrong)


def _after(run: Undisturbed, found: State) -> After:
    if not found.difference(run.end):
        return After.COMPLETE
    return After.IN_PART if found.difference(run.start) else After.UNTOUCHED


def _wrong_after_the_fault(
    run: Undisturbed, point: Point, killed: bool, result: dict[str, Any] | None, found: State
) -> Iterator[str]:
    before, after = point.asked.before, point.asked.after
    allowed = {Phase.BEFORE: [before], Phase.INSIDE: [before, after], Phase.UNANSWERED: [after]}[point.phase]
    if (point.fault is Fault.KILL) is not killed:
        yield f"the run was {'' if killed else 'not '}killed"
    if result is not None and not result.get("failed"):
        allowed = [run.end]
    if all(state.difference(found) for state in allowed) and not _is_cut_short(before, found):
        yield f"the fault left neither of what it may leave: {' // '.join(state.difference(found) for state in allowed)}"
    if result is not None:
        yield from untrue(result, run.start, found)


def _is_cut_short(before: State, found: State) -> bool:
    """Whether the difference is what a statement outside a transaction leaves: an index, with a log that knows of it."""
    differs = {key for key in {*before.catalog, *found.catalog} if before.catalog.get(key) != found.catalog.get(key)}
    same = (before.rows, before.history, before.ledger, before.log) == (
        found.rows,
        found.history,
        found.ledger,
        found.log,
    )
    return same and found.begun == 1 and all(key.startswith("index ") for key in differs)


def _wrong_after_the_next_run(
    run: Undisturbed, result: dict[str, Any] | None, found: State, again: State
) -> Iterator[str]:
    if result is None or result.get("failed"):
        yield f"the next run failed: {result and result['msg']}"
    elif result["changed"] is not bool(found.difference(run.end)):
        yield f"the next run says changed: {result['changed']}"
    if difference := run.end.difference(again):
        yield f"after the next run it is not as if nothing had happened: {difference}"


def _what_holds_up(project: LiveProject, question: Question) -> str | None:
    for pattern, lock in _HELD_UP:
        if pattern.match(question.words):
            with session(project.superuser_options) as connection:
                try:
                    execute(connection, lock)
                except (psycopg2.errors.LockNotAvailable, psycopg2.errors.UndefinedTable):
                    # The run itself has it, or made it and has not committed.
                    continue
            return lock
    return None


class _Disturbance:
    """Makes one fault when its moment has come. It is called by the proxy, in another thread."""

    def __init__(self, prepared: Prepared, project: LiveProject, point: Point) -> None:
        self.failure = "the run never came there"
        self._prepared = prepared
        self._project = project
        self._point = point
        self._holder: PgConnection | None = None

    def __call__(self, moment: Moment) -> Then | None:
        if moment.question.number != self._point.asked.question.number:
            return None
        try:
            return self._make(moment)
        except BaseException as error:
            self.failure = f"the fault could not be made: {error!r}"
            raise

    def release(self) -> None:
        """Hold up nobody any more."""
        if self._holder is not None:
            self._holder.close()

    def _make(self, moment: Moment) -> Then | None:
        asked, point = self._point.asked, self._point
        if moment.question.words != asked.question.words:
            raise AssertionError(f"the run asks something else here: {moment.question.words}")
        if point.phase is Phase.INSIDE and moment.phase is Phase.BEFORE and asked.held_up_by is not None:
            self._holder = connect(self._project.superuser_options)
            execute(self._holder, asked.held_up_by)
        if moment.phase is not point.phase:
            return None
        if self._holder is not None:
            self._wait_until_held_up(moment.pid)
        self.failure = ""
        then = self._fault(moment)
        # What the run does next, the failure it records, must not wait for it.
        self.release()
        return then

    def _fault(self, moment: Moment) -> Then:
        match self._point.fault:
            case Fault.KILL:
                self._prepared.stage.applier.kill()
            case Fault.TERMINATE:
                with session(self._project.server.connection(user=SUPERUSER), autocommit=True) as connection:
                    ended = fetch_value(connection, "select pg_terminate_backend(%s, 10000)", [moment.pid])
                    assert ended, "the session did not end"
                return Then.LET_THE_SERVER_SPEAK
            case Fault.STOP:
                self._prepared.stage.stop_at_once()
                return Then.LET_THE_SERVER_SPEAK
        return Then.CUT

    def _wait_until_held_up(self, pid: int | None) -> None:
        waits = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
        with session(self._project.server.connection(user=SUPERUSER), autocommit=True) as connection:
            wait_for(lambda: fetch_value(connection, waits, [pid]) is True, "the server does not wait")
