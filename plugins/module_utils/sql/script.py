# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQL files: read, split into statements with their places, and classified, by PostgreSQL's own parser (pglast)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import Position, SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import sha256_of_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.sql import nested_json

Node = dict[str, Any]

_LINE_END = re.compile(r"[\n\r]")
_BOM = b"\xef\xbb\xbf"
_IDENTIFIER = re.compile(r'"((?:[^"]|"")+)"|([A-Za-z_][A-Za-z0-9_$]*)')
# COPY ... FROM STDIN as the last statement before the place where its rows do not parse.
_INLINE_COPY = re.compile(r"\bcopy\b[^;]*\bfrom\s+stdin\b[^;]*;\s*[^;\n]*\Z", re.IGNORECASE)
UNPARSED_COPY = "COPY with inline data needs psql; a driver cannot send the rows that follow it"

# "cannot be executed inside a transaction block" / "cannot run inside a transaction block" in PostgreSQL's reference pages
# of the commands. ALTER TYPE ... ADD VALUE left this list with PostgreSQL 12.
_NEVER_IN_A_TRANSACTION = {
    "AlterSystemStmt": "ALTER SYSTEM",
    "CreatedbStmt": "CREATE DATABASE",
    "DropdbStmt": "DROP DATABASE",
    "CreateTableSpaceStmt": "CREATE TABLESPACE",
    "DropTableSpaceStmt": "DROP TABLESPACE",
    "DropSubscriptionStmt": "DROP SUBSCRIPTION",
}


@dataclass(frozen=True)
class Statement:
    """One statement of a script.

    ``sql`` is what is sent: from its first word to before its semicolon. ``offset`` is where it begins in the script's text,
    in characters.
    """

    sql: str
    offset: int
    position: Position
    tag: str
    node: Node

    @property
    def is_transaction_control(self) -> bool:
        """BEGIN, COMMIT, ROLLBACK, SAVEPOINT, PREPARE TRANSACTION and their like."""
        return self.tag == "TransactionStmt"

    @property
    def transaction_command(self) -> str:
        """For transaction control: V(BEGIN), V(START), V(COMMIT), V(ROLLBACK), V(SAVEPOINT) ...; otherwise empty."""
        return str(self.node.get("kind", "")).removeprefix("TRANS_STMT_") if self.is_transaction_control else ""


@dataclass(frozen=True)
class Script:
    """A SQL file in statements."""

    file: str
    text: str
    sha256: str
    statements: tuple[Statement, ...]

    @property
    def recorded(self) -> tuple[str, ...]:
        """What Supabase's history stores of the script, as its CLI writes it (3.1.0 and 2.122.1 do the same).

        That is whatever stands between two semicolons, the outer BEGIN and COMMIT too, without the space around it. Comments
        belong to the statement that follows them; comments that no statement follows are an entry of their own.
        """
        entries: list[str] = []
        end = 0
        for statement in self.statements:
            *alone, above = _split_at_semicolons(self.text[end : statement.offset])
            end = statement.offset + len(statement.sql)
            entries += [*alone, above + statement.sql]
        # The file's last character is not part of what stands before it, even where it ends a comment.
        entries += _split_at_semicolons(self.text[end:].removesuffix(";"))
        return tuple(entry.strip() for entry in entries if entry.strip())

    def position_of(self, offset: int) -> Position:
        """The place of a character offset in the script."""
        return position_at(self.file, self.text, offset)


def position_at(file: str, text: str, offset: int) -> Position:
    """The line and column, from 1, of a character offset in a text."""
    before = text[:offset]
    return Position(file, before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


def read_sql_file(path: Path) -> str:
    """The text of a SQL file as the Supabase CLI runs it (3.1.0 and 2.122.1): less a byte order mark, its line ends as they are.

    :raises SqlScriptError: when it is missing, is not UTF-8 or holds a NUL; says where and how to mend it.
    """
    return decode_sql(str(path), _content(path))


def has_byte_order_mark(path: Path) -> bool:
    """Whether a file begins with a byte order mark, which its text is without.

    :raises SqlScriptError: when it cannot be read.
    """
    return _content(path).startswith(_BOM)


def sha256_of_sql_file(path: Path) -> str:
    """The SHA-256 of that text with LF line ends, so that it does not depend on those that Git gives a checkout.

    :raises OSError: when the file cannot be read.
    """
    return _sha256(path.read_bytes())


def decode_sql(file: str, content: bytes) -> str:
    """The text of a SQL file's bytes; see :func:`read_sql_file`."""
    content = content.removeprefix(_BOM)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        raise SqlScriptError(
            f"The file is not UTF-8: byte 0x{content[error.start]:02X} cannot be read",
            where=position_at(file, before, len(before)),
            next_step=f"If it is Latin-1: iconv -f latin1 -t utf-8 {file} > {file}.utf8 && mv {file}.utf8 {file}",
        ) from error
    nul = text.find("\0")
    if nul >= 0:
        raise SqlScriptError(
            "The file holds a NUL byte, at which PostgreSQL would stop reading and drop the rest",
            where=position_at(file, text, nul),
            next_step=f"Remove it: tr -d '\\000' < {file} > {file}.clean && mv {file}.clean {file}",
        )
    return text


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SqlScriptError(
            f"Cannot read the SQL file: {error.strerror}", where=str(path), next_step=f"Look at: ls -l {path}"
        ) from error


def _sha256(content: bytes) -> str:
    return sha256_of_bytes(content.removeprefix(_BOM).replace(b"\r\n", b"\n"))


def parse_script(file: str, text: str) -> Script:
    """Split a script into statements with PostgreSQL's own parser.

    :raises SqlScriptError: at a syntax error, with file:line:column.
    """
    from pglast import parser

    try:
        parsed = nested_json.loads(parser.parse_sql_json(text))
    except parser.ParseError as error:
        message, offset = _parse_error(error, text)
        position = position_at(file, text, offset)
        hint = ""
        if _INLINE_COPY.search(text, 0, offset):
            hint = f"{UNPARSED_COPY}: write the rows as INSERT statements. "
        elif text[offset : offset + 1] == "\\":
            hint = "psql's backslash commands cannot be used here. "
        raise SqlScriptError(
            f"The file does not parse: {message}",
            where=position,
            next_step=f"{hint}Correct the statement at line {position.line} and run again.",
        ) from error
    statements = tuple(_statements(file, text, parsed.get("stmts", [])))
    return Script(file, text, _sha256(text.encode()), statements)


def _parse_error(error: Exception, text: str) -> tuple[str, int]:
    message = str(error.args[0])
    offset = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], int) else 0
    if message.endswith("at end of input"):
        offset = len(text.rstrip())
    return message, max(offset, 0)


