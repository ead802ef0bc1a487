# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation scripts: SQL as it is written for psql, read into statements, sections and marks before anyone connects.

Understood beside SQL: psql's commands that only shape its output (``\\echo``, ``\\pset``, ``\\timing``, ``\\x`` ...), ``\\g`` and
``\\gx`` as the end of a statement, commands that only show something (``\\d``, ``\\conninfo`` ...), which are left out,
and ``BEGIN``/``SAVEPOINT`` with their ends, which become savepoints.

A section is what the last heading above a statement says: an ``\\echo`` (of several in a row, up to an empty one, the
first), or a comment that is framed (``-- === Title ===``) or stands below a ruler (``-- -----``). A statement's caption is the
first line of the comment directly above it. ``-- pgops: stage always`` in that comment makes its checks count before a
migration, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import Position, SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import (
    Script,
    Statement,
    parse_script,
    position_at,
    read_sql_file,
    reason_not_transactional,
)
from ansible_collections.pgops.supabase.plugins.module_utils.validation.documents import Place

_SPEAKING = frozenset({"echo", "qecho", "warn"})
_FORMATTING = frozenset({"pset", "timing", "x", "t", "a", "f", "C", "H", "T"})
# They show what is there or how psql is meant, send the server nothing of the script's, and change nothing.
_SHOWING = re.compile(
    r"d[A-Za-z]*[+x]*|(?:z|l|list)[+Sx]*|s[fv]\+?|conninfo\+?|lo_list\+?|h|help|\?|copyright|errverbose|p"
)
_ENDING = frozenset({"g", "gx"})
# psql's own variables that change what it prints or how it goes on after an error, not what the server is sent.
_HARMLESS_VARIABLES = re.compile(
    r"ON_ERROR_STOP|ON_ERROR_ROLLBACK|QUIET|ECHO|ECHO_HIDDEN|VERBOSITY|SHOW_CONTEXT|SHOW_ALL_RESULTS|FETCH_COUNT|PROMPT[123]|"
    r"HIDE_TABLEAM|HIDE_TOAST_COMPRESSION|COMP_KEYWORD_CASE|HISTCONTROL|HISTFILE|HISTSIZE|IGNOREEOF"
)
_TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*)
    | (?P<block>/\*)
    | (?P<quoted>[eE]'(?:[^'\\]|\\.|'')*'? | '(?:[^']|'')*'? | "(?:[^"]|"")*"?)
    | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<backslash>\\)
    | (?P<end>;)
    | (?P<space>\s+)
    | (?P<other>\w[\w$]*|.)""",
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_COMMAND = re.compile(r"\\(?P<name>[^\s\\]*)")
_ARGUMENT = re.compile(
    r"""[ \t]+|(?P<one>'(?:[^'\\\n]|\\.|'')*')|(?P<two>"[^"\n]*")|(?P<shell>`)|(?P<plain>[^\s\\`'"]+|['"])"""
)
_FRAME = "=-#*~_+─━═│║┌┐└┘╔╗╚╝ \t"
_FRAMED = re.compile(r"^[=\-#*~_+─━═]{2,}\s*\w|\w.*?[=\-#*~_+─━═]{3,}$")
_RULER = re.compile(r"^[=\-#*~_+─━═\s]{3,}$")
_DIRECTIVE = re.compile(r"^\s*pgops\s*:\s*(?P<words>.*?)\s*$")


@dataclass(frozen=True)
class Savepoint:
    """Transaction control of a script in terms of savepoints: none of it ends the transaction around the script."""

    action: Literal["set", "roll_back_to", "release", "undo"]
    level: int


@dataclass(frozen=True)
class ValidationStatement:
    """One statement of a validation script; ``savepoint`` is set when it is transaction control."""

    statement: Statement
    section: str
    caption: str
    always: bool
    savepoint: Savepoint | None

    @property
    def title(self) -> str:
        """What the statement is about, as well as the script says it."""
        return self.caption or self.section or f"statement at line {self.statement.position.line}"


@dataclass(frozen=True)
class ValidationScript:
    """A validation script, ready to run."""

    file: str
    script: Script
    statements: tuple[ValidationStatement, ...]
    skipped: tuple[Place, ...] = ()


@dataclass(frozen=True)
class _Comment:
    offset: int
    line: int
    text: str


@dataclass
class _Reading:
    """What a pass over the text found: the text without psql's commands, in the same places, and what they said."""

    characters: list[str]
    comments: list[_Comment] = field(default_factory=list)
    sections: list[tuple[int, str]] = field(default_factory=list)
    heading_open: bool = False
    skipped: list[Place] = field(default_factory=list)

    @property
    def sql(self) -> str:
        return "".join(self.characters)


