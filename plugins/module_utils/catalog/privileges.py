# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access lists as the catalog tells them, and the GRANT and REVOKE that turn one into another; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

# PostgreSQL, "Privileges", table of abbreviations.
_NAMES = {
    "r": "SELECT",
    "a": "INSERT",
    "w": "UPDATE",
    "d": "DELETE",
    "D": "TRUNCATE",
    "x": "REFERENCES",
    "t": "TRIGGER",
    "m": "MAINTAIN",
    "X": "EXECUTE",
    "U": "USAGE",
    "C": "CREATE",
}
_ITEM = re.compile(r'((?:"(?:[^"]|"")*"|[^"=/])*)=([a-zA-Z*]*)/(.+)', re.DOTALL)


@dataclass(frozen=True)
class PrivilegeChange:
    """One GRANT or REVOKE. ``grantee`` is None for PUBLIC."""

    action: Literal["grant", "revoke"]
    privileges: tuple[str, ...]
    grantee: str | None
    grant_option: bool = False


def privilege_changes(before: Sequence[str], after: Sequence[str]) -> list[PrivilegeChange]:
    """What turns one access list into another, revokes first; all as if granted by the same role.

    :param before: items as PostgreSQL writes them, C(anon=U/postgres).
    :raises ValueError: when an item is not one.
    """
    old, new = _rights(before), _rights(after)
    revokes, grants = [], []
    for grantee in sorted(old.keys() | new.keys(), key=lambda name: (name is not None, name or "")):
        had, has = old.get(grantee, {}), new.get(grantee, {})
        # A right that loses its grant option is taken and given again: simpler to read than GRANT OPTION FOR.
        lost = tuple(right for right in had if right not in has or had[right] and not has[right])
        if lost:
            revokes.append(PrivilegeChange("revoke", lost, grantee))
        for option in (False, True):
            gained = tuple(
                right
                for right in has
                if has[right] is option and (right not in had or right in lost or option and not had[right])
            )
            if gained:
                grants.append(PrivilegeChange("grant", gained, grantee, option))
    return revokes + grants


def _rights(items: Sequence[str]) -> dict[str | None, dict[str, bool]]:
    """For each grantee its rights, and whether it may grant them."""
    rights: dict[str | None, dict[str, bool]] = {}
    for item in items:
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"not an item of an access list: {item}")
        held = rights.setdefault(unquoted(match[1]) or None, {})
        for letter, option in re.findall(r"([a-zA-Z])(\*?)", match[2]):
            held[_NAMES[letter]] = held.get(_NAMES[letter], False) or option == "*"
    return rights


def roles_in(catalog: Mapping[str, Mapping[str, object]]) -> set[str]:
    """Every role that a catalog names as an owner, a grantee or a grantor."""
    roles: set[str] = set()
    for definition in catalog.values():
        owner, items = definition.get("owner"), definition.get("privileges")
        if isinstance(owner, str):
            roles.add(owner)
        for item in items if isinstance(items, list) else []:
            match = _ITEM.fullmatch(str(item))
            if match is not None:
                roles |= {unquoted(match[1]), unquoted(match[3])} - {""}
    return roles


def unquoted(identifier: str) -> str:
    """An identifier as PostgreSQL writes it, without its quotes."""
    if identifier.startswith('"') and identifier.endswith('"') and len(identifier) > 1:
        return identifier[1:-1].replace('""', '"')
    return identifier
