# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Supabase-shaped server for one job: made in a moment, reached through a private socket only, removed on every exit.

Nobody but its maker (and root) can reach it: it does not listen on the network, and its socket lies in a directory that only
the server's account may enter. A process that is killed leaves its server behind; the next scratch server finds and removes it.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.claims import (
    abandoned_directories,
    claimed_directory,
    cleaning_up_when_ended,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    execute,
    libpq_environment,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import (
    ProgramVersion,
    find_program,
    find_programs,
    program_version,
    run_program,
)
from ansible_collections.pgops.supabase.plugins.module_utils.servers.account import make_account
from ansible_collections.pgops.supabase.plugins.module_utils.servers.installation import add_stand_ins, has_library
from ansible_collections.pgops.supabase.plugins.module_utils.servers.server import (
    ORPHANS_END_SECONDS,
    POLL_SECONDS,
    SOCKET_ACCESS,
    Server,
    make_data_directory,
    run_sql_offline,
    settings_text,
    start_server,
    stop_server,
    write_settings,
)
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import (
    LOGIN_ROLES,
    OWNER,
    SERVER_SETTINGS,
    SUPERUSER,
    shape_script,
)

PREFIX = "pgops-scratch-"
PORT = 5432
PASSWORD_BYTES = 24
# A socket's address has room for 107 bytes (unix(7)).
LONGEST_SOCKET_PATH = 107

# Nothing of it has to survive; one transaction has to hold a lock on everything that a project can have.
_SETTINGS: Mapping[str, str] = {
    **SERVER_SETTINGS,
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "max_connections": "30",
    "max_locks_per_transaction": "4096",
    "maintenance_work_mem": "128MB",
    "statement_timeout": "0",
}
_ALREADY_THERE = "already exists"
_STILL_WRITTEN = (errno.ENOENT, errno.ENOTEMPTY)


@dataclass(frozen=True, kw_only=True)
class ScratchServer:
    """A running server. Its database C(postgres) has the shape of a new Supabase project."""

    directory: Path
    server: Server
    version: ProgramVersion
    passwords: Mapping[str, str] = field(repr=False)

    def connection(self, database: str = OWNER, user: str = SUPERUSER) -> ConnectionOptions:
        """How to connect: by default as the superuser to the Supabase-shaped database."""
        return ConnectionOptions(
            login_host=str(self.server.directory),
            login_port=PORT,
            login_user=user,
            login_password=self.passwords[user],
            login_db=database,
            ssl_mode="disable",
        )

    def create_database(self, name: str) -> ConnectionOptions:
        """Make an empty database that postgres owns, for an archive that brings everything, and say how to connect to it.

        It connects as the superuser: only that one can make what belongs to the platform.
        """
        from psycopg2 import sql

        statement = sql.SQL("create database {} template template0 encoding 'UTF8' owner {}")
        with session(self.connection(), autocommit=True) as connection:
            execute(connection, statement.format(sql.Identifier(name), sql.Identifier(OWNER)))
        return self.connection(name)

    def take_roles(self, script: Path) -> list[str]:
        """Make the roles of a backup (roles.sql) beside those that are there, and return what the server refused of it."""
        options = self.connection()
        result = run_program(
            [find_program("psql", self.server.pg_bin), "--no-psqlrc", "--quiet", f"--file={script}"],
            env=libpq_environment(options),
        )
        refused = [line.partition("ERROR:")[2].strip() for line in result.stderr.splitlines() if "ERROR:" in line]
        return [reason for reason in refused if not reason.endswith(_ALREADY_THERE)]