def _statements(file: str, text: str, nodes: list[Node]) -> Iterator[Statement]:
    """The parser counts bytes and includes the white space and comments before a statement; a person counts characters."""
    content = text.encode()
    characters_before, bytes_before = 0, 0
    lines_before, line_start = 0, 0
    for item in nodes:
        start_byte = item.get("stmt_location", 0)
        length = item.get("stmt_len", 0) or len(content) - start_byte
        characters_before += len(content[bytes_before:start_byte].decode())
        bytes_before = start_byte
        raw = content[start_byte : start_byte + length].decode()
        offset = characters_before + _leading_space_and_comments(raw)
        end = characters_before + len(raw)
        newline = text.rfind("\n", line_start, offset)
        if newline >= 0:
            lines_before += text.count("\n", line_start, offset)
            line_start = newline + 1
        ((tag, node),) = item["stmt"].items()
        yield Statement(
            sql=text[offset:end].rstrip(),
            offset=offset,
            position=Position(file, lines_before + 1, offset - line_start + 1),
            tag=tag,
            node=node,
        )


def _leading_space_and_comments(text: str) -> int:
    """How many characters of white space, semicolons and comments a text begins with."""
    index = 0
    while index < len(text):
        if text[index].isspace() or text[index] == ";":
            index += 1
        elif (end := _end_of_comment(text, index)) > index:
            index = end
        else:
            break
    return index


def _split_at_semicolons(between: str) -> list[str]:
    """The parts of a text that stands between statements: it holds white space, comments and semicolons, nothing else."""
    parts, start, index = [], 0, 0
    while index < len(between):
        if between[index] == ";":
            parts.append(between[start:index])
            start = index + 1
        index = max(index + 1, _end_of_comment(between, index))
    return [*parts, between[start:]]


def _end_of_comment(text: str, index: int) -> int:
    """Where the comment ends that begins at an index, or the index itself; block comments nest, as in PostgreSQL.

    A lone carriage return ends a line comment, too: it is a line's end to PostgreSQL.
    """
    if text.startswith("--", index):
        line_end = _LINE_END.search(text, index)
        return line_end.end() if line_end else len(text)
    if not text.startswith("/*", index):
        return index
    depth, index = 1, index + 2
    while depth and index < len(text):
        if text.startswith("/*", index):
            depth, index = depth + 1, index + 2
        elif text.startswith("*/", index):
            depth, index = depth - 1, index + 2
        else:
            index += 1
    return index


