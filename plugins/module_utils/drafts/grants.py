# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GRANT and REVOKE as SQL for a draft, from one access list to another; lists are PostgreSQL's aclitem texts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.ddl import (
    default_privileges_statements,
    grant_statements,
    grantee,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, cut
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.privileges import unquoted
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.identifiers import quoted

# What PUBLIC may do with new objects of a kind unless somebody changed it; the owner may do everything.
_PUBLIC_BY_DEFAULT = {"functions": "X", "types": "U"}


class ForeignGrant(Exception):
    """A privilege that somebody else than the owner granted: only that role can take it back."""


def grant_changes(target: str, found: Sequence[str] | None, wanted: Sequence[str] | None, owner: str) -> list[str]:
    """What makes the access list of C(target) the wanted one, given the one found.

    :param target: what stands between ON and TO, such as C(table public.orders).
    :raises ForeignGrant: when the owner cannot do it.
    """
    _require_granted_by(owner, found, wanted)
    return grant_statements(target, found, wanted)


def column_grant_changes(
    relation: str, column: str, found: Sequence[str] | None, wanted: Sequence[str] | None, owner: str
) -> list[str]:
    """The same for one column."""
    _require_granted_by(owner, found, wanted)
    return grant_statements(f"table {relation}", found, wanted, column=column)


def grants_of_a_new_object(
    target: str, wanted: Sequence[str] | None, owner: str, may_have_been_granted: Iterable[str]
) -> list[str]:
    """The access list of an object that was just made, whatever the default privileges gave to it.

    :param may_have_been_granted: the roles that default privileges speak of, as SQL.
    :raises ForeignGrant: when the owner cannot do it.
    """
    _require_granted_by(owner, wanted)
    roles = sorted({"public", quoted(owner), *grantees(wanted), *may_have_been_granted})
    return [f"revoke all on {target} from {', '.join(roles)};", *grant_statements(target, None, wanted)]


def default_privileges_changes(key: str, found: Sequence[str] | None, wanted: Sequence[str] | None) -> list[str]:
    """ALTER DEFAULT PRIVILEGES from one list to another; None is the built-in default.

    :param key: the catalog's key, C(default privileges of postgres for tables in public).
    """
    role, kind, schema = CatalogKey.parse(key).defaults
    built_in: list[str] = []
    if not schema:
        # The key quotes a role as SQL does; an access list quotes it by rules of its own.
        own = unquoted(role)
        built_in = [item for item in found or wanted or [] if unquoted(cut(item, "=")[0]) == own]
        public = _PUBLIC_BY_DEFAULT.get(kind)
        built_in += [f"={public}/{role}"] if public else []
    return default_privileges_statements(key, found or built_in, wanted or built_in)


def grantees(access_list: Sequence[str] | None) -> set[str]:
    """The roles of an access list, as SQL."""
    return {grantee(unquoted(cut(item, "=")[0]) or None) for item in access_list or []}


def _require_granted_by(owner: str, *access_lists: Sequence[str] | None) -> None:
    for item in (item for access_list in access_lists for item in access_list or []):
        if unquoted(cut(item, "/")[1]) != owner:
            raise ForeignGrant(item)
