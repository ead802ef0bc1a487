# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipt of a dry run as tables for a person who has to say yes or no: on one screen, and in a few lines. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.sizes import human_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.report.section import Section

STATEMENTS_SHOWN = 5
LOCKS_SHOWN = 20
NAMES_WIDTH = 80

# Who waits for a table that is locked so, strongest first (PostgreSQL, "Explicit Locking": the table of conflicts).
_WHO_WAITS = {
    "AccessExclusiveLock": "everybody, readers too",
    "ExclusiveLock": "writers; readers go on",
    "ShareRowExclusiveLock": "writers; readers go on",
    "ShareLock": "writers; readers go on",
    "ShareUpdateExclusiveLock": "DDL and VACUUM",
    "RowExclusiveLock": "DDL",
    "RowShareLock": "DDL",
    "AccessShareLock": "DDL",
}
_STRENGTH = list(_WHO_WAITS)
_HOLDS_UP_THE_APPLICATION = frozenset(_STRENGTH[:4])


def who_waits(mode: str) -> tuple[int, str]:
    """How strong a lock is, 0 for the strongest, and who waits for it."""
    return (_STRENGTH.index(mode), _WHO_WAITS[mode]) if mode in _WHO_WAITS else (len(_STRENGTH), "")


def receipt_tables(receipt: Mapping[str, Any], *, full: bool, failed: bool = False) -> Iterator[Section]:
    """What a reviewer reads; in short: the figures, what is wrong, and what was not tried.

    :param failed: whether the dry run ended with a failure.
    """
    # Rows that break a constraint are left out, and what comes after them is tried.
    cut_short = failed and receipt["checks"] == "not_reached" and not receipt["violations"]
    yield Section("Receipt", ("", ""), list(_figures(receipt, cut_short=cut_short)))
    if receipt["violations"]:
        rows = [_violation(item) for item in receipt["violations"]]
        yield Section("Violations", ("where", "constraint", "table", "rows", "what"), rows)
    left_out = [item for item in receipt["not_executed"] if item["reason"] != "rows break a constraint"]
    if left_out:
        rows = [(_short(item["where"]), item["command"], item["reason"]) for item in left_out]
        yield Section("Not executed", ("where", "statement", "why"), rows)
    if not full:
        return
    for index, tried in enumerate(receipt["migrations"] if receipt.get("statements") else (), 1):
        yield _file(receipt, tried, index)
    objects = [row for tried in receipt["migrations"] for row in _objects(tried)]
    if objects:
        yield Section("Objects", ("migration", "change", "number", "which"), objects)
    if locks := list(_locks(receipt["locks"])):
        yield Section("Locks", ("relation", "mode", "held s", "since", "who waits"), locks)
    if receipt["rewritten_tables"]:
        rows = [
            (t["table"], human_bytes(t["bytes"]), _place(t["where"]), t["command"]) for t in receipt["rewritten_tables"]
        ]
        yield Section("Rewritten tables", ("table", "now", "by", "statement"), rows)
    if receipt["rows"]:
        rows = [(f"{r['schema']}.{r['table']}", r["inserted"], r["updated"], r["deleted"]) for r in receipt["rows"]]
        yield Section("Rows written", ("table", "inserted", "updated", "deleted"), rows)
    if receipt["sequences"]:
        yield Section("Sequences that moved, and stay so", ("sequence", "from", "to", "by"), list(_sequences(receipt)))


def _figures(receipt: Mapping[str, Any], *, cut_short: bool) -> Iterator[tuple[str, str]]:
    """One line for each thing that can be wrong, also when there is nothing of it: no line means nobody looked."""
    executed, left_out = receipt["executed"], len(receipt["not_executed"])
    took = f"in {receipt['executed_seconds']:.3f} s"
    if cut_short:
        yield "executed", f"{number(executed, 'statement')} {took}; the next one failed, and nothing after it was tried"
    else:
        yield "executed", f"{executed} of {number(executed + left_out, 'statement')} {took}"
    checks = {"run": "with the checks", "none": "there were no checks", "not_reached": "the checks did not run"}
    yield "transaction", f"open for {receipt['transaction_seconds']:.3f} s, {checks[receipt['checks']]}; rolled back"
    yield "violations", "none up to the failure" if cut_short else _of_violations(receipt["violations"])
    skipped = left_out - _refused(receipt)
    yield "not executed", f"{number(skipped, 'statement')}, listed below" if skipped else "none"
    holding = [lock for lock in _on_what_was_there(receipt["locks"]) if lock["mode"] in _HOLDS_UP_THE_APPLICATION]
    longest = max(holding, key=lambda lock: lock["held_seconds"], default=None)
    yield "locks", (
        "none that holds up readers or writers"
        if longest is None
        else f"{number(len({lock['relation'] for lock in holding}), 'relation')} locked against readers or writers, for up to "
        f"{longest['held_seconds']:.3f} s ({longest['relation']})"
    )
    rewritten = receipt["rewritten_tables"]
    yield "rewritten", (
        f"{number(len(rewritten), 'table')}, {human_bytes(sum(table['bytes'] for table in rewritten))}: "
        + _names([table["table"] for table in rewritten])
        if rewritten
        else "no table"
    )
    before, after = receipt["database_bytes_before"], receipt["database_bytes_after"]
    yield "disk", f"{human_bytes(max(after - before, 0))} more than the {human_bytes(before)} of the database, before the end"
    rows = receipt["rows"]
    written = sum(row["inserted"] + row["updated"] + row["deleted"] for row in rows)
    yield "rows", f"{written:,} written in {number(len(rows), 'table')}" if rows else "none written"
    changes = Counter(change["change"] for tried in receipt["migrations"] for change in tried.get("objects") or [])
    known = all(tried.get("objects") is not None for tried in receipt["migrations"])
    yield "objects", (
        ", ".join(f"{changes[kind]} {kind}" for kind in ("created", "changed", "dropped"))
        if known
        else "not listed here"
    )
    moved = receipt["sequences"]
    yield "left behind", (
        f"nothing but {number(len(moved), 'sequence')} that moved: {_names([item['sequence'] for item in moved])}"
        if moved
        else "nothing; no sequence moved"
    )


