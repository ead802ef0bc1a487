# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of a whole draft beyond what names tell, and the phases that its steps are put off to. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, column_of, cut, relation_of
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.names import mentions, owner_relation
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.order import Step
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.parts import CatalogWithParts
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.whole_followers import (
    KEY_CONSTRAINTS,
    references,
    says_word,
)

_CONVERTED = re.compile(r"alter table (.+?) alter column (.+?) type ")
_GRANT = re.compile(r"(grant .+ on .+ to )([^;]+?)( with grant option)?;")


def more_dependencies(
    steps: Sequence[Step], wanted: CatalogWithParts, present: CatalogWithParts
) -> Iterator[tuple[int, int]]:
    """What names alone do not tell: a column within its table, a key behind a foreign key, an index behind a setting."""
    # Of a large schema only a few can: to look at all of them for each key takes long.
    users = [(place, step) for place, step in enumerate(steps) if _may_use_a_key(step)]
    for place, step in enumerate(steps):
        kind, name = CatalogKey.parse(step.key)
        if kind == "column":
            yield from _of_column(place, step, steps)
        elif kind == "type" and step.action == "alter" and " rename to " in step.statements[0]:
            yield from _of_enum(place, step, steps)
        elif kind in ("constraint", "index") and step.action in ("create", "drop"):
            catalog = wanted if step.action == "create" else present
            told = catalog.get(step.key)
            if told is None or not told["definition"].startswith((*KEY_CONSTRAINTS, "CREATE UNIQUE")):
                continue
            relation = owner_relation(step.key, told)
            for other, user in users:
                if other == place:
                    continue
                of_step = step.action == "create" and user.needs or step.action == "drop" and user.leaves or ""
                if user.action == step.action and any(
                    references(line, relation or "", told["definition"]) for line in of_step.splitlines()
                ):
                    yield (place, other) if step.action == "create" else (other, place)
                own = cut(name, " on ")[0] if kind == "constraint" else column_of(name)
                if (
                    step.action == "create"
                    and user.action != "drop"
                    and user.key != step.key
                    and _uses_index(user, own)
                ):
                    yield place, other


def _may_use_a_key(step: Step) -> bool:
    """Whether it speaks of a foreign key, or of an index by its name."""
    said = (step.needs, step.leaves, *step.statements)
    return any(word in text for text in said for word in (" REFERENCES ", "using index ", "cluster on "))


def _uses_index(user: Step, index: str) -> bool:
    endings = (f"using index {index}", f"cluster on {index}")
    return any(ending in statement for statement in user.statements for ending in endings)


def _of_enum(place: int, step: Step, steps: Sequence[Step]) -> Iterator[tuple[int, int]]:
    """An enum that is made again: what stops to be of it comes first, what comes to be of it later; so what stands on its columns."""
    columns = [match for text in step.statements if (match := _CONVERTED.match(text))]
    for other, user in enumerate(steps):
        if user.key == step.key or user.key.startswith("sequence "):
            continue
        on = CatalogKey.parse(user.key).on
        stops = any((on == c[1] or c[1] in user.leaves) and says_word(user.leaves, c[2]) for c in columns)
        comes = any((on == c[1] or c[1] in user.needs) and says_word(user.needs, c[2]) for c in columns)
        if user.action != "create" and (stops or mentions(f"{user.leaves}\n{user.key}", step.key)):
            yield other, place
        elif user.action != "drop" and (comes or mentions(f"{user.needs}\n{user.key}", step.key)):
            yield place, other


def _of_column(place: int, step: Step, steps: Sequence[Step]) -> Iterator[tuple[int, int]]:
    name = CatalogKey.parse(step.key).name
    relation, column = relation_of(name), column_of(name)
    for other, user in enumerate(steps):
        if user.key == step.key:
            if other != place and step.action == "create" and user.action == "alter":
                yield place, other
            continue
        if user.key.startswith("sequence ") and step.action != "create":
            # It names the column that it belongs to, and the column's default names it.
            continue
        if (
            user.key == f"table {relation}"
            and user.action == "alter"
            and any("grant " in text for text in step.statements)
        ):
            # What is revoked on a table is revoked on its columns too.
            yield other, place
        remakes = step.action != "alter" or any(f"alter column {column} type " in text for text in step.statements)
        if not remakes:
            continue
        is_on = CatalogKey.parse(user.key).on == relation
        if step.action != "drop" and user.action != "drop" and (is_on or relation in user.needs):
            if says_word(user.needs, column) and (step.action == "create" or user.action == "create"):
                yield place, other
        if step.action != "create" and user.action != "create" and (is_on or relation in user.leaves):
            if says_word(user.leaves, column):
                yield other, place


def merged(statements: Sequence[str]) -> list[str]:
    """The statements with one GRANT for all roles that are given the same."""
    done: list[str] = []
    roles: dict[tuple[str, str | None], list[str]] = {}
    places: dict[tuple[str, str | None], int] = {}
    for statement in statements:
        match = _GRANT.fullmatch(statement)
        if match is None:
            roles, places = {}, {}
            done.append(statement)
            continue
        what = (match[1], match[3])
        if what not in places:
            places[what], roles[what] = len(done), []
            done.append("")
        roles[what].append(match[2])
        done[places[what]] = f"{match[1]}{', '.join(roles[what])}{match[3] or ''};"
    return done


def in_transaction(step: Step) -> Step:
    """An index that has to wait for what is validated is made in that transaction."""
    plain = (re.sub(r"^(CREATE (?:UNIQUE )?INDEX) CONCURRENTLY ", r"\1 ", text) for text in step.statements)
    return replace(step, statements=tuple(plain))


def adds_values(step: Step) -> bool:
    """Whether the step adds values to an enum."""
    return step.action == "alter" and any(" add value " in statement for statement in step.statements)


def are_used(step: Step, steps: Sequence[Step]) -> bool:
    """Whether another step says one of the values that the step adds."""
    values = [
        match[1] for statement in step.statements if (match := re.search(r" add value ('(?:[^']|'')*')", statement))
    ]
    return any(
        value in statement for other in steps if other is not step for value in values for statement in other.statements
    )
