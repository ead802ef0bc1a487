# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions as PostgreSQL writes them, in one form: it writes some otherwise once it has read its own writing. Pure.

A dump and its restore are such a reading, so without this a restored schema would differ from the one that was dumped:

- C(x BETWEEN 1 AND 2 AND y) is written C(((x >= 1) AND (x <= 2)) AND y), read again and written C((x >= 1) AND (x <= 2) AND y);
- C(status IN ('a', 'b')) of a varchar is written C((ARRAY['a'::character varying ...])::text[]), read again and written with
  the cast on each element.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_OPENING = {"(": ")", "[": "]"}
# Strings, quoted identifiers, and what is neither a bracket nor a quote.
_TOKEN = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|[()\[\]]|[^()\[\]'"]+?(?=[eE]?'|["()\[\]]|$)""",
    re.DOTALL,
)
_CONNECTIVE = re.compile(r"\s(AND|OR)\s")
_ARRAY_CAST = re.compile(r"^::((?:[\w. ]|\"(?:[^\"]|\"\")*\")+)$")


@dataclass
class _Group:
    """A bracket with what is in it."""

    bracket: str
    items: list[_Group | str] = field(default_factory=list)

    def text(self) -> str:
        return self.bracket + _text(self.items) + _OPENING[self.bracket]


def canonical_expression(text: str) -> str:
    """The text with nested ANDs and ORs made flat, and casts of arrays on their elements.

    What is not balanced is returned as it is: it is no expression of PostgreSQL's.
    """
    if "AND" not in text and " OR " not in text and "ARRAY[" not in text:
        return text
    root = _parse(text)
    return text if root is None else _text(_canonical(root.items))


def _parse(text: str) -> _Group | None:
    stack = [_Group("(")]
    for token in _TOKEN.findall(text):
        if token in _OPENING:
            group = _Group(token)
            stack[-1].items.append(group)
            stack.append(group)
        elif token in _OPENING.values():
            if len(stack) == 1 or _OPENING[stack[-1].bracket] != token:
                return None
            stack.pop()
        else:
            stack[-1].items.append(token)
    # A token that was not recognised would be lost.
    return stack[0] if len(stack) == 1 and _text(stack[0].items) == text else None


def _text(items: list[_Group | str]) -> str:
    return "".join(item if isinstance(item, str) else item.text() for item in items)


def _canonical(items: list[_Group | str]) -> list[_Group | str]:
    done: list[_Group | str] = []
    for item in items:
        if isinstance(item, _Group):
            inner = _Group(item.bracket, _canonical(item.items))
            done.append(_flat(inner) if inner.bracket == "(" else inner)
        else:
            done.append(item)
    return _casts_on_elements(done)


def _flat(group: _Group) -> _Group:
    """A group of one connective, with the groups of the same one in it dissolved."""
    connective, operands = _operands(group)
    if connective is None:
        return group
    flat: list[list[_Group | str]] = []
    for operand in operands:
        inner = operand[0] if len(operand) == 1 and isinstance(operand[0], _Group) else None
        inner_connective, inner_operands = _operands(inner) if inner and inner.bracket == "(" else (None, [])
        flat += inner_operands if inner_connective == connective else [operand]
    items: list[_Group | str] = []
    for number, operand in enumerate(flat):
        items += [f" {connective} ", *operand] if number else operand
    return _Group("(", items)


def _operands(group: _Group) -> tuple[str | None, list[list[_Group | str]]]:
    """What one connective joins in a group; none when there is none or both."""
    operands: list[list[_Group | str]] = [[]]
    connectives: set[str] = set()
    for item in group.items:
        if isinstance(item, _Group) or item[0] in "'\"eE" and item[-1] in "'\"":
            operands[-1].append(item)
            continue
        parts = _CONNECTIVE.split(item)
        if parts[0]:
            operands[-1].append(parts[0])
        for connective, rest in zip(parts[1::2], parts[2::2]):
            connectives.add(connective)
            operands.append([rest] if rest else [])
    return (connectives.pop(), operands) if len(connectives) == 1 else (None, [])


def _casts_on_elements(items: list[_Group | str]) -> list[_Group | str]:
    """C((ARRAY[a, b])::t[]) as C(ARRAY[(a)::t, (b)::t])."""
    done: list[_Group | str] = []
    place = 0
    while place < len(items):
        elements, cast, after = _elements(items[place]), *_cast_after(items, place + 1)
        if elements is None or cast is None:
            done.append(items[place])
            place += 1
            continue
        cast_elements: list[_Group | str] = []
        for number, element in enumerate(elements):
            cast_elements += [", "] if number else []
            cast_elements += [_Group("(", element), f"::{cast}"]
        done += ["ARRAY", _Group("[", cast_elements)]
        place = after
    return done


def _cast_after(items: list[_Group | str], place: int) -> tuple[str | None, int]:
    """The type in C(::type[]) at a place, and the place after it; a quoted name of a type is an item of its own."""
    written = ""
    for number in range(place, len(items)):
        item = items[number]
        if isinstance(item, _Group):
            match = _ARRAY_CAST.match(written) if item.text() == "[]" else None
            return (match[1], number + 1) if match else (None, place)
        written += item
    return None, place


def _elements(item: _Group | str) -> list[list[_Group | str]] | None:
    """The elements of an array in brackets of its own, None for anything else."""
    if not isinstance(item, _Group) or item.bracket != "(" or len(item.items) != 2 or item.items[0] != "ARRAY":
        return None
    array = item.items[1]
    if not isinstance(array, _Group) or array.bracket != "[":
        return None
    elements: list[list[_Group | str]] = [[]]
    for part in array.items:
        if isinstance(part, str) and part[0] not in "'\"":
            first, *others = part.split(",")
            elements[-1] += [first] if first else []
            elements += [[other.lstrip()] if other.strip() else [] for other in others]
        else:
            elements[-1].append(part)
    return elements
