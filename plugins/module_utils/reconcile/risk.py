# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a difference of two schemas risks, and why, in one sentence. Pure.

The risk is the worst of what the difference does while it stays, and of what bringing the target to the source would do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.documents import RISKS, Direction, Impact, Risk

Rated = tuple[Risk, str]


@dataclass(frozen=True)
class Compared:
    """One object on both sides; None where it is not there.

    :param attributes: the names of what differs; empty for an object of one side.
    :param holds_rows: whether values are stored in it; in the column of a view none are.
    """

    kind: str
    direction: Direction
    source: Mapping[str, Any] | None
    target: Mapping[str, Any] | None
    attributes: Sequence[str]
    impact: Impact | None
    names: tuple[str, str]
    holds_rows: bool = True


# PostgreSQL reads and plans by these, or stores by them; no statement has another result.
_COSMETIC = frozenset(
    {
        "comment",
        "position",
        "statistics target",
        "statistics targets",
        "storage",
        "compression",
        "toast options",
        "clustered on",
        "access method",
        "tablespace",
        "cache",
        "cost",
    }
)
_SECURITY = {
    "privileges": "Who may read or write it is not the same on {0} and {1}.",
    "owner": "Who owns it may do everything with it, and row level security does not hold for them.",
    "row security": "Where row level security is off, everybody with a grant sees and writes every row.",
    "row security forced": "The table's owner is held by its policies on one side only.",
}
_SECURITY_KINDS = {
    "policy": "It decides which rows who may see and write, and it is not the same on {0} and {1}.",
    "default privileges": "Objects that are made later are open to other roles on {0} than on {1}.",
}
_MISSING = {
    "schema": "What is in it cannot be reached on {1}.",
    "extension": "Functions and types of it are missing on {1}.",
    "index": "Queries that use it on {0} read the whole table on {1}.",
    "constraint": "Rows that break it can be written on {1} only.",
    "trigger": "What it does with each write on {0} is not done on {1}.",
    "rule": "What it does with each statement on {0} is not done on {1}.",
    "function": "Who calls it fails on {1}.",
    "publication": "Who listens to it gets nothing on {1}.",
    "event trigger": "What it does with each DDL statement on {0} is not done on {1}.",
    "cron job": "What it does at its times on {0} nobody does on {1}.",
    "statistics": "The planner knows less of the table on {1}.",
}
_CHANGED = {
    "default": "New rows get another value on {0} than on {1}.",
    "not null": "Rows without a value can be written on one side only.",
    "definition": "The same call or write has another result on {0} than on {1}.",
    "enabled": "It is at work on one side only.",
    "valid": "The planner does not use an INVALID index; on one side queries read the whole table.",
    "validated": "Older rows may break it on the side where it is not validated.",
    "labels": "A value that is written on one side is refused on the other.",
    "tables": "Changes of a table are published on one side only.",
    "version": "The extension behaves as its release does, which is another one on each side.",
    "schedule": "The job runs at other times on {0} than on {1}.",
    "command": "The job does something else on {0} than on {1}.",
    "active": "The job runs on one side only.",
}


def rate(compared: Compared) -> Rated:
    """The risk of one object that differs, and the reason for it: of several the worst."""
    return min(_risks(compared), key=lambda rated: RISKS.index(rated[0]))


def _risks(compared: Compared) -> Iterator[Rated]:
    yield from (found for rule in _RULES for found in rule(compared))
    yield from _by_availability(compared)


def _by_availability(compared: Compared) -> Iterator[Rated]:
    """What is left: a difference that is none in what a statement does, and else one that may break who relies on it."""
    present, absent = _with_and_without(compared)
    if compared.direction != "differs":
        held = str((compared.source or compared.target or {}).get("definition", ""))
        if compared.kind == "index" and held.startswith("CREATE UNIQUE INDEX"):
            yield "availability", f"A key that is unique on {present} can be written twice on {absent}."
        risk: Risk = "cosmetic" if compared.kind == "statistics" else "availability"
        yield risk, _MISSING.get(compared.kind, "What uses it on {0} fails on {1}.").format(present, absent)
        return
    rest = [name for name in compared.attributes if name not in _COSMETIC]
    if rest:
        told = next(
            (_CHANGED[name] for name in rest if name in _CHANGED), "It does not behave the same on {0} and {1}."
        )
        yield "availability", told.format(*compared.names)
    else:
        yield "cosmetic", "No statement has another result for it."


def _security(compared: Compared) -> Iterator[Rated]:
    if compared.kind in _SECURITY_KINDS and list(compared.attributes) != ["comment"]:
        present, absent = _with_and_without(compared)
        yield "security", _SECURITY_KINDS[compared.kind].format(present, absent)
    for name in compared.attributes:
        if name in _SECURITY:
            yield "security", _SECURITY[name].format(*compared.names)
    if compared.direction != "differs" or compared.source is None or compared.target is None:
        return
    definitions = [str(side.get("definition", "")) for side in (compared.source, compared.target)]
    if compared.kind in ("function", "procedure") and len({" SECURITY DEFINER" in text for text in definitions}) > 1:
        yield "security", "It runs with its owner's rights on one side, and with those of who calls it on the other."
    invokers = [_is_invoker(side.get("options") or []) for side in (compared.source, compared.target)]
    if compared.kind == "view" and "options" in compared.attributes and len(set(invokers)) > 1:
        yield "security", "It reads with its owner's rights on one side, past row level security."


def _is_invoker(options: Sequence[object]) -> bool:
    """Whether a view reads with the rights of who reads it; PostgreSQL keeps the value as it was written, in any of a boolean's words."""
    values = [
        str(option).partition("=")[2].lower() for option in options if str(option).startswith("security_invoker=")
    ]
    return any("true".startswith(value) or "yes".startswith(value) or value in ("on", "1") for value in values)


def _data_loss(compared: Compared) -> Iterator[Rated]:
    impact = compared.impact
    source, target = compared.names
    rows = 0 if not compared.holds_rows else impact.target_rows if impact else None
    if compared.direction == "only_target" and compared.kind in ("table", "column") and rows != 0:
        held = (
            "its rows"
            if rows is None
            else f"the values of {number(rows, 'row')}" if compared.kind == "column" else number(rows, "row")
        )
        yield "data_loss", f"Bringing {target} to {source} drops it with {held}."
    if compared.kind == "column" and "type" in compared.attributes and rows != 0:
        held = "rows" if rows is None else number(rows, "row")
        yield "data_loss", f"Another type can refuse or cut the values of {held} on {target}."
    if compared.kind == "table" and "persistence" in compared.attributes:
        yield "data_loss", "A crash empties an unlogged table, and no replica has it."
    definitions = [str((side or {}).get("definition", "")) for side in (compared.source, compared.target)]
    if compared.kind == "constraint" and compared.direction == "differs":
        if len({"ON DELETE CASCADE" in text for text in definitions}) > 1:
            yield "data_loss", "Deleting a row takes other tables' rows along on one side only."


_RULES: tuple[Callable[[Compared], Iterator[Rated]], ...] = (_data_loss, _security)


def _with_and_without(compared: Compared) -> tuple[str, str]:
    """The project that has it and the one that has not; source and target where both have."""
    source, target = compared.names
    return (target, source) if compared.direction == "only_target" else (source, target)
