# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to a project's schemas but lives around them, brought back by comparing the catalog with the backup's.

Owner, grants and comment of schemas that stay, default privileges, extensions, publications, event triggers, and the project's
own triggers and policies on the platform's tables. What is equal is left alone; what the role may not change is left to the
verification to judge.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.ddl import (
    comment_statement,
    default_privileges_statements,
    grant_statements,
    owner_statement,
    policy_statement,
    switch_statement,
    word_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import Catalog
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.privileges import unquoted
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.restore.target import roles_not_ours

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

# What acldefault() calls the kinds of default privileges.
_ACL_KINDS = {"tables": "r", "sequences": "s", "functions": "f", "types": "T", "schemas": "n", "large objects": "L"}
_OF_TABLES = ("tables", "comment")


def attachments(catalog: Catalog, whole: Collection[str]) -> Catalog:
    """The project's triggers and policies on tables of schemas that stay."""
    return {
        key: definition
        for key, definition in catalog.items()
        if CatalogKey.parse(key).kind in ("trigger", "policy") and schema_of(key) not in whole
    }


def schema_of(key: str) -> str:
    """The schema of what a trigger or policy is on, as PostgreSQL's catalogs have it."""
    return unquoted(CatalogKey.parse(key).schema)


def detach(connection: PgConnection, now: Catalog, wanted: Catalog) -> None:
    """Drop the attachments that are to change, and every trigger: none of them may fire while rows are loaded.

    :param now: the attachments that are there; ``wanted``: those of the backup.
    """
    for key, definition in now.items():
        if CatalogKey.parse(key).kind == "trigger" or wanted.get(key) != definition:
            execute(connection, f"drop {word_of(key)}")


def attach(connection: PgConnection, now: Catalog, wanted: Catalog, present: Collection[str]) -> None:
    """Make the attachments that are missing, where there is a schema for them."""
    for key, definition in wanted.items():
        if key in now or schema_of(key) not in present:
            continue
        if CatalogKey.parse(key).kind == "policy":
            execute(connection, policy_statement(key, definition))
        else:
            # As PostgreSQL wrote it, with every name qualified.
            execute(connection, str(definition["definition"]))
            if definition["enabled"] != "origin":
                execute(connection, switch_statement(key, definition))
        if definition.get("comment"):
            execute(connection, comment_statement(key, definition["comment"]))


def settle_schemas(connection: PgConnection, now: Catalog, wanted: Catalog) -> None:
    """Give each schema the owner, grants and comment that it had."""
    for key, definition in wanted.items():
        object_type, name = CatalogKey.parse(key)
        if object_type != "schema":
            continue
        present = now[key]
        if present["owner"] != definition["owner"]:
            execute(connection, owner_statement(key, definition["owner"]))
            # PostgreSQL rewrites the grants of an owner who changes; what counts is how they are now.
            present = {**present, "privileges": _privileges_of_schema(connection, unquoted(name))}
        for statement in grant_statements(word_of(key), present.get("privileges"), definition.get("privileges")):
            execute(connection, statement)
        if present.get("comment") != definition.get("comment"):
            execute(connection, comment_statement(key, definition.get("comment")))


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
    defaults = {key: told for key, told in now.items() if CatalogKey.parse(key).kind == "default privileges"}
    own = {key: told for key, told in defaults.items() if _role_of_defaults(key) == role}
    settle_default_privileges(connection, own, {})


def settle_default_privileges(connection: PgConnection, now: Catalog, wanted: Catalog) -> None:
    """Have the default privileges again that the backup knows, of the roles that the session may speak for."""
    changed = {key for key in now.keys() | wanted.keys() if now.get(key) != wanted.get(key)}
    keys = sorted(key for key in changed if CatalogKey.parse(key).kind == "default privileges")
    foreign = set(roles_not_ours(connection, {_role_of_defaults(key) for key in keys}))
    for key in keys:
        defaults = CatalogKey.parse(key).defaults
        if _role_of_defaults(key) in foreign:
            continue
        # For one schema there is nothing by default; for all schemas, what PostgreSQL gives.
        default = [] if defaults.schema else _built_in_default(connection, defaults.kind, _role_of_defaults(key))
        before, after = (catalog[key]["privileges"] if key in catalog else default for catalog in (now, wanted))
        for statement in default_privileges_statements(key, before, after):
            execute(connection, statement)


def _role_of_defaults(key: str) -> str:
    return unquoted(CatalogKey.parse(key).defaults.role)


def _built_in_default(connection: PgConnection, kind: str, role: str) -> list[str]:
    return list(
        fetch_value(
            connection,
            'select array(select item::text from unnest(acldefault(%s::"char", oid)) as item) '
            "from pg_catalog.pg_roles where rolname = %s",
            [_ACL_KINDS[kind], role],
        )
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
        if schema not in {*present, "pg_catalog"}:
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
