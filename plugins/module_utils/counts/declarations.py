# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a migration says of the rows it means to add or take away: comment lines like C(-- pgops: rows public.notes +2)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowDeclaration
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Script, position_at

_IS_ONE = re.compile(r"--\s*pgops:\s*rows?\b", re.IGNORECASE)
_NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_DECLARATION = re.compile(rf"--\s*pgops:\s*rows\s+(?:({_NAME})\.)?({_NAME})\s+(any|[+-]\d+)\s*")


def read_declarations(script: Script) -> list[RowDeclaration]:
    """The declarations of a file, in order. Only real comments count, not what stands in a string or in a function's body.

    Names are read as SQL reads them: without quotes in lower case, without a schema in V(public).

    :raises SqlScriptError: at one that is not well formed.
    """
    if "pgops:" not in script.text:
        return []
    from pglast import parser

    found = []
    for token in parser.scan(script.text):
        text = script.text[token.start : token.end + 1] if token.name == "SQL_COMMENT" else ""
        if not _IS_ONE.match(text):
            continue
        position = position_at(script.file, script.text, token.start)
        match = _DECLARATION.fullmatch(text)
        if match is None:
            raise SqlScriptError(
                "This declaration of rows cannot be read",
                where=position,
                next_step="Write -- pgops: rows <schema>.<table> <+number, -number or any>, as: -- pgops: rows public.notes +2",
            )
        schema, table = _plain(match[1] or "public"), _plain(match[2])
        rows = None if match[3] == "any" else int(match[3])
        found.append(RowDeclaration(schema=schema, table=table, rows=rows, where=str(position)))
    return found


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def declared_in(declarations: Iterable[RowDeclaration], table: tuple[str, str]) -> str:
    """Where a table's rows are declared, in words; empty when nowhere."""
    return ", ".join(item.where for item in declarations if (item.schema, item.table) == table)
