# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Row counts after against row counts before, under a contract of what may change.

The judgement is pure; :func:`own_work` gives it what the deciding transaction did itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import given_document
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.counts.declarations import declared_in
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import (
    CountChange,
    CountComparison,
    RowCounts,
    RowDeclaration,
    TableCount,
)
from ansible_collections.pgops.supabase.plugins.module_utils.counts.own import OwnWork
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import Table
from ansible_collections.pgops.supabase.plugins.module_utils.validation.documents import Verdict

CountContract = Mapping[str, Union[int, Literal["any"]]]
"""Table name to the number of rows it gains (negative: loses) by the migration, or V(any)."""

Judgement = tuple[Verdict, str]

_NOWHERE = "is declared in the contract, but was counted neither before nor after"

_PART = re.compile(r'"((?:[^"]|"")+)"|([^".\x00]+)')


def parse_table_name(name: str) -> tuple[str, str]:
    """A table's name as (schema, table); a name without schema is in V(public).

    Quotes are only needed around a dot or a quote: letters are taken as they are, so C(public.Foo) and C(public."Foo")
    are the same table, and C(foo) is another.

    :raises InputError: when the name has more than two parts, an empty one, or quotes that do not match.
    """
    parts: list[str] = []
    place = 0
    while match := _PART.match(name, place):
        parts.append(match[1].replace('""', '"') if match[1] else match[2])
        place = match.end()
        if place == len(name) or name[place] != ".":
            break
        place += 1
    if place != len(name) or not 1 <= len(parts) <= 2 or name.endswith("."):
        raise InputError(
            f"{name!r} is not the name of a table",
            next_step='Write schema.table or table (in public); quote a part that holds a dot: public."a.b"',
        )
    return ("public", parts[0]) if len(parts) == 1 else (parts[0], parts[1])


def read_baseline(baseline: Mapping[str, Any] | str) -> RowCounts:
    """A baseline as plain data, or from the file of that path.

    :raises InputError: when there is no such file or it is not a row counts document.
    """
    return given_document(
        RowCounts,
        baseline,
        option="baseline",
        refusal="The baseline is not a row counts document",
        next_step="Give the row_counts that this module returned, or the path of its counts-before.json.",
    )


def baseline_tables(baseline: Mapping[str, Any] | str | None) -> list[TableCount] | None:
    """The counts of an optional baseline; see :func:`read_baseline`."""
    return None if baseline is None else read_baseline(baseline).tables


def compare_counts(
    before: Sequence[TableCount],
    after: Sequence[TableCount],
    *,
    own: OwnWork | None = None,
    contract: CountContract | None = None,
    declarations: Sequence[RowDeclaration] = (),
    may_grow: bool = False,
) -> CountComparison:
    """Judge each table's count.

    Where ``own`` is known, it alone is judged: by default of the contract no table that was there gains or loses a row by it,
    and new tables are welcome. What other sessions wrote since is told, and is never a failure. ``after`` may then be without
    tables that were not counted: it has no say in the verdict, but a table of which ``own`` says that it was dropped is gone.

    :param own: what was done between the counts, by those whose work is judged. None: unknown, then every difference that the
        contract does not name is a FAIL.
    :param declarations: what the files declare; it adds to the contract.
    :param may_grow: where ``own`` is unknown, whether rows more than before are in order.
    :raises InputError: when the contract names no table or not a number of rows.
    """
    renamed = own.renamed if own else {}
    old = {renamed.get((count.schema, count.table), (count.schema, count.table)): count.rows for count in before}
    new = {(count.schema, count.table): count.rows for count in after}
    declared = _declared(contract or {}, declarations)
    changes = []
    for table in sorted(old.keys() | new.keys() | declared.keys()):
        rows_before, rows_after, allowed = old.get(table), new.get(table), declared.get(table)
        own_change = None if own is None else _own_change(own, table, rows_before)
        if own_change is None:
            verdict, message = _judge(rows_before, rows_after, allowed, may_grow)
        else:
            verdict, message = _judge_own(rows_before, rows_after, own_change, allowed, gone=_is_gone(own, table, new))
        if verdict == "FAIL" and (places := declared_in(declarations, table)):
            message += f" ({places})"
        changes.append(
            CountChange(
                schema=table[0],
                table=table[1],
                before=rows_before,
                after=rows_after,
                own_change=own_change,
                verdict=verdict,
                message=message,
            )
        )
    return CountComparison(tables=changes, verdict=_worst([change.verdict for change in changes]))


