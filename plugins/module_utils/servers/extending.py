# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The extensions that a local project is asked to have: looked for in the server's programs and made by the superuser."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, LocalProjectError
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, session
from ansible_collections.pgops.supabase.plugins.module_utils.servers.extensions import STAND_INS
from ansible_collections.pgops.supabase.plugins.module_utils.servers.installation import has_library
from ansible_collections.pgops.supabase.plugins.module_utils.servers.server import Server
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

    from ansible_collections.pgops.supabase.plugins.module_utils.servers.documents import LocalProject

# Extensions that work only when the server has loaded their library at its start.
LOADED_AT_START = ("pg_cron", "pg_net", "pgaudit")
# The platform has extensions in the schema extensions, but for these and those whose own files name another place.
_HOMES = {"pg_cron": "pg_catalog"}
_PLACED = """
select v.name from pg_catalog.pg_available_extensions a
join pg_catalog.pg_available_extension_versions v on v.name = a.name and v.version = a.default_version
where v.schema is not null
"""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def libraries(pg_bin: Path, extensions: Sequence[str]) -> str:
    """What the server loads at its start, for C(shared_preload_libraries)."""
    wanted = ("pg_stat_statements", *(name for name in LOADED_AT_START if name in extensions))
    return ",".join(name for name in wanted if has_library(pg_bin, name))


def refuse_unavailable(extensions: Sequence[str], pg_bin: Path, *, stand_ins: bool, own: Server | None = None) -> None:
    """Look in an installation for all of them, before anything is made or changed.

    :param stand_ins: whether a server that is made of it has our stand-ins.
    :param own: a server that exists, whose own installation counts too.
    :raises InputError: naming all that cannot be had.
    """
    odd = [name for name in extensions if not _NAME.fullmatch(name)]
    places = _control_places(pg_bin) + ([own.installation / "share" / "extension"] if own else [])
    there = {path.stem for place in places for path in place.glob("*.control")}
    missing = [name for name in extensions if name not in there and not (stand_ins and name in STAND_INS)]
    if odd or missing:
        _refuse(sorted({*odd, *missing}), pg_bin)


def missing(project: LocalProject, extensions: Sequence[str]) -> list[str]:
    """Which of them the running project does not have.

    :raises ConnectionFailed: when its server does not run.
    """
    with session(project.connection(user=SUPERUSER), autocommit=True) as connection:
        return _missing(connection, extensions)


def make_extensions(project: LocalProject, extensions: Sequence[str]) -> list[str]:
    """Make those that the running project does not have, all or none. Returns which were made.

    :raises LocalProjectError: naming all that could not be made, with PostgreSQL's reasons.
    """
    import psycopg2
    from psycopg2 import sql

    reasons: dict[str, str] = {}
    with session(project.connection(user=SUPERUSER)) as connection:
        wanted = _missing(connection, extensions)
        placed = {name for (name,) in fetch_all(connection, _PLACED)}
        for name in wanted:
            # One that another of the list requires is there by then.
            home = "" if name in placed else f"with schema {_HOMES.get(name, 'extensions')}"
            statement = sql.SQL(f"create extension if not exists {{}} {home} cascade").format(sql.Identifier(name))
            execute(connection, "savepoint one")
            try:
                execute(connection, statement)
            except psycopg2.Error as error:
                reasons[name] = error.diag.message_primary or str(error).strip()
                execute(connection, "rollback to savepoint one")
        if not reasons:
            connection.commit()
            return wanted
    raise LocalProjectError(
        f"The local project {project.name} cannot have {_listed(list(reasons))}: "
        + "; ".join(f"{name}: {reason}" for name, reason in reasons.items()),
        where="extensions",
        state="the project runs, and none of the extensions was made",
        next_step="Mend what PostgreSQL says, leave them out, or name an installation that has them in pg_bin.",
        details={"extensions": list(reasons)},
    )


def _missing(connection: PgConnection, extensions: Sequence[str]) -> list[str]:
    there = {name for (name,) in fetch_all(connection, "select extname from pg_catalog.pg_extension")}
    return [name for name in dict.fromkeys(extensions) if name not in there]


def _control_places(pg_bin: Path) -> list[Path]:
    """Where installations have their extensions: their own prefix, or Debian's folder of the major version."""
    installation = pg_bin.resolve().parent
    return [
        installation / "share" / "extension",
        installation / "share" / "postgresql" / "extension",
        installation.parents[2] / "share" / "postgresql" / installation.name / "extension",
    ]


def _refuse(names: list[str], pg_bin: Path) -> None:
    stand_ins = [name for name in names if name in STAND_INS]
    hint = f" Of {_listed(stand_ins)} the embedded installation has stand-ins." if stand_ins else ""
    raise InputError(
        f"The server's programs do not have the extension{'s' if len(names) > 1 else ''} {_listed(names)}",
        where=str(pg_bin),
        next_step=f"Leave {'them' if len(names) > 1 else 'it'} out, or name an installation that has them in pg_bin.{hint}",
        details={"extensions": names},
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
