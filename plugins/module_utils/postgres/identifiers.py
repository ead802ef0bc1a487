# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and strings as SQL. Pure, where psycopg2's own quoting needs a connection."""

from __future__ import annotations

import re

_SIMPLE = re.compile(r"[a-z_][a-z0-9_]*")


def always_quoted(name: str) -> str:
    """An identifier as SQL, always in quotes."""
    return '"' + name.replace('"', '""') + '"'


def quoted(name: str) -> str:
    """An identifier as SQL, quoted where it has to be: for text that people read."""
    from pglast.keywords import COL_NAME_KEYWORDS, RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS

    keywords = RESERVED_KEYWORDS | COL_NAME_KEYWORDS | TYPE_FUNC_NAME_KEYWORDS
    if _SIMPLE.fullmatch(name) and name not in keywords:
        return name
    return always_quoted(name)


def literal(text: str) -> str:
    """A string as SQL, with standard_conforming_strings as it is by default."""
    return "'" + text.replace("'", "''") + "'"