def read_validation_script(path: Path) -> ValidationScript:
    """Read a validation script from a file; see :func:`parse_validation_script`."""
    return parse_validation_script(str(path), read_sql_file(path))


def parse_validation_script(file: str, text: str) -> ValidationScript:
    """Read a validation script's text.

    :raises SqlScriptError: with file:line:column, at a syntax error, a backslash command that does more than shape output, a
        statement that cannot run in a transaction or would leave something behind, and transaction control that has no
        meaning as a savepoint; and when there is no statement at all.
    """
    reading = _read(file, text)
    script = parse_script(file, reading.sql)
    if not script.statements:
        raise SqlScriptError(
            "The validation script holds no statement, so it would check nothing",
            where=Position(file, 1, 1),
            next_step="Write at least one query that returns PASS or FAIL, or leave the file out.",
        )
    for statement in script.statements:
        refuse_what_cannot_be_undone(statement)
    savepoints = _savepoints(script.statements)
    comments = _comments_above(script, reading.comments)
    sections = sorted([*reading.sections, *_headings(reading.comments)])
    statements = tuple(
        ValidationStatement(
            statement=statement,
            section=next((text for offset, text in reversed(sections) if offset < statement.offset), ""),
            caption=_caption(statement, above),
            always=any(_DIRECTIVE.match(comment.text) for comment in above),
            savepoint=savepoint,
        )
        for statement, above, savepoint in zip(script.statements, comments, savepoints, strict=True)
    )
    return ValidationScript(file, script, statements, tuple(reading.skipped))


def refuse_what_cannot_be_undone(statement: Statement) -> None:
    """Refuse a statement that a rolled back transaction cannot hold.

    :raises SqlScriptError: for COPY (a driver has no rows to send or files to write for it) and for what PostgreSQL runs
        outside transactions only.
    """
    outside = reason_not_transactional(statement)
    if outside:
        raise SqlScriptError(
            f"{outside} cannot run in a transaction, and a validation runs in one so that it leaves nothing behind",
            where=statement.position,
            next_step="Move it into a migration, and check its outcome here.",
        )
    if statement.tag == "CopyStmt":
        raise SqlScriptError(
            "COPY moves rows through psql or through files of the server, which no transaction takes back",
            where=statement.position,
            next_step="Write a SELECT or an INSERT instead.",
        )


def _read(file: str, text: str) -> _Reading:
    reading = _Reading(list(text))
    index, statement_open = 0, False
    while index < len(text):
        token = _TOKEN.match(text, index)
        if token is None:
            raise AssertionError("the last alternative matches any character")
        kind, start, index = token.lastgroup, index, token.end()
        if kind == "comment":
            reading.comments.append(_Comment(start, text.count("\n", 0, start), token[0][2:].strip()))
        elif kind == "block":
            index = _end_of_block_comment(text, start)
        elif kind == "dollar":
            closing = text.find(token[0], index)
            index = len(text) if closing < 0 else closing + len(token[0])
        elif kind == "backslash":
            index, ends = _read_command(file, text, start, statement_open, reading)
            reading.characters[start:index] = [c if c.isspace() else " " for c in text[start:index]]
            if ends:
                reading.characters[start] = ";"
                statement_open = False
            continue
        if kind == "end":
            statement_open = False
        elif kind not in ("space", "comment", "block"):
            statement_open = True
            reading.heading_open = False
    return reading


