# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a draft in an order in which PostgreSQL takes them. Pure."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Literal

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.names import mentions, schema_of
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.parts import Words

Action = Literal["drop", "alter", "create"]

# What is dropped first where nothing depends on the order; objects are made in the opposite order.
_DROP_ORDER = (
    "event trigger",
    "publication",
    "policy",
    "trigger",
    "rule",
    "statistics",
    "foreign key",
    "view",
    "materialized view",
    "constraint",
    "index",
    "column",
    "table",
    "foreign table",
    "aggregate",
    "operator",
    "procedure",
    "function",
    "sequence",
    "domain",
    "type",
    "collation",
    "default privileges",
    "extension",
    "schema",
)


@dataclass(frozen=True)
class Step:
    """What is done to one object of a catalog, by its key."""

    action: Action
    key: str
    statements: tuple[str, ...]
    # What it stops to depend on, and what it comes to depend on.
    leaves: str = ""
    needs: str = ""
    # Why nobody should run it without having looked: what would be lost.
    destroys: str = ""
    # Which of the draft's files it stands in, where there are several.
    phase: int = 0


def ordered(steps: list[Step], more: Iterable[tuple[int, int]] = ()) -> Iterator[Step]:
    """The steps so that nothing is dropped while something depends on it, and nothing is made before what it needs.

    :param more: places of steps of which the first has to come before the second, beside what :func:`dependencies` finds.
    """
    waits_for: dict[int, set[int]] = {number: set() for number in range(len(steps))}
    for first, second in [*dependencies(steps), *more]:
        waits_for[second].add(first)
    group, sorter = _groups(waits_for)
    members: dict[int, list[Step]] = defaultdict(list)
    for number, step in enumerate(steps):
        members[group[number]].append(step)
    ready: list[tuple[bool, tuple[int, int, str], int]] = []
    while sorter.is_active():
        for first in sorter.get_ready():
            # What is in a circle comes when nothing else can.
            heapq.heappush(ready, (len(members[first]) > 1, min(map(_rank, members[first])), first))
        *_place, first = heapq.heappop(ready)
        yield from _together(sorted(members[first], key=_rank))
        sorter.done(first)


def _groups(waits_for: Mapping[int, set[int]]) -> tuple[Mapping[int, int], TopologicalSorter[int]]:
    """For each step the number of its group, which is itself but for circles, and the groups in a sorter.

    Steps that wait for each other in a circle, as to drop two tables that reference each other, are one group.
    """
    group = {number: number for number in waits_for}
    while True:
        sorter: TopologicalSorter[int] = TopologicalSorter({number: () for number in group.values()})
        for number, others in waits_for.items():
            sorter.add(group[number], *({group[other] for other in others} - {group[number]}))
        try:
            sorter.prepare()
        except CycleError as error:
            circle = set(error.args[1])
            group = {number: min(circle) if own in circle else own for number, own in group.items()}
        else:
            return group, sorter


def _together(steps: list[Step]) -> Iterator[Step]:
    """The steps of one group; tables that reference each other are dropped by one statement."""
    tables = [step for step in steps if _drops_a_table(step)]
    if len(tables) > 1:
        names = ", ".join(CatalogKey.parse(step.key).name for step in tables)
        yield replace(tables[0], statements=(f"drop table {names};",))
        yield from (replace(step, statements=()) for step in tables[1:])
    yield from (step for step in steps if len(tables) < 2 or not _drops_a_table(step))


def _drops_a_table(step: Step) -> bool:
    return step.action == "drop" and CatalogKey.parse(step.key).kind == "table"


def dependencies(steps: list[Step]) -> Iterator[tuple[int, int]]:
    """Places of steps of which the first has to come before the second, because of what they leave and need."""
    users = _Users(steps)
    for target, step in enumerate(steps):
        for other in users.that_may_depend_on(step):
            user = steps[other]
            if other == target:
                continue
            if step.key == user.key and (step.action, user.action) in (("drop", "create"), ("create", "alter")):
                yield target, other
            elif step.action == "drop" and user.action in ("drop", "alter") and _depends(user, user.leaves, step):
                yield other, target
            elif step.action == "create" and user.action in ("create", "alter") and _depends(user, user.needs, step):
                yield target, other


class _Users:
    """Steps by the words that they say, so that not each has to be compared with every other."""

    def __init__(self, steps: list[Step]) -> None:
        self._words = Words(f"{step.leaves}\n{step.needs}" for step in steps)
        self._in_schema: dict[str | None, set[int]] = defaultdict(set)
        self._of_key: dict[str, set[int]] = defaultdict(set)
        for number, step in enumerate(steps):
            self._in_schema[schema_of(step.key)].add(number)
            self._of_key[step.key].add(number)

    def that_may_depend_on(self, step: Step) -> set[int]:
        """All that do, and others: a mention of a name holds every word of it as a word."""
        kind, name = CatalogKey.parse(step.key)
        if kind == "schema":
            return self._in_schema.get(name, set()) | self._of_key[step.key]
        return self._words.that_may_mention(step.key) | self._of_key[step.key]


def _depends(user: Step, text: str, step: Step) -> bool:
    if CatalogKey.parse(step.key).kind == "schema":
        return schema_of(user.key) == CatalogKey.parse(step.key).name
    return mentions(text, step.key)


def _rank(step: Step) -> tuple[int, int, str]:
    object_type = CatalogKey.parse(step.key).kind
    if object_type == "constraint" and (step.leaves + step.needs).find("FOREIGN KEY") >= 0:
        object_type = "foreign key"
    place = _DROP_ORDER.index(object_type)
    order: dict[Action, tuple[int, int]] = {
        "drop": (0, place),
        "alter": (1, place),
        "create": (2, len(_DROP_ORDER) - place),
    }
    return (*order[step.action], step.key)
