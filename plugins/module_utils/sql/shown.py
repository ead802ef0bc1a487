# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A statement as it may be shown and kept: people and files that see it need not see what it keeps secret."""

from __future__ import annotations

_MOST_CHARACTERS = 80
_CONSTANTS = frozenset({"SCONST", "USCONST", "BCONST", "XCONST"})
_NUMBERS = frozenset({"ICONST", "FCONST"})
_COMMENTS = frozenset({"SQL_COMMENT", "C_COMMENT"})


def shown(sql: str) -> str:
    """The beginning of a statement on one line, as much as it takes to know it again.

    Every string is C('...'), bodies in dollars too, every number is C(...), and comments are left out: keys, passwords and rows
    stand in them.
    """
    from pglast import parser

    line, end = "", 0
    for token in parser.scan(sql):
        if end < token.start and line:
            line += " "
        end = token.end + 1
        if token.name in _CONSTANTS:
            line += "'...'"
        elif token.name in _NUMBERS:
            line += "..."
        elif token.name not in _COMMENTS:
            line += " ".join(sql[token.start : end].split())
        else:
            line = line.rstrip()
        if len(line) > _MOST_CHARACTERS:
            return line[: _MOST_CHARACTERS - 3] + "..."
    return line.rstrip()
