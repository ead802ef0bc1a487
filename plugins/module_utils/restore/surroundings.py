# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to a project's schemas but lives around them, brought back by comparing the catalog with the backup's.

Owner, grants and comment of schemas that stay, default privileges, extensions, publications, event triggers, and the project's
own triggers and policies on the platform's tables. What is equal is left alone; what the role may not change is left to the
verification to judge.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import Catalog
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.privileges import (
    PrivilegeChange,
    privilege_changes,
    unquoted,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.restore.target import roles_not_ours

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection
    from psycopg2.sql import Composable

_IDENTIFIER = r'(?:"(?:[^"]|"")*"|[^" .]+)'
_ON_A_TABLE = re.compile(rf"({_IDENTIFIER}) on ({_IDENTIFIER})\.({_IDENTIFIER})")
_DEFAULT_PRIVILEGES = re.compile(
    rf"of ({_IDENTIFIER}) for (tables|sequences|functions|types|schemas|large objects)(?: in ({_IDENTIFIER}))?"
)
# What acldefault() calls the kinds of default privileges.
_ACL_KINDS = {"tables": "r", "sequences": "s", "functions": "f", "types": "T", "schemas": "n", "large objects": "L"}
_ENABLED = {"disabled": "disable", "replica": "enable replica", "always": "enable always"}
_OF_TABLES = ("tables", "comment")


def attachments(catalog: Catalog, whole: Collection[str]) -> Catalog:
    """The project's triggers and policies on tables of schemas that stay."""
    return {
        key: definition
        for key, definition in catalog.items()
        if CatalogKey.parse(key).kind in ("trigger", "policy") and place_of(key)[1] not in whole
    }


def place_of(key: str) -> tuple[str, str, str]:
    """The name, schema and table of a trigger or policy.

    :raises ValueError: when the key is of something else.
    """
    match = _ON_A_TABLE.fullmatch(CatalogKey.parse(key).name)
    if match is None:
        raise ValueError(f"not a trigger or policy on a table: {key}")
    return unquoted(match[1]), unquoted(match[2]), unquoted(match[3])


def detach(connection: PgConnection, now: Catalog, wanted: Catalog) -> None:
    """Drop the attachments that are to change, and every trigger: none of them may fire while rows are loaded.

    :param now: the attachments that are there; ``wanted``: those of the backup.
    """
    from psycopg2 import sql

    for key, definition in now.items():
        kind = CatalogKey.parse(key).kind
        if kind == "trigger" or wanted.get(key) != definition:
            name, schema, table = place_of(key)
            execute(
                connection,
                sql.SQL("drop {} {} on {}").format(sql.SQL(kind), sql.Identifier(name), sql.Identifier(schema, table)),
            )


def attach(connection: PgConnection, now: Catalog, wanted: Catalog, present: Collection[str]) -> None:
    """Make the attachments that are missing, where there is a schema for them."""
    from psycopg2 import sql

    for key, definition in wanted.items():
        name, schema, table = place_of(key)
        if key in now or schema not in present:
            continue
        on_table = sql.Identifier(schema, table)
        if CatalogKey.parse(key).kind == "policy":
            execute(connection, _policy(sql.Identifier(name), on_table, definition))
        else:
            # As PostgreSQL wrote it, with every name qualified.
            execute(connection, str(definition["definition"]))
            if definition["enabled"] in _ENABLED:
                switch = sql.SQL(_ENABLED[definition["enabled"]])
                execute(
                    connection, sql.SQL("alter table {} {} trigger {}").format(on_table, switch, sql.Identifier(name))
                )
        if definition.get("comment"):
            execute(
                connection,
                sql.SQL("comment on {} {} on {} is {}").format(
                    sql.SQL(CatalogKey.parse(key).kind),
                    sql.Identifier(name),
                    on_table,
                    sql.Literal(definition["comment"]),
                ),
            )


def _policy(name: Composable, table: Composable, definition: Mapping[str, Any]) -> Composable:
    from psycopg2 import sql

    parts = [
        sql.SQL("create policy {} on {} as").format(name, table),
        sql.SQL(definition["kind"]),
        sql.SQL("for"),
        sql.SQL(definition["command"]),
        sql.SQL("to"),
        sql.SQL(", ").join(map(sql.SQL, definition["roles"])),
    ]
    for keyword, part in (("using", "using"), ("with check", "check")):
        if part in definition:
            parts += [sql.SQL(keyword), sql.SQL("("), sql.SQL(definition[part]), sql.SQL(")")]
    return sql.SQL(" ").join(parts)


def settle_schemas(connection: PgConnection, now: Catalog, wanted: Catalog) -> None:
    """Give each schema the owner, grants and comment that it had."""
    from psycopg2 import sql

    for key, definition in wanted.items():
        object_type, quoted = CatalogKey.parse(key)
        if object_type != "schema":
            continue
        schema, present = sql.Identifier(unquoted(quoted)), now[key]
        if present["owner"] != definition["owner"]:
            execute(
                connection,
                sql.SQL("alter schema {} owner to {}").format(schema, sql.Identifier(definition["owner"])),
            )
            # PostgreSQL rewrites the grants of an owner who changes; what counts is how they are now.
            present = {**present, "privileges": _privileges_of_schema(connection, unquoted(quoted))}
        for change in privilege_changes(present.get("privileges") or [], definition.get("privileges") or []):
            execute(connection, _grant(change, sql.SQL("on schema {}").format(schema)))
        if present.get("comment") != definition.get("comment"):
            # A parameter beside it would have psycopg2 take a percent sign in the schema's name for a place of its own.
            comment = sql.Literal(definition.get("comment"))
            execute(connection, sql.SQL("comment on schema {} is {}").format(schema, comment))


def let_owners_create(connection: PgConnection, owners: Sequence[tuple[str, str]]) -> None:
    """Let each owner create in the schema for the time being: PostgreSQL asks that of whoever is to own something in it.

    :param owners: schema and role. Settling the schemas again takes it back.
    """
    from psycopg2 import sql

    for schema, role in owners:
        may = fetch_value(
            connection,
            "select pg_catalog.has_schema_privilege(r.oid, n.oid, 'create') from pg_catalog.pg_roles r, "
            "pg_catalog.pg_namespace n where r.rolname = %s and n.nspname = %s",
            [role, schema],
        )
        if may is False:
            execute(
                connection,
                sql.SQL("grant create on schema {} to {}").format(sql.Identifier(schema), sql.Identifier(role)),
            )


def _privileges_of_schema(connection: PgConnection, schema: str) -> list[str]:
    return list(
        fetch_value(
            connection,
            "select array(select item::text from unnest(coalesce(nspacl, acldefault('n', nspowner))) as item) "
            "from pg_catalog.pg_namespace where nspname = %s",
            [schema],
        )
    )


def clear_default_privileges(connection: PgConnection, now: Catalog) -> None:
    """Take back what the role's new objects would be granted by default: an archive tells grants as if there were none."""
    role = str(fetch_value(connection, "select current_user"))
    own = {key: definition for key, definition in now.items() if _default_privileges_role(key) == role}
    settle_default_privileges(connection, own, {})


def settle_default_privileges(connection: PgConnection, now: Catalog, wanted: Catalog) -> None:
    """Have the default privileges again that the backup knows, of the roles that the session may speak for."""
    keys = [
        key
        for key in sorted(now.keys() | wanted.keys())
        if _default_privileges_role(key) and now.get(key) != wanted.get(key)
    ]
    foreign = set(roles_not_ours(connection, {_default_privileges_role(key) for key in keys}))
    for key in keys:
        match = _DEFAULT_PRIVILEGES.fullmatch(CatalogKey.parse(key).name)
        if match is None or unquoted(match[1]) in foreign:
            continue
        role, kind, schema = unquoted(match[1]), match[2], unquoted(match[3]) if match[3] else None
        # For one schema there is nothing by default; for all schemas, what PostgreSQL gives.
        default = [] if schema is not None else _built_in_default(connection, kind, role)
        before, after = (catalog[key]["privileges"] if key in catalog else default for catalog in (now, wanted))
        for change in privilege_changes(before or [], after or []):
            execute(connection, _default_privileges_statement(change, role, kind, schema))


def _default_privileges_role(key: str) -> str:
    object_type, name = CatalogKey.parse(key)
    match = _DEFAULT_PRIVILEGES.fullmatch(name) if object_type == "default privileges" else None
    return unquoted(match[1]) if match else ""


def _built_in_default(connection: PgConnection, kind: str, role: str) -> list[str]:
    return list(
        fetch_value(
            connection,
            'select array(select item::text from unnest(acldefault(%s::"char", oid)) as item) '
            "from pg_catalog.pg_roles where rolname = %s",
            [_ACL_KINDS[kind], role],
        )
    )


def _default_privileges_statement(change: PrivilegeChange, role: str, kind: str, schema: str | None) -> Composable:
    from psycopg2 import sql

    parts = [sql.SQL("alter default privileges for role {}").format(sql.Identifier(role))]
    if schema is not None:
        parts.append(sql.SQL("in schema {}").format(sql.Identifier(schema)))
    return sql.SQL(" ").join([*parts, _grant(change, sql.SQL("on {}").format(sql.SQL(kind)))])


def _grant(change: PrivilegeChange, target: Composable) -> Composable:
    from psycopg2 import sql

    return sql.SQL("{action} {privileges} {target} {to} {grantee} {option}").format(
        action=sql.SQL(change.action),
        privileges=sql.SQL(", ").join(map(sql.SQL, change.privileges)),
        target=target,
        to=sql.SQL("to" if change.action == "grant" else "from"),
        grantee=sql.SQL("public") if change.grantee is None else sql.Identifier(change.grantee),
        option=sql.SQL("with grant option" if change.grant_option else ""),
    )


def drop_newer(connection: PgConnection, now: Catalog, wanted: Catalog) -> None:
    """Drop the extensions, publications and event triggers that the backup does not have, or has otherwise, if they are ours."""
    from psycopg2 import sql

    ours = _ours(connection)
    for key in now:
        object_type, name = CatalogKey.parse(key)
        if object_type not in ("extension", "publication", "event trigger") or key not in ours:
            continue
        if key not in wanted or object_type != "extension" and not same_but_for_tables(now[key], wanted[key]):
            execute(
                connection,
                sql.SQL("drop {} if exists {} cascade").format(sql.SQL(object_type), sql.Identifier(unquoted(name))),
            )


def same_but_for_tables(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a publication is the same but for its tables: those come back with the tables."""
    return {k: v for k, v in one.items() if k not in _OF_TABLES} == {
        k: v for k, v in other.items() if k not in _OF_TABLES
    }


def _ours(connection: PgConnection) -> set[str]:
    """The catalog's keys of those extensions, publications and event triggers that the role may drop."""
    return {key for key, ours in _owned(connection) if ours}


def not_ours(connection: PgConnection) -> set[str]:
    """The catalog's keys of the extensions, publications and event triggers that belong to others."""
    return {key for key, ours in _owned(connection) if not ours}


def _owned(connection: PgConnection) -> list[tuple[str, bool]]:
    rows = fetch_all(
        connection,
        """
        select 'extension ' || quote_ident(extname), pg_has_role(extowner, 'usage') from pg_catalog.pg_extension
        union all
        select 'publication ' || quote_ident(pubname), pg_has_role(pubowner, 'usage') from pg_catalog.pg_publication
        union all
        select 'event trigger ' || quote_ident(evtname), pg_has_role(evtowner, 'usage') from pg_catalog.pg_event_trigger
        """,
    )
    return [(str(key), bool(ours)) for key, ours in rows]


def missing_names(connection: PgConnection, wanted: Catalog, kind: str) -> frozenset[str]:
    """The names of the backup's publications or event triggers that the target does not have now."""
    catalog = {"publication": ("pg_publication", "pubname"), "event trigger": ("pg_event_trigger", "evtname")}[kind]
    from psycopg2 import sql

    rows = fetch_all(
        connection,
        sql.SQL("select {} from {}").format(sql.Identifier(catalog[1]), sql.Identifier("pg_catalog", catalog[0])),
    )
    present = {str(name) for (name,) in rows}
    named = {unquoted(CatalogKey.parse(key).name) for key in wanted if CatalogKey.parse(key).kind == kind}
    return frozenset(named - present)


def make_extensions(connection: PgConnection, wanted: Catalog, present: Collection[str]) -> None:
    """Make the extensions that are missing, in their schemas and versions."""
    from psycopg2 import sql

    there = {
        f"extension {name}"
        for (name,) in fetch_all(connection, "select quote_ident(extname) from pg_catalog.pg_extension")
    }
    for key, definition in wanted.items():
        object_type, name = CatalogKey.parse(key)
        if object_type != "extension" or key in there:
            continue
        schema = unquoted(definition["schema"])
        if schema not in present:
            execute(connection, sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
        execute(
            connection,
            sql.SQL("create extension {} with schema {} version {}").format(
                sql.Identifier(unquoted(name)), sql.Identifier(schema), sql.Literal(definition["version"])
            ),
        )


def unavailable_extensions(connection: PgConnection, wanted: Catalog) -> list[str]:
    """The backup's extensions that neither are in the database nor could be made in it, with their versions."""
    rows = fetch_all(
        connection,
        "select quote_ident(name), version from pg_catalog.pg_available_extension_versions "
        "union select quote_ident(extname), null from pg_catalog.pg_extension",
    )
    available: set[tuple[str, str | None]] = set(rows)
    unavailable: Sequence[tuple[str, str]] = [
        (CatalogKey.parse(key).name, str(definition["version"]))
        for key, definition in wanted.items()
        if CatalogKey.parse(key).kind == "extension"
    ]
    return [
        f"{name} {version}"
        for name, version in unavailable
        if (name, version) not in available and (name, None) not in available
    ]
