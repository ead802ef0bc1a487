# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts: how a word in a cell or a notice becomes a named check, and how checks become one verdict. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.validation.documents import Check, Stage, Verdict

_ANSI_COLOUR_OR_TICKED_BOX = re.compile(r"\x1b\[[0-9;]*m|^\W*\[[xXvV]\]")
_WORD = re.compile(r"(PASS(?:ED)?|FAIL(?:ED|URE)?|WARN(?:ING)?|SKIP(?:PED)?|ERROR)(?!\w)", re.IGNORECASE)
_VERDICTS: dict[str, Verdict] = {"PASS": "PASS", "FAIL": "FAIL", "WARN": "WARNING", "SKIP": "SKIP", "ERRO": "FAIL"}
# Behind a word that prose has as well: the end, or a mark that sets it apart. "Fail-safe", "pass the token" are no verdicts.
_SET_APART = re.compile(r"\s*(?:\Z|[\r\n])|[:;,.!?)\]}*'\"]+(?:\s|\Z|(?<=[)\]}]))|\s+[-–—|(:\[]|\s*\x1b")
_LABEL = re.compile(r"[^\W\d_][^:\n]{0,59}:(?=\s)")
_MOST_LABELS = 2
_LABELS_WITHOUT_NAME = re.compile(
    r"(?:overall |final )?(?:result|status|verdict|outcome|state|validation|check)", re.IGNORECASE
)
_LEGEND = re.compile(r"\s*=")
_NO_ROWS = re.compile(r"\W*0\W*")
_WORST_FIRST: tuple[Verdict, ...] = ("FAIL", "WARNING", "PASS", "SKIP")
# A mark that Unicode counts among the letters: the information sign that emoji keyboards offer for "skipped".
_LETTERS_USED_AS_MARKS = "\N{INFORMATION SOURCE}"

# Columns that say what is checked, the best first; then those that only repeat that there is a verdict.
_NAMING_COLUMNS = (
    re.compile(r"check|test|assert", re.I),
    re.compile(r"name|item|label|title|descri|what|subject|metric", re.I),
    re.compile(r"table|column|object|index|policy|trigger|function|view|constraint", re.I),
)
_VERDICT_COLUMNS = re.compile(
    r"^(\?column\?|case|coalesce|format|concat|text|result|status|verdict|outcome|state|validation)$"
)

# PostgreSQL, appendix A, "Class 42" and "3F": what a reference to something that is not there raises.
UNDEFINED_SCHEMA = "3F000"
UNDEFINED = frozenset({"42P01", "42703", "42883", "42704", UNDEFINED_SCHEMA})
_QUOTED = re.compile(
    r'"([^"]+)"|\u201c([^\u201d]+)\u201d|«\s*([^»]+?)\s*»|»([^«]+)«|\u201e([^\u201c\u201d]+)[\u201c\u201d]|「([^」]+)」'
)
_CALLED = re.compile(r"([\w$.]+)\(")
_NAME_CHAIN = re.compile(r'(?:"(?:[^"]|"")*"|[^\W\d][\w$]*)(?:\s*\.\s*(?:"(?:[^"]|"")*"|[^\W\d][\w$]*))*')
_NAME = re.compile(r'"((?:[^"]|"")*)"|([^\W\d][\w$]*)')

# Type numbers that PostgreSQL guarantees never to change (pg_type.dat).
_BOOLEAN = 16
_INTEGERS = frozenset({20, 21, 23, 26})
_FRACTIONS = frozenset({700, 701, 1700})
_JSON = frozenset({114, 3802})


def verdict_of(text: str) -> tuple[Verdict, str] | None:
    """The verdict that a text begins with, and the text behind it; None when it begins with none.

    Any mark may stand before the word: ticks, crosses, emojis, brackets, bullets, numbering, spaces, whatever is not a
    letter; and a label that ends with a colon (V(Check 3: PASS)). V(PASSED), V(FAILED), V(FAILURE), V(WARN) and V(SKIPPED) count
    as well, and V(ERROR) is V(FAIL). A word that is not in capitals has to be set apart from what follows, since prose has it
    too. A count such as V(0 FAILED) is none.
    """
    text = _ANSI_COLOUR_OR_TICKED_BOX.sub("", text)
    place = 0
    labels: list[str] = []
    while True:
        start = next(
            (i for i in range(place, len(text)) if text[i].isalpha() and text[i] not in _LETTERS_USED_AS_MARKS),
            len(text),
        )
        if word := _verdict_word(text, place, start, labelled=bool(labels)):
            rest = text[word.end() :].lstrip(" \t\n:,-–—.|/)]}'\"*").rstrip(" \t\n'\"*]}")
            label = next((name for name in labels if not _LABELS_WITHOUT_NAME.fullmatch(name)), "")
            return _VERDICTS[word[1][:4].upper()], ": ".join(part for part in (label, rest) if part)
        label_found = _LABEL.match(text, start)
        if label_found is None or len(labels) == _MOST_LABELS:
            return None
        labels.append(label_found[0][:-1].strip())
        place = label_found.end()


def _verdict_word(text: str, place: int, start: int, *, labelled: bool) -> re.Match[str] | None:
    """The word of a verdict at a place, unless it is a count's or prose's."""
    word = _WORD.match(text, start)
    if not word or text[place:start].strip().isdecimal():
        return None
    in_capitals = word[1].isupper() and word[1] != "ERROR"
    if not in_capitals and not _SET_APART.match(text, word.end()):
        return None
    if labelled and _LEGEND.match(text, word.end()) or _NO_ROWS.fullmatch(text, word.end()):
        return None
    return word