@contextmanager
def scratch_server(
    *,
    major: int | None = None,
    pg_bin: Path | str | None = None,
    place: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[ScratchServer]:
    """Have a server for one block. Servers that killed processes left in the same place are removed first.

    :param major: the version of PostgreSQL that it has to be; where that is not installed, the next newer one.
    :param pg_bin: directory of PostgreSQL's programs; binding when given.
    :param place: directory for its data, the system's temporary one by default.
    :param settings: of the server, beside or instead of its own.
    :raises ToolError: when no installed version will do, or a program fails.
    :raises LocalProjectError: when it does not start.
    :raises InputError: when the path of the place is too long for a socket.
    """
    programs, version = find_server_programs(major, pg_bin)
    place = (place or Path(tempfile.gettempdir())).absolute()
    remove_abandoned(place)
    with cleaning_up_when_ended(), claimed_directory(place, PREFIX) as directory:
        server = Server(directory / "server", programs)
        try:
            _require_short(server.directory)
            passwords = _make(server, pg_bin, {**_SETTINGS, **(settings or {})})
            yield ScratchServer(directory=directory, server=server, version=version, passwords=passwords)
        finally:
            _remove(directory)


def find_server_programs(major: int | None, pg_bin: Path | str | None) -> tuple[Path, ProgramVersion]:
    """The directory of a server's programs of this major version, or the next newer one that is installed.

    :raises ToolError: when there is none that is new enough.
    """
    found = [(program_version(program), program.parent) for program in find_programs("postgres", pg_bin)]
    fitting = [(version, programs) for version, programs in found if major is None or version.major >= major]
    if not fitting:
        versions = ", ".join(str(version) for version, _programs in found)
        raise ToolError(
            f"A server of PostgreSQL {major} or newer is needed, and installed is: {versions}",
            where=str(found[0][1]),
            next_step=f"Install PostgreSQL {major}, or point pg_bin (or $PG_BIN) at the programs of one.",
        )
    version, programs = fitting[0] if major is None else min(fitting, key=lambda pair: pair[0].major)
    return programs, version


def remove_abandoned(place: Path) -> list[Path]:
    """Stop and remove the scratch servers in a place whose makers are gone, and return where they were."""
    with abandoned_directories(place, f"{PREFIX}*") as found:
        for directory in found:
            _remove(directory)
    return found


def _make(server: Server, named: Path | str | None, settings: Mapping[str, str]) -> dict[str, str]:
    if os.geteuid() == 0:
        # Root's server runs as somebody else, who has to get through to its own directory.
        server.directory.parent.chmod(0o711)
    server.directory.mkdir(mode=0o700)
    account = make_account(server.directory, server.pg_bin)
    add_stand_ins(server, named)
    make_data_directory(server, account, SUPERUSER, durable=False, access=SOCKET_ACCESS)
    library = "pg_stat_statements"
    libraries = {"shared_preload_libraries": library} if has_library(server.pg_bin, library) else {}
    write_settings(server, settings_text({**libraries, **settings}, PORT, socket_directory=server.directory))
    passwords = {role: secrets.token_urlsafe(PASSWORD_BYTES) for role in LOGIN_ROLES}
    run_sql_offline(server, shape_script(passwords), OWNER)
    start_server(server)
    return passwords


def _remove(directory: Path) -> None:
    """Nobody needs its data any more, so it is stopped without writing anything down."""
    server = Server(directory / "server", Path())
    if server.data.exists():
        stop_server(server, how=signal.SIGQUIT)
    # Where the maker was killed while it made the server, initdb may go on for a moment, and files come and go.
    deadline = time.monotonic() + ORPHANS_END_SECONDS
    while directory.exists():
        try:
            shutil.rmtree(directory)
        except OSError as error:
            if error.errno not in _STILL_WRITTEN or time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)


def _require_short(directory: Path) -> None:
    socket = f"{directory}/.s.PGSQL.{PORT}"
    if len(socket.encode()) > LONGEST_SOCKET_PATH:
        raise InputError(
            f"The path of a scratch server's socket would be longer than {LONGEST_SOCKET_PATH} bytes: {socket}",
            where=str(directory.parent),
            next_step="Give a directory with a shorter path (scratch_dir, or the environment variable TMPDIR).",
        )
