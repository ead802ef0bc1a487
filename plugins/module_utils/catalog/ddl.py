# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a catalog says of an object, as SQL: for drafts, which people read, and for restores, which run it. Pure.

Strings are written for a session with standard_conforming_strings on.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import (
    ON_A_RELATION,
    WITHOUT_SCHEMA,
    CatalogKey,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.privileges import privilege_changes, unquoted
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.identifiers import literal, quoted

_PART_OF_A_NAME = re.compile(r'"(?:[^"]|"")*"|[^".]+')
_SWITCHES = {"origin": "enable", "disabled": "disable", "replica": "enable replica", "always": "enable always"}


def requoted(name: str) -> str:
    """A name as a catalog has it, with a schema or without, in quotes wherever a newer server wants them."""
    return _PART_OF_A_NAME.sub(lambda part: quoted(unquoted(part[0])), name)


def word_of(key: str) -> str:
    """The object as COMMENT, ALTER ... OWNER and DROP name it."""
    object_type, name = parsed = CatalogKey.parse(key)
    if object_type == "aggregate":
        return f"routine {name}"
    if object_type in ON_A_RELATION:
        return f"{object_type} {requoted(parsed.own_name)} on {requoted(parsed.on)}"
    return f"{object_type} {requoted(name) if object_type in (*WITHOUT_SCHEMA, 'schema') else name}"


def owner_statement(key: str, owner: str) -> str:
    """ALTER ... OWNER; the role as PostgreSQL's catalogs have it, without quotes."""
    return f"alter {word_of(key)} owner to {quoted(owner)};"


def comment_statement(key: str, comment: str | None, catalog: Container[str] = ()) -> str:
    """COMMENT ON, or its removal.

    :param catalog: the catalog's keys, which tell a constraint of a domain from one of a table.
    """
    what = word_of(key)
    object_type, _name = parsed = CatalogKey.parse(key)
    if object_type == "constraint" and f"domain {parsed.on}" in catalog:
        what = f"constraint {requoted(parsed.own_name)} on domain {requoted(parsed.on)}"
    return f"comment on {what} is {'null' if comment is None else literal(comment)};"


def policy_statement(key: str, definition: Mapping[str, Any]) -> str:
    """CREATE POLICY as the catalog describes it."""
    parts = [
        f"create {word_of(key)} as {definition['kind']} for {definition['command']}",
        f"to {', '.join(definition['roles'])}",
    ]
    if "using" in definition:
        parts.append(f"using ({definition['using']})")
    if "check" in definition:
        parts.append(f"with check ({definition['check']})")
    return " ".join(parts) + ";"


def switch_statement(key: str, definition: Mapping[str, Any]) -> str:
    """What has a trigger, a rule or an event trigger fire when the catalog says that it does."""
    object_type, _name = parsed = CatalogKey.parse(key)
    switch = _SWITCHES[definition["enabled"]]
    if object_type == "event trigger":
        return f"alter {word_of(key)} {switch};"
    return f"alter table {requoted(parsed.on)} {switch} {object_type} {requoted(parsed.own_name)};"


def grant_statements(
    target: str, found: Sequence[str] | None, wanted: Sequence[str] | None, *, column: str = "", prefix: str = ""
) -> list[str]:
    """What makes the access list of C(target) the wanted one, revokes first; lists are PostgreSQL's aclitem texts.

    :param target: what stands between ON and TO, such as C(table public.orders).
    :param column: the column of the target that the privileges are of, as SQL.
    :param prefix: what stands before GRANT or REVOKE.
    :raises ValueError: when an item is not one of an access list.
    """
    statements = []
    for change in privilege_changes(found or [], wanted or []):
        of_column = f" ({column})" if column else ""
        what = ", ".join(f"{privilege.lower()}{of_column}" for privilege in change.privileges)
        to = "to" if change.action == "grant" else "from"
        option = " with grant option" if change.grant_option else ""
        statements.append(f"{prefix}{change.action} {what} on {target} {to} {grantee(change.grantee)}{option};")
    return statements


def default_privileges_statements(key: str, found: Sequence[str] | None, wanted: Sequence[str] | None) -> list[str]:
    """ALTER DEFAULT PRIVILEGES from one access list to another; without either there is nothing granted.

    :param key: the catalog's key, C(default privileges of postgres for tables in public).
    :raises ValueError: when an item is not one of an access list.
    """
    role, kind, schema = CatalogKey.parse(key).defaults
    prefix = f"alter default privileges for role {requoted(role)} "
    if schema:
        prefix += f"in schema {requoted(schema)} "
    return grant_statements(kind, found, wanted, prefix=prefix)


def grantee(role: str | None) -> str:
    """Who is granted something, as SQL; None is PUBLIC."""
    return "public" if role is None else quoted(role)