def reason_not_transactional(statement: Statement) -> str | None:
    """The command's name when PostgreSQL refuses to run the statement in a transaction block, otherwise None."""
    node, tag = statement.node, statement.tag
    given = node.get("options")
    # Some statements keep flags, a number, under the same name.
    options = (
        {o["DefElem"]["defname"]: o["DefElem"] for o in given if "DefElem" in o} if isinstance(given, list) else {}
    )
    if tag in _NEVER_IN_A_TRANSACTION:
        return _NEVER_IN_A_TRANSACTION[tag]
    if tag in ("IndexStmt", "DropStmt") and node.get("concurrent"):
        return "CREATE INDEX CONCURRENTLY" if tag == "IndexStmt" else "DROP INDEX CONCURRENTLY"
    if tag == "ReindexStmt":
        concurrently = any(p["DefElem"]["defname"] == "concurrently" for p in node.get("params", []))
        whole = node.get("kind") in ("REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_DATABASE", "REINDEX_OBJECT_SYSTEM")
        return "REINDEX" if concurrently or whole else None
    if tag == "VacuumStmt":
        return "VACUUM" if node.get("is_vacuumcmd") else None
    if tag == "ClusterStmt":
        return None if node.get("relation") else "CLUSTER"
    if tag == "DiscardStmt":
        return "DISCARD ALL" if node.get("target") == "DISCARD_ALL" else None
    if tag == "AlterDatabaseStmt":
        return "ALTER DATABASE ... SET TABLESPACE" if "tablespace" in options else None
    if tag == "CreateSubscriptionStmt":
        return (
            None
            if _is_false(options.get("create_slot")) or _is_false(options.get("connect"))
            else "CREATE SUBSCRIPTION"
        )
    if tag == "AlterSubscriptionStmt":
        refreshes = node.get("kind") in ("ALTER_SUBSCRIPTION_REFRESH", "ALTER_SUBSCRIPTION_SET_PUBLICATION")
        return "ALTER SUBSCRIPTION ... REFRESH" if refreshes and not _is_false(options.get("refresh")) else None
    if tag == "AlterTableStmt":
        detaches = any(
            c["AlterTableCmd"].get("subtype") == "AT_DetachPartition"
            and c["AlterTableCmd"].get("def", {}).get("PartitionCmd", {}).get("concurrent")
            for c in node.get("cmds", [])
        )
        return "ALTER TABLE ... DETACH PARTITION CONCURRENTLY" if detaches else None
    return None


def _is_false(option: Node | None) -> bool:
    if option is None:
        return False
    value = option.get("arg", {})
    text = value.get("Boolean", {}).get("boolval", value.get("String", {}).get("sval"))
    if "TypeName" in value:
        # The grammar takes a plain word, as off, for the name of a type.
        text = value["TypeName"]["names"][-1]["String"]["sval"]
    return text is False or ("Boolean" in value and text is None) or str(text).lower() in ("false", "off", "no", "0")


def sets_only_the_session(statement: Statement) -> bool:
    """Whether a statement changes nothing but the session it runs in: SET, PREPARE, LISTEN, LOAD, select set_config(...)."""
    if statement.tag != "SelectStmt":
        return statement.tag in ("VariableSetStmt", "PrepareStmt", "ListenStmt", "LoadStmt")
    values = [target["ResTarget"].get("val", {}) for target in statement.node.get("targetList", [])]
    calls = [value.get("FuncCall", {}).get("funcname", [{}])[-1].get("String", {}).get("sval") for value in values]
    return bool(calls) and set(calls) == {"set_config"} and not statement.node.get("fromClause")


def resets_settings(statement: Statement) -> bool:
    """Whether a statement puts settings back to the session's defaults: RESET, SET ... TO DEFAULT, DISCARD ALL."""
    if statement.tag == "VariableSetStmt":
        return statement.node.get("kind") in ("VAR_RESET", "VAR_RESET_ALL", "VAR_SET_DEFAULT")
    return statement.tag == "DiscardStmt" and statement.node.get("target") == "DISCARD_ALL"


def makes_temporary(statement: Statement) -> bool:
    """Whether a statement makes a table, view or sequence that goes with its session."""
    node = statement.node
    made = [
        node.get("view"),
        node.get("sequence"),
        node.get("into", {}).get("rel"),
        node.get("intoClause", {}).get("rel"),
    ]
    if statement.tag == "CreateStmt":
        made.append(node["relation"])
    return any(relation.get("relpersistence") == "t" for relation in made if relation)


def created_names(script: Script) -> frozenset[str]:
    """The bare names, without schema, of what a script creates: tables, columns, functions, types, views, indexes ...

    What a DO block or a function creates cannot be known before it runs, so every word of a DO block counts: the answer
    may hold too much. It decides only whether a missing object is to be expected before the migration.
    """
    names: set[str] = set()
    for statement in script.statements:
        names.update(_names_created_by(statement))
    return frozenset(names)


def _names_created_by(statement: Statement) -> Iterator[str]:
    node, tag = statement.node, statement.tag
    if tag == "DoStmt":
        for quoted, plain in _IDENTIFIER.findall(statement.sql):
            yield quoted.replace('""', '"') if quoted else plain.lower()
        return
    for key in ("idxname", "schemaname", "trigname", "policy_name", "newname", "extname", "pubname", "role"):
        if isinstance(node.get(key), str):
            yield node[key]
    for key in ("funcname", "typeName", "domainname"):
        if tag.startswith("Create") and isinstance(node.get(key), list) and node[key]:
            yield node[key][-1]["String"]["sval"]
    relations = [node.get("view"), node.get("sequence"), node.get("typevar"), node.get("into", {}).get("rel")]
    if tag == "CreateStmt":
        relations.append(node.get("relation"))
    for relation in relations:
        if relation:
            yield relation["relname"]
    columns = [element.get("ColumnDef") for element in node.get("tableElts", []) + node.get("coldeflist", [])]
    for command in node.get("cmds", []):
        columns.append(command["AlterTableCmd"].get("def", {}).get("ColumnDef"))
    for column in columns:
        # ALTER COLUMN ... TYPE has a definition as well, of a column that is there.
        if column and "colname" in column:
            yield column["colname"]