def _end_of_block_comment(text: str, start: int) -> int:
    """Block comments nest in PostgreSQL."""
    depth, index = 0, start
    while edge := _BLOCK_EDGE.search(text, index):
        depth, index = depth + (1 if edge[0] == "/*" else -1), edge.end()
        if not depth:
            return index
    return len(text)


def _read_command(file: str, text: str, start: int, statement_open: bool, reading: _Reading) -> tuple[int, bool]:
    """Read one backslash command: where it ends, and whether it ends the statement before it."""
    command = _COMMAND.match(text, start)
    if command is None:
        raise AssertionError("called at a backslash")
    name, position = command["name"], position_at(file, text, start)
    arguments, end = _arguments(file, text, command.end())
    if name in _SPEAKING:
        _hear(reading, start, " ".join(arguments))
    elif name in ("set", "unset") and (not arguments or _HARMLESS_VARIABLES.fullmatch(arguments[0])):
        pass
    elif name in _ENDING and statement_open and all(a.startswith("(") or a.endswith(")") for a in arguments):
        return end, True
    elif _SHOWING.fullmatch(name):
        reading.skipped.append(Place(name=" ".join((f"\\{name}", *arguments)).rstrip("; "), where=str(position)))
    elif name not in _FORMATTING:
        raise _refusal(name, arguments, position)
    return end, False


def _refusal(name: str, arguments: Sequence[str], position: Position) -> SqlScriptError:
    if name in ("set", "unset"):
        what, instead = f"\\{name} {arguments[0]}: a variable of psql's", "Write the value itself into the statements"
    elif name in _ENDING:
        what, instead = f"\\{name} that writes a file or repeats a statement", "End the statement with a semicolon"
    elif name in ("i", "ir", "include", "include_relative"):
        what, instead = f"\\{name}: another file", "Name that file in the list of validation scripts, too"
    else:
        what, instead = (
            f"\\{name}: a command of psql's that does more than shape output",
            "Remove it, or write it as SQL",
        )
    return SqlScriptError(f"{what}, which a validation cannot use", where=position, next_step=f"{instead}.")


def _arguments(file: str, text: str, index: int) -> tuple[list[str], int]:
    """A command's arguments up to the end of the line, to the next command, or to psql's separator of two backslashes."""
    arguments: list[str] = []
    while token := _ARGUMENT.match(text, index):
        if token["shell"]:
            raise SqlScriptError(
                "A shell command in backquotes, which a validation does not run",
                where=position_at(file, text, index),
                next_step="Remove it, or quote the text with single quotes.",
            )
        if token["one"]:
            arguments.append(re.sub(r"\\(.)|''", lambda m: m[1] or "'", token["one"][1:-1]))
        elif token["two"]:
            arguments.append(token["two"][1:-1])
        elif token["plain"]:
            arguments.append(token["plain"])
        index = token.end()
    return arguments, index + 2 if text.startswith("\\\\", index) else index


def _hear(reading: _Reading, offset: int, said: str) -> None:
    """An empty line ends a heading's lines, a ruler is nothing, the first text of a heading names the section."""
    text = said.strip(_FRAME)
    if text and not reading.heading_open:
        reading.sections.append((offset, text))
        reading.heading_open = True
    elif not said.strip():
        reading.heading_open = False


def _blocks(comments: Sequence[_Comment]) -> Iterator[list[_Comment]]:
    """Comments in successive lines belong together."""
    block: list[_Comment] = []
    for comment in comments:
        if block and comment.line != block[-1].line + 1:
            yield block
            block = []
        block.append(comment)
    if block:
        yield block