def verdict_cells(row: Sequence[Any]) -> list[tuple[int, Verdict, str]]:
    """The verdicts of a row as column index, verdict and the text behind the word; an array's elements count each."""
    found = []
    for index, cell in enumerate(row):
        for text in cell if isinstance(cell, list) else [cell]:
            verdict = verdict_of(text) if isinstance(text, str) else None
            if verdict:
                found.append((index, *verdict))
    return found


def name_of_cell(columns: Sequence[str], row: Sequence[Any], verdict_index: int, rest: str, otherwise: str) -> str:
    """What a verdict in a row is about, from the best source there is.

    In this order: a cell of a column such as C(check_name), any other text in the row, the verdict column's own name, the
    text behind the verdict, and last what the script says above the statement.
    """
    verdicts = {index for index, _verdict, _rest in verdict_cells(row)}
    others = [i for i, cell in enumerate(row) if i not in verdicts and isinstance(cell, str) and cell.strip()]
    named = next((i for pattern in _NAMING_COLUMNS for i in others if pattern.search(columns[i])), None)
    textual = next((i for i in others if any(c.isalpha() for c in row[i])), None)
    column = columns[verdict_index]
    own_column = "" if _VERDICT_COLUMNS.match(column) or _NAMING_COLUMNS[0].fullmatch(column) else column
    chosen = named if named is not None else textual
    if chosen is not None:
        name = _first_line(row[chosen])
        return f"{name}: {own_column}" if len(verdicts) > 1 and own_column else name
    return own_column or _first_line(rest) or otherwise


def message_of_row(columns: Sequence[str], row: Sequence[Any], verdict_index: int, rest: str, name: str) -> str:
    """What a row says besides its verdict and its name: the text behind the verdict, and the other cells by their columns."""
    others = [
        f"{column}: {'null' if cell is None else cell}"
        for index, (column, cell) in enumerate(zip(columns, row, strict=True))
        if index != verdict_index and cell != name
    ]
    return ", ".join([rest, *others] if rest else others)


def text_of_notice(notice: str) -> str:
    """A notice's text without its severity, which the server writes in its own language: C(NOTICE:  text)."""
    severity, separator, text = notice.partition(":  ")
    return (text if separator and severity.isalpha() else notice).strip()


def name_of_notice(rest: str, otherwise: str) -> str:
    """What a verdict in a notice is about: the first line behind the word, or what the script says above it."""
    return _first_line(rest) or otherwise


def missing_names(sqlstate: str, message: str, sql: str, offset: int | None) -> frozenset[str]:
    """The bare names that an error says are not there; empty when the error is of another kind.

    The name is read where the error points to in the statement, because PostgreSQL's messages are translated and quote
    some names and others not. Only an error without a place (as of DROP TRIGGER) is read from its message.

    :param offset: where in C(sql) the error lies, in characters from 0.
    """
    if sqlstate not in UNDEFINED:
        return frozenset()
    if offset is not None:
        place = offset + 1 if sql[offset : offset + 1] == "'" else offset
        chain = _NAME_CHAIN.match(sql, place)
        if chain:
            names = [q.replace('""', '"') if q else plain.lower() for q, plain in _NAME.findall(chain[0])]
            return frozenset(names[:-1] if sqlstate == UNDEFINED_SCHEMA and len(names) > 1 else names[-1:])
    quoted = ["".join(groups) for groups in _QUOTED.findall(message)] or _CALLED.findall(message)
    return frozenset(name for whole in quoted for name in (whole, whole.rsplit(".", 1)[-1]))


def plain_value(text: str | None, type_oid: int) -> Any:
    """A value in PostgreSQL's text form as JSON-compatible data, exact.

    Integers stay integers of any size; C(numeric) becomes an integer when it is whole, a float when that float writes as
    the same number, and text otherwise; JSON is read; all else stays text as psql shows it.
    """
    if text is None:
        return None
    if type_oid == _BOOLEAN:
        return text == "t"
    if type_oid in _INTEGERS:
        return int(text)
    if type_oid in _FRACTIONS:
        return exact_number(text)
    if type_oid in _JSON:
        return json.loads(text, parse_float=exact_number)
    return text


def exact_number(text: str) -> int | float | str:
    """A decimal number without loss: see :func:`plain_value`."""
    value = Decimal(text)
    if not value.is_finite():
        return text
    if value == value.to_integral_value():
        return int(value)
    nearest = float(value)
    return nearest if Decimal(repr(nearest)) == value else text


def gates(check: Check, stage: Stage) -> bool:
    """Whether a check's failure stops the run: before a migration only those that a comment marks as always."""
    return check.always or stage != "before"


def failing_checks(checks: Sequence[Check], stage: Stage, warnings_as_failures: bool = False) -> list[Check]:
    """The checks for which the run has to stop."""
    fatal = ("FAIL", "WARNING") if warnings_as_failures else ("FAIL",)
    return [check for check in checks if check.verdict in fatal and gates(check, stage)]


def worst_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """The one of several that counts for all; at least one is given."""
    return next(v for v in _WORST_FIRST if v in verdicts)


def overall_verdict(checks: Sequence[Check], stage: Stage, warnings_as_failures: bool = False) -> Verdict:
    """One verdict of all checks.

    V(FAIL): the run has to stop. V(WARNING): it may go on, but there is something to look at: warnings and, in the V(before)
    stage, failures that are only the baseline. V(SKIP): nothing was checked. V(PASS): the rest.
    """
    if failing_checks(checks, stage, warnings_as_failures):
        return "FAIL"
    verdicts = {check.verdict for check in checks}
    if verdicts & {"FAIL", "WARNING"}:
        return "WARNING"
    return "PASS" if "PASS" in verdicts else "SKIP"


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0].strip()
