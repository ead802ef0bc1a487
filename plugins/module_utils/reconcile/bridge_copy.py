# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project's schema on a scratch server: what pg_dump writes of its own schemas, completed by what its catalog says beside them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import DumpTools
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.expressions import canonical_expression
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    Catalog,
    compare_catalogs,
    extension_requirements,
    read_catalog,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.privileges import roles_in, unquoted
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.whole import draft_whole
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    execute,
    fetch_all,
    libpq_environment,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import find_program, run_program
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import server_error
from ansible_collections.pgops.supabase.plugins.module_utils.servers.scratch import ScratchServer
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import OWNER

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

# Nobody is connected to it, so a database can be copied.
_ELSEWHERE = "template1"
_CREATE_SCHEMA = re.compile(r"^CREATE SCHEMA (?!IF NOT EXISTS)", re.MULTILINE)
_NOT_COMPARED = re.compile(r"^(--.*|\s*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*)$")


@dataclass(frozen=True)
class Copy:
    """A copy, as it was read: its catalog is what the proof starts from.

    :param differs: what it has otherwise than the project itself.
    """

    database: str
    catalog: Catalog
    differs: list[CatalogChange]


def dump_schemas(
    tools: DumpTools, options: ConnectionOptions, settings: SessionSettings, schemas: Sequence[str], file: Path
) -> str:
    """What pg_dump writes of the schemas, without rows.

    :raises ToolError: when pg_dump fails.
    """
    names = ['"' + schema.replace('"', '""') + '"' for schema in schemas]
    command: list[Path | str] = [
        tools.pg_dump,
        "--schema-only",
        "--no-security-labels",
        *(f"--schema={name}" for name in names),
    ]
    run_program([*command, f"--file={file}"], env=libpq_environment(options, settings))
    return file.read_text("utf-8")


def dump_lines(text: str) -> Counter[str]:
    """The lines of a dump without what tells nothing of the schema, in no order: columns may stand at other places.

    Expressions are in one form: PostgreSQL writes some otherwise once it has read its own writing.
    """
    lines = (line.rstrip().removesuffix(",") for line in text.splitlines() if not _NOT_COMPARED.match(line))
    return Counter(map(canonical_expression, lines))


def make_copy(scratch: ScratchServer, name: str, catalog: Catalog, schemas: Sequence[str], dump: Path) -> Copy:
    """Make a database like the project that the catalog and the dump are of.

    :raises PgopsError: when an extension is not installed, or the server refuses something.
    """
    clone(scratch, OWNER, name)
    options = scratch.connection(name)
    with session(options, autocommit=True) as connection:
        _make_roles(connection, catalog)
        _make_extensions(connection, catalog)
    dump.write_text(_CREATE_SCHEMA.sub("CREATE SCHEMA IF NOT EXISTS ", dump.read_text("utf-8")), "utf-8")
    psql = find_program("psql", scratch.server.pg_bin)
    run_program(
        [psql, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={dump}"], env=libpq_environment(options)
    )
    with session(options) as connection:
        found = _complete(connection, catalog, schemas)
        connection.commit()
    return Copy(name, found, compare_catalogs(catalog, found))


def clone(scratch: ScratchServer, template: str, name: str) -> None:
    """Copy a database to which nobody is connected."""
    from psycopg2 import sql

    statement = sql.SQL("create database {} template {} owner {}")
    identifiers = [sql.Identifier(part) for part in (name, template, OWNER)]
    with session(scratch.connection(_ELSEWHERE), autocommit=True) as connection:
        execute(connection, statement.format(*identifiers))


def _make_roles(connection: PgConnection, catalog: Catalog) -> None:
    from psycopg2 import sql

    there = {str(name) for (name,) in fetch_all(connection, "select rolname from pg_catalog.pg_roles")} | {"public"}
    for role in sorted(_roles(catalog) - there):
        execute(connection, sql.SQL("create role {}").format(sql.Identifier(role)))
        execute(connection, sql.SQL("grant {} to {}").format(sql.Identifier(role), sql.Identifier(OWNER)))


def make_roles(scratch: ScratchServer, catalog: Catalog) -> None:
    """Make the roles that a catalog names and the server lacks, and let the project's role act for them."""
    with session(scratch.connection(_ELSEWHERE), autocommit=True) as connection:
        _make_roles(connection, catalog)


def _roles(catalog: Catalog) -> set[str]:
    roles = roles_in(catalog)
    for key, told in catalog.items():
        kind = CatalogKey.parse(key).kind
        roles |= {unquoted(role) for role in told.get("roles", [])} if kind == "policy" else set()
        roles |= {unquoted(CatalogKey.parse(key).defaults.role)} if kind == "default privileges" else set()
    return roles


def _make_extensions(connection: PgConnection, catalog: Catalog) -> None:
    import psycopg2

    there = {str(name) for (name,) in fetch_all(connection, "select quote_ident(extname) from pg_catalog.pg_extension")}
    for key in (key for key in catalog if key.startswith("extension ")):
        name, schema = CatalogKey.parse(key).name, catalog[key]["schema"]
        if name in there:
            continue
        try:
            if schema != "pg_catalog":
                execute(connection, f"create schema if not exists {schema}")
            home = "" if schema == "pg_catalog" else f" with schema {schema}"
            execute(connection, f"create extension if not exists {name}{home} cascade")
        except psycopg2.Error as error:
            raise server_error(error, f"The copy cannot have the extension {name}", "the scratch server") from error


def _complete(connection: PgConnection, catalog: Catalog, schemas: Sequence[str]) -> Catalog:
    """Add what a dump of schemas leaves out: default privileges, publications, event triggers, what stands on the platform's tables."""
    import psycopg2

    found = read_catalog(connection, schemas)
    draft = draft_whole(catalog, found, extension_requirements(connection))
    statements = [statement for step in draft.steps for statement in step.statements]
    if not statements:
        return found
    for statement in ["set check_function_bodies = off", *statements]:
        try:
            execute(connection, statement)
        except psycopg2.Error as error:
            raise server_error(error, "The copy could not be completed", "the scratch server") from error
    return read_catalog(connection, schemas)
