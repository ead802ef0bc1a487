# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts as a person reads them."""

from __future__ import annotations

import re

# Letters after which an English plural has another syllable.
_HISSES = ("s", "x", "z", "ch", "sh")


def number(count: int, noun: str) -> str:
    """A count with its noun: V(1 table), V(2 policies), V(12,000 indexes); of several words the last is the noun."""
    return f"{count:,} {noun if count == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """A noun of which there are several."""
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return noun + ("es" if noun.endswith(_HISSES) else "s")