def _own_change(own: OwnWork, table: Table, before: int | None) -> int:
    """What was done to the number of rows; nothing is left of the rows from before where the table was emptied."""
    change = own.changes.get(table, 0)
    return change - before if before is not None and table in own.emptied else change


def _is_gone(own: OwnWork | None, table: Table, new: Mapping[Table, int]) -> bool:
    return own is not None and table in own.emptied and table not in new


def _declared(contract: CountContract, declarations: Sequence[RowDeclaration]) -> dict[Table, int | Literal["any"]]:
    declared: dict[Table, int | Literal["any"]] = {}
    for name, value in contract.items():
        if value != "any" and (isinstance(value, bool) or not isinstance(value, int)):
            raise InputError(
                f"The contract declares {value!r} for {name}, which is neither a number of rows nor any",
                where="contract",
                next_step="Declare the rows a table gains (negative: loses) by the migration, or any.",
            )
        declared[parse_table_name(name)] = value
    for item in declarations:
        table = (item.schema, item.table)
        sum_so_far = declared.get(table, 0)
        declared[table] = "any" if item.rows is None or sum_so_far == "any" else sum_so_far + item.rows
    return declared


def _judge(before: int | None, after: int | None, allowed: int | Literal["any"] | None, may_grow: bool) -> Judgement:
    """What is different, whoever did it."""
    if before is None and after is None:
        return "FAIL", _NOWHERE
    if before is None:
        return _judge_new(after or 0, allowed)
    if after is None:
        return _judge_gone(before, allowed)
    if allowed == "any":
        return "PASS", f"{_difference(after - before)}; any change is declared"
    delta = after - before
    passed = delta == (allowed or 0) or (may_grow and delta > (allowed or 0))
    return ("PASS" if passed else "FAIL"), f"{_difference(delta)}{_as_declared(allowed)}"


def _judge_own(
    before: int | None, after: int | None, own: int, allowed: int | Literal["any"] | None, *, gone: bool
) -> Judgement:
    """What the migration did; what others did besides is told."""
    if before is None:
        if after is None:
            return "FAIL", _NOWHERE
        if isinstance(allowed, int) and own != allowed:
            return "FAIL", f"is new with {_rows(own)} of the migration, declared: {_rows(allowed)}"
        return "PASS", f"is new with {_rows(after)}"
    if gone:
        return _judge_gone(before, allowed)
    others = "" if after is None or after - before == own else f"; other sessions: {_difference(after - before - own)}"
    if allowed == "any":
        return "PASS", f"{_difference(own)}; any change is declared{others}"
    return ("PASS" if own == (allowed or 0) else "FAIL"), f"{_difference(own)}{_as_declared(allowed)}{others}"


def _judge_new(after: int, allowed: int | Literal["any"] | None) -> Judgement:
    if isinstance(allowed, int) and after != allowed:
        return "FAIL", f"is new with {_rows(after)}, declared: {_rows(allowed)}"
    return "PASS", f"is new with {_rows(after)}"


def _judge_gone(before: int, allowed: int | Literal["any"] | None) -> Judgement:
    if before == 0 and not allowed:
        return "PASS", "is gone; it was empty"
    if allowed == "any" or allowed == -before:
        return "PASS", f"is gone with its {_rows(before)}, as declared"
    return "FAIL", f"is gone: it held {_rows(before)}"


def _as_declared(allowed: int | Literal["any"] | None) -> str:
    return f", declared: {_difference(allowed)}" if isinstance(allowed, int) and allowed else ""


def _rows(number: int) -> str:
    return f"{number} row" if abs(number) == 1 else f"{number} rows"


def _difference(delta: int) -> str:
    return "unchanged" if delta == 0 else f"{delta:+d} row" if abs(delta) == 1 else f"{delta:+d} rows"


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    for verdict in ("FAIL", "WARNING"):
        if verdict in verdicts:
            return verdict
    return "PASS"
