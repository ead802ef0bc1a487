# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The types of a project's schemas, made from the live catalog, checked against it, and written in one step."""

from __future__ import annotations

import json
import re
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, ToolError, TypesError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import (
    sha256_of_bytes,
    write_atomically,
    write_json,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    CONNECT_TIMEOUT_SECONDS,
    ConnectionOptions,
    SessionSettings,
    fetch_all,
    fetch_value,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import run_program
from ansible_collections.pgops.supabase.plugins.module_utils.publish.documents import TypesReport
from ansible_collections.pgops.supabase.plugins.module_utils.publish.typegen import (
    Generator,
    find_generator,
    install_generator,
)
from ansible_collections.pgops.supabase.plugins.module_utils.publish.typegen_script import SCRIPT, SETTINGS

TYPES_FILE = "types.json"
_FILE_OF_THE_REPOSITORY = 0o644
# The generator lists what the role may read, as PostgREST's own metadata does (postgres-meta, tables.sql).
_RELATIONS = """
select n.nspname, case when c.relkind in ('v', 'm') then 'Views' else 'Tables' end, c.relname
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%s) and c.relkind in ('r', 'p', 'f', 'v', 'm')
and (pg_catalog.pg_has_role(c.relowner, 'USAGE') or pg_catalog.has_table_privilege(c.oid, 'SELECT'))
union all
select n.nspname, 'Enums', t.typname
from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
where n.nspname = any(%s) and t.typtype = 'e'
"""
_KEY = re.compile(r'^( {2}| {4}| {6})(?:("(?:[^"\\]|\\.)*")|([^\W\d][\w$]*)):')

Entry = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class TypesRequest:
    """What to generate.

    :param cache: where the generator is installed when none is found.
    :param generator_dir: folder whose C(node_modules) holds the generator; None looks for one.
    :param timeout_seconds: how long the generator may take.
    """

    path: Path
    schemas: Sequence[str]
    cache: Path
    generator_dir: Path | None = None
    timeout_seconds: float = 120


@dataclass(frozen=True)
class TypesOutcome:
    """The document, and the file's text before and after."""

    report: TypesReport
    before: str
    after: str


def generate_types(
    options: ConnectionOptions, request: TypesRequest, *, write: bool, run_dir: Path | None = None
) -> TypesOutcome:
    """Bring a file of the repository to the types that the schemas have now.

    The old file stays as it is unless the new text names every table, view and enum that the catalog has.

    :param write: whether to write the file, or only to say what would be.
    :param run_dir: directory of the run; the document is written there.
    :raises InputError: when a schema is not there, or the path cannot be written.
    :raises ToolError: when Node.js, npm or the generator is missing or fails.
    :raises TypesError: when the generator's text is not the catalog's.
    """
    started = time.monotonic()
    target = request.path.resolve()
    if target.is_dir():
        raise InputError(
            f"{target} is a folder", where="path", next_step="Name the file, such as src/types/database.types.ts."
        )
    expected = _catalog(options, request.schemas)
    generator = find_generator(target, request.cache, request.generator_dir)
    if generator is None:
        generator = install_generator(request.cache)
    text = _generated(options, request, generator)
    _check(text, expected, generator)
    before = _text_of(target)
    if write and text != before:
        _write(target, text)
    report = TypesReport(
        path=str(request.path),
        schemas=list(request.schemas),
        generator=str(generator),
        relations=sum(kind != "Enums" for _schema, kind, _name in expected),
        enums=sum(kind == "Enums" for _schema, kind, _name in expected),
        sha256=sha256_of_bytes(text.encode()),
        changed=text != before,
        duration_seconds=round(time.monotonic() - started, 3),
    )
    if write and run_dir is not None:
        write_json(run_dir / TYPES_FILE, report.as_dict())
    return TypesOutcome(report, before, text)


def _catalog(options: ConnectionOptions, schemas: Sequence[str]) -> set[Entry]:
    """What the types have to name, read by a session of our own: schema, section of the file, and name."""
    with session(options, SessionSettings(read_only=True)) as connection:
        there = set(fetch_value(connection, "select array_agg(nspname::text) from pg_catalog.pg_namespace"))
        if missing := [schema for schema in schemas if schema not in there]:
            raise InputError(
                f"The database has no schema {', '.join(missing)}",
                where=options.place,
                next_step="Correct schemas (project_types.schemas in the inventory).",
            )
        return {(row[0], row[1], row[2]) for row in fetch_all(connection, _RELATIONS, [list(schemas)] * 2)}


def _generated(options: ConnectionOptions, request: TypesRequest, generator: Generator) -> str:
    settings = {
        "client": _login(options, request.timeout_seconds),
        "tls": _tls(options),
        "schemas": list(request.schemas),
        "role": options.session_role,
    }
    # Its environment can be read by its user only; the password is where it is taken out of what the program says.
    environment = {SETTINGS: json.dumps(settings), "PGPASSWORD": options.login_password or ""}
    said = run_program(
        [generator.node, "--no-deprecation", "--input-type=module", "-"],
        env=environment,
        cwd=generator.folder,
        stdin=SCRIPT,
        timeout=request.timeout_seconds,
        next_step=f"Look at what it says, or make the types by hand and compare: npx supabase gen types --lang typescript "
        f"--schema {','.join(request.schemas)}. The file was not touched.",
    ).stdout
    try:
        return str(json.loads(said)["types"])
    except (ValueError, KeyError, TypeError) as error:
        raise ToolError(
            f"{generator} wrote no whole text: it ends after {len(said)} characters",
            where=str(generator.folder),
            next_step=f"Remove {generator.folder / 'node_modules'}, and it is installed again. The file was not touched.",
        ) from error


def _login(options: ConnectionOptions, timeout_seconds: float) -> dict[str, Any]:
    """The connection by the names of node-postgres; of libpq's further parameters it knows none but options."""
    return {
        "host": options.login_host,
        "port": options.login_port,
        "user": options.login_user,
        "database": options.login_db,
        "application_name": "pgops.supabase",
        "connectionTimeoutMillis": CONNECT_TIMEOUT_SECONDS * 1000,
        "statement_timeout": round(timeout_seconds * 1000),
        "options": options.connect_params.get("options"),
    }


def _tls(options: ConnectionOptions) -> dict[str, Any] | None:
    """libpq's sslmode in the terms of TLS: node-postgres means other things by the same words.

    With require libpq checks the chain where it is given a root certificate (PostgreSQL, "SSL Support", Certificates).
    Below it the connection goes to this machine only.
    """
    if options.ssl_mode in ("disable", "allow", "prefer"):
        return None
    return {
        "verify": options.ssl_mode.startswith("verify") or options.ca_cert is not None,
        "host": options.ssl_mode == "verify-full",
        "ca": options.ca_cert,
        "cert": options.ssl_cert,
        "key": options.ssl_key,
    }


def _check(text: str, expected: set[Entry], generator: Generator) -> None:
    missing = sorted(expected - names_in(text))
    if missing or not text.endswith("} as const\n"):
        named = ", ".join(f"{schema}.{name}" for schema, _kind, name in missing[:5])
        raise TypesError(
            f"{generator} left out {len(missing)} of the catalog's {len(expected)} tables, views and enums"
            + (
                f": {named}{' ...' if len(missing) > 5 else ''}"
                if missing
                else ", and its text does not end as it should"
            ),
            where=str(generator.folder),
            state="the file is as before; the database is not touched by this",
            next_step="Was something created or dropped meanwhile? Then again. Else look whether it is the release "
            "that the application needs.",
        )


def names_in(text: str) -> set[Entry]:
    """The tables, views and enums that a formatted file of types names, with schema and section; pure."""
    found, path = set(), ["", "", ""]
    for line in text.splitlines():
        # Behind the first type stand helpers, and the constants with the same keys.
        if line == "}":
            if path[0]:
                break
        elif key := _KEY.match(line):
            level = len(key[1]) // 2 - 1
            path[level] = json.loads(key[2]) if key[2] else key[3]
            if level == 2:
                found.add((path[0], path[1], path[2]))
    return found


def _text_of(target: Path) -> str:
    try:
        return target.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise InputError(
            f"{target} is no text, so it is no file of types", where="path", next_step="Name another file."
        ) from error


def _write(target: Path, text: str) -> None:
    # The repository's other readers need it too; what was there keeps its mode.
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else _FILE_OF_THE_REPOSITORY
    write_atomically(target, text.encode(), mode=mode)