def _of_violations(violations: Sequence[Mapping[str, Any]]) -> str:
    if not violations:
        return "none, deferred constraints included"
    perhaps = sum(item["follows"] is not None for item in violations)
    text = f"{len(violations)} ({sum(item['deferred'] for item in violations)} of them deferred)"
    return text + (f"; {perhaps} perhaps only because of what was left out before" if perhaps else "")


def _refused(receipt: Mapping[str, Any]) -> int:
    return sum(item["reason"] == "rows break a constraint" for item in receipt["not_executed"])


def _violation(item: Mapping[str, Any]) -> tuple[Any, ...]:
    what = item["message"] if item["rows"] is None or item["message"].endswith(item["counted"]) else item["counted"]
    parts = [f"{what} [{item['sqlstate']}]"]
    if item["detail"]:
        parts.append(item["detail"])
    if item["deferred"]:
        parts.append("Checked at the end of the file.")
    if item["follows"]:
        parts.append(f"Perhaps only because {_short(item['follows'])} was left out.")
    rows = "not counted" if item["rows"] is None else item["rows"]
    return _short(item["where"]), item["constraint"], item["table"], rows, " ".join(parts)


def _file(receipt: Mapping[str, Any], tried: Mapping[str, Any], index: int) -> Section:
    """One file, with the statements that took longest, in their order."""
    label = f"{tried['version']}_{tried['name']}"
    own = [item for item in receipt["statements"] if _short(item["where"]).startswith(f"{label}.sql:")]
    slowest = sorted(sorted(own, key=lambda item: -item["seconds"])[:STATEMENTS_SHOWN], key=own.index)
    rows: list[tuple[Any, ...]] = [
        (f"{item['seconds']:.3f}", _line(item["where"]), "" if item["rows"] is None else item["rows"], item["command"])
        for item in slowest
    ]
    if len(own) > len(slowest):
        rest = sum(item["seconds"] for item in own) - sum(item["seconds"] for item in slowest)
        rows.append((f"{max(rest, 0):.3f}", "", "", f"the other {len(own) - len(slowest)}"))
    title = (
        f"File {index} of {len(receipt['migrations'])}: {label}, {tried['executed']} of {tried['statements']} statements "
        f"in {tried['duration_seconds']:.3f} s"
    )
    return Section(title, ("seconds", "line", "rows", "statement"), rows)


def _objects(tried: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for change in tried.get("objects") or []:
        grouped.setdefault((change["change"], change["object_type"]), []).append(change["object_name"])
    order = ("dropped", "changed", "created")
    for (change, kind), names in sorted(grouped.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        yield tried["version"], f"{kind} {change}", len(names), _names(names)


def _locks(locks: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """What holds up readers or writers, longest first; of each relation a weaker mode only where it was there earlier."""
    there = _on_what_was_there(locks)
    shown: list[Mapping[str, Any]] = []
    held: dict[str, float] = {}
    for lock in sorted(there, key=lambda item: _STRENGTH.index(item["mode"])):
        if lock["mode"] in _HOLDS_UP_THE_APPLICATION and lock["held_seconds"] > held.get(lock["relation"], -1.0):
            held[lock["relation"]] = lock["held_seconds"]
            shown.append(lock)
    shown.sort(key=lambda item: -item["held_seconds"])
    for lock in shown[:LOCKS_SHOWN]:
        yield (
            lock["relation"],
            lock["mode"],
            f"{lock['held_seconds']:.3f}",
            _place(lock["where"]),
            _WHO_WAITS[lock["mode"]],
        )
    if len(shown) > LOCKS_SHOWN:
        yield f"{len(shown) - LOCKS_SHOWN} more", "", f"{shown[LOCKS_SHOWN]['held_seconds']:.3f}", "", ""
    weaker = {lock["relation"]: lock for lock in there if lock["relation"] not in held}
    if weaker:
        longest = max(lock["held_seconds"] for lock in weaker.values())
        yield f"{len(weaker)} more, weaker", "", f"{longest:.3f}", "", "DDL and VACUUM only"
    if new := {lock["relation"] for lock in locks if lock["new_object"]}:
        yield f"{len(new)} new", "", "", "", "nobody: they are not there yet"


def _on_what_was_there(locks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [lock for lock in locks if not lock["new_object"] and lock["mode"] in _WHO_WAITS]


def _sequences(receipt: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    for item in receipt["sequences"]:
        by = "the migrations" if item["by_migrations"] else "a statement that failed, a check, or another session"
        yield item["sequence"], "unused" if item["before"] is None else item["before"], item["after"], by


def _short(where: str) -> str:
    """A place without the directories of its file."""
    return where.rsplit("/", 1)[-1]


def _place(where: str) -> str:
    """A place by its migration's version and line."""
    return f"{_short(where).split('_', 1)[0]}:{_line(where)}"


def _line(where: str) -> str:
    return where.rsplit(":", 2)[1]


def _names(names: Sequence[str]) -> str:
    """As many names as fit on a line, at least one."""
    shown = 1
    while shown < len(names) and len(", ".join(names[: shown + 1])) <= NAMES_WIDTH:
        shown += 1
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more else "")