def _headings(comments: Sequence[_Comment]) -> Iterator[tuple[int, str]]:
    for block in _blocks(comments):
        for index, comment in enumerate(block):
            below_ruler = index > 0 and _RULER.match(block[index - 1].text)
            if comment.text.strip(_FRAME) and (below_ruler or _FRAMED.search(comment.text)):
                yield comment.offset, comment.text.strip(_FRAME)
                break


def _comments_above(script: Script, comments: Sequence[_Comment]) -> Iterable[list[_Comment]]:
    """For each statement the comments between it and the one before, where they stand alone on their line.

    :raises SqlScriptError: at a ``pgops:`` comment that is unknown or stands above nothing: it would silently have no effect.
    """
    text, first, result = script.text, 0, []
    remaining = [c for c in comments if not text[text.rfind("\n", 0, c.offset) + 1 : c.offset].strip()]
    for statement in script.statements:
        above = [c for c in remaining if first <= c.offset < statement.offset]
        remaining = [c for c in remaining if c.offset >= statement.offset + len(statement.sql)]
        first = statement.offset + len(statement.sql)
        result.append(above)
    attached = {comment.offset for above in result for comment in above}
    for comment in comments:
        directive = _DIRECTIVE.match(comment.text)
        if directive and directive["words"].split() != ["stage", "always"]:
            raise SqlScriptError(
                f"Unknown remark to pgops: {directive['words'] or '(nothing)'}",
                where=script.position_of(comment.offset),
                next_step="The one that is understood: -- pgops: stage always",
            )
        if directive and comment.offset not in attached:
            raise SqlScriptError(
                "The remark to pgops stands above no statement, so it would have no effect",
                where=script.position_of(comment.offset),
                next_step="Put it on a line of its own directly above the statement that it is about.",
            )
    return result


def _caption(statement: Statement, above: list[_Comment]) -> str:
    blocks = list(_blocks(above))
    if not blocks or blocks[-1][-1].line + 2 != statement.position.line:
        return ""
    headings = {offset for offset, _text in _headings(blocks[-1])}
    words = (c.text.strip(_FRAME) for c in blocks[-1] if c.offset not in headings and not _DIRECTIVE.match(c.text))
    return next((text for text in words if text), "")


def _savepoints(statements: Sequence[Statement]) -> list[Savepoint | None]:
    """Translate a script's transaction control; the stack holds the open BEGIN (as None) and the savepoints in it.

    :raises SqlScriptError: at control that has no such meaning.
    """
    stack: list[str | None] = []
    return [_savepoint(statement, stack) if statement.is_transaction_control else None for statement in statements]


def _savepoint(statement: Statement, stack: list[str | None]) -> Savepoint:
    command, name = statement.transaction_command, statement.node.get("savepoint_name")
    if command in ("BEGIN", "START") and not stack:
        stack.append(None)
        return Savepoint("set", 0)
    if command in ("COMMIT", "ROLLBACK") and stack and not statement.node.get("chain"):
        stack.clear()
        return Savepoint("release" if command == "COMMIT" else "undo", 0)
    if command == "SAVEPOINT" and stack:
        stack.append(name)
        return Savepoint("set", len(stack) - 1)
    if command in ("ROLLBACK_TO", "RELEASE") and name in stack:
        level = len(stack) - 1 - stack[::-1].index(name)
        del stack[level + (command == "ROLLBACK_TO") :]
        return Savepoint("roll_back_to" if command == "ROLLBACK_TO" else "release", level)
    if command in ("BEGIN", "START"):
        reason = "a transaction was begun above and is still open"
    elif command in ("COMMIT", "ROLLBACK", "SAVEPOINT") and not stack:
        reason = "no transaction was begun above"
    elif command in ("ROLLBACK_TO", "RELEASE"):
        reason = f"there is no savepoint {name}"
    else:
        reason = "a validation is never committed"
    raise SqlScriptError(
        f"{statement.sql.upper()} has no meaning here: {reason}",
        where=statement.position,
        next_step="Leave it out: whatever a validation does is rolled back. BEGIN; ... ROLLBACK; around a part is fine.",
    )
