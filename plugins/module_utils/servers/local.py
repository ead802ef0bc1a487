# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A local project: a Supabase-shaped PostgreSQL on loopback that is made, started, stopped and removed by name."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, LocalProjectError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import read_json, write_json
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    execute,
    fetch_value,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import find_program, program_version
from ansible_collections.pgops.supabase.plugins.module_utils.servers.account import make_account
from ansible_collections.pgops.supabase.plugins.module_utils.servers.directory import (
    PROJECT_FILE,
    SERVER,
    half_removed,
    leftovers,
    locked,
    new_making_directory,
    project_directory,
    refuse_foreign,
)
from ansible_collections.pgops.supabase.plugins.module_utils.servers.documents import LocalProject
from ansible_collections.pgops.supabase.plugins.module_utils.servers.extending import (
    libraries,
    make_extensions,
    missing,
    refuse_unavailable,
)
from ansible_collections.pgops.supabase.plugins.module_utils.servers.installation import (
    add_stand_ins,
    gets_stand_ins,
    refresh,
)
from ansible_collections.pgops.supabase.plugins.module_utils.servers.server import (
    HOST,
    Server,
    free_port,
    make_data_directory,
    port_is_free,
    remove_directory,
    run_sql_offline,
    running_pid,
    settings_in_force,
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
    TEMPLATE_DATABASE,
    shape_script,
)

State = Literal["absent", "stopped", "started"]

START_ATTEMPTS = 5
HIGHEST_PORT = 65535
PASSWORD_BYTES = 24


@dataclass(frozen=True)
class Outcome:
    """What a request for a state did. ``before`` and ``after`` describe the project for a diff, without secrets."""

    changed: bool
    state: State
    before: dict[str, Any]
    after: dict[str, Any]
    project: LocalProject | None


def read_project(state_dir: Path, name: str) -> LocalProject | None:
    """The project of this name, None when there is none that is whole.

    :raises LocalProjectError: when its project.json cannot be read.
    """
    directory = project_directory(state_dir, name)
    project_file = directory / PROJECT_FILE
    if not project_file.exists() or not (directory / SERVER / "data" / "PG_VERSION").exists():
        return None
    try:
        return from_dict(LocalProject, {**read_json(project_file), "directory": str(directory)})
    except (OSError, ValueError, TypeError) as error:
        raise LocalProjectError(
            f"The description of the local project {name} cannot be read: {error}",
            where=str(project_file),
            next_step="Remove the project with state: absent and make it anew, or mend the file.",
        ) from error


def ensure_started(
    state_dir: Path,
    name: str,
    *,
    port: int = 0,
    pg_bin: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    extensions: Sequence[str] = (),
    check_mode: bool = False,
) -> Outcome:
    """Have the project exist and its server run.

    :param port: port of loopback; 0 keeps the one it had when that is free, and otherwise takes any free one.
    :param pg_bin: directory of PostgreSQL's programs; None keeps those it was made with, or finds some.
    :param settings: server settings, all of them; None keeps those it has. A change of settings restarts the server.
    :param extensions: those that its database has to have; they are made by the superuser, and none is dropped.
    :raises LocalProjectError: when it cannot be made or started, or an extension not be made.
    :raises InputError: when the name or a setting is not usable, or the programs lack an extension.
    :raises ToolError: when PostgreSQL's programs are missing or fail.
    """
    directory = project_directory(state_dir, name)
    if not 0 <= port <= HIGHEST_PORT:
        raise InputError(
            f"{port} is not a port", where="port", next_step=f"Use a number up to {HIGHEST_PORT}, or 0 for a free one."
        )
    if check_mode:
        return _start(directory, name, port, pg_bin, settings, extensions, check_mode=True)
    with locked(directory):
        return _start(directory, name, port, pg_bin, settings, extensions, check_mode=False)


def ensure_stopped(state_dir: Path, name: str, *, check_mode: bool = False) -> Outcome:
    """Have the project's server not run. Its data stays.

    :raises LocalProjectError: when there is no such project.
    """
    project = read_project(state_dir, name)
    if project is None:
        raise LocalProjectError(
            f"There is no local project {name} that could be stopped",
            where=str(project_directory(state_dir, name)),
            next_step="Check name and state_dir, or make it with state: started.",
        )
    before = _facts(project)
    if running_pid(project.server) is None:
        return Outcome(False, "stopped", before, before, project)
    if not check_mode:
        with locked(Path(project.directory)):
            stop_server(project.server)
    return Outcome(True, "stopped", before, {**before, "state": "stopped"}, project)


def ensure_absent(state_dir: Path, name: str, *, check_mode: bool = False) -> Outcome:
    """Have nothing left of the project: its server stopped, its data and its passwords removed.

    :raises LocalProjectError: when the directory holds what is not a local project's.
    """
    directory = project_directory(state_dir, name)
    remains = half_removed(directory)
    if not directory.exists() and not remains:
        return Outcome(False, "absent", {"state": "absent"}, {"state": "absent"}, None)
    # A project.json that cannot be read is no reason to keep the project: nothing of it is needed here.
    server = Server(directory / SERVER, Path())
    before = {"state": "started" if running_pid(server) is not None else "stopped"}
    if directory.exists():
        refuse_foreign(directory)
    if not check_mode:
        with locked(directory):
            stop_server(server)
            for path in (*remains, directory):
                if path.exists():
                    remove_directory(path)
    return Outcome(True, "absent", before, {"state": "absent"}, None)


def create_database(project: LocalProject, name: str) -> ConnectionOptions:
    """Make one more database of the project's shape, owned by postgres, and say how to connect to it as postgres.

    :raises ConnectionFailed: when the project's server does not run.
    :raises LocalProjectError: when there is a database of this name.
    """
    import psycopg2
    from psycopg2 import sql

    database = sql.Identifier(name)
    statements = [
        sql.SQL("create database {} template {} owner {}").format(
            database, sql.Identifier(TEMPLATE_DATABASE), sql.Identifier(OWNER)
        ),
        sql.SQL("grant all on database {} to dashboard_user").format(database),
    ]
    with session(project.connection(user=SUPERUSER), autocommit=True) as connection:
        try:
            for statement in statements:
                execute(connection, statement)
        except psycopg2.Error as error:
            raise LocalProjectError(
                f"The database {name} cannot be made: {str(error).strip()}",
                where=project.uri,
                next_step="Choose another name, or drop the database that has it.",
                details={"sqlstate": error.pgcode},
            ) from error
    return project.connection(name)


def drop_database(project: LocalProject, name: str) -> bool:
    """Remove a database and end its sessions. Returns whether there was one.

    :raises ConnectionFailed: when the project's server does not run.
    """
    from psycopg2 import sql

    with session(project.connection(user=SUPERUSER), autocommit=True) as connection:
        found = fetch_value(connection, "select true from pg_catalog.pg_database where datname = %s", [name])
        if found:
            execute(connection, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    return bool(found)


def _start(
    directory: Path,
    name: str,
    port: int,
    pg_bin: Path | None,
    settings: Mapping[str, Any] | None,
    extensions: Sequence[str],
    *,
    check_mode: bool,
) -> Outcome:
    project = read_project(directory.parent, name)
    before = _facts(project) if project else {"state": "absent"}
    if project is None:
        settings_text(settings or {}, port)
        programs = find_program("postgres", pg_bin).parent
        refuse_unavailable(extensions, programs, stand_ins=gets_stand_ins(programs, pg_bin))
        if directory.exists():
            refuse_foreign(directory)
        if check_mode:
            predicted = {"state": "started", "settings": dict(settings or {}), "extensions": list(extensions)}
            return Outcome(True, "started", before, predicted, None)
        project = _make(directory, name, programs, settings or {}, extensions, named=pg_bin)
    else:
        served_by = project.pg_bin
        project.settings = dict(project.settings if settings is None else settings)
        project.pg_bin = str(_programs_for(project, pg_bin))
        refuse_unavailable(extensions, Path(project.pg_bin), stand_ins=False, own=project.server)
        project.extensions = list(dict.fromkeys([*project.extensions, *extensions]))
        running = running_pid(project.server) is not None and project.pg_bin == served_by
        wanted = _full_text(project, port or project.port)
        after = {**_facts(project), "state": "started", "port": port or project.port}
        if running and settings_in_force(project.server, wanted):
            lacking = missing(project, extensions) if extensions else []
            if lacking and not check_mode:
                make_extensions(project, lacking)
                write_json(project.project_file, project.as_dict())
            return Outcome(bool(lacking), "started", before, after if lacking else before, project)
        if check_mode:
            return Outcome(True, "started", before, after, project)
        write_settings(project.server, wanted)
        stop_server(project.server)
        refresh(project.server)
    _bring_up(project, port)
    make_extensions(project, extensions)
    return Outcome(True, "started", before, _facts(project), project)


def _make(
    directory: Path,
    name: str,
    pg_bin: Path,
    settings: Mapping[str, Any],
    extensions: Sequence[str],
    *,
    named: Path | None,
) -> LocalProject:
    """Make a project that has never run. What an interrupted attempt left is made anew: nobody has used it."""
    if (directory / SERVER).exists():
        raise LocalProjectError(
            f"The local project {name} has a server but not its description, or no whole data directory",
            where=str(directory),
            next_step=f"Bring back {PROJECT_FILE} and the data, or remove the project with state: absent.",
        )
    directory.mkdir(exist_ok=True)
    for leftover in leftovers(directory):
        remove_directory(leftover)
    making = Server(new_making_directory(directory), pg_bin)
    try:
        account = make_account(making.directory, pg_bin)
        add_stand_ins(making, named)
        durable = settings.get("fsync") not in (False, "off")
        make_data_directory(making, account, SUPERUSER, durable=durable)
        project = LocalProject(
            name=name,
            host=HOST,
            port=0,
            database=OWNER,
            user=OWNER,
            superuser=SUPERUSER,
            passwords={role: secrets.token_urlsafe(PASSWORD_BYTES) for role in LOGIN_ROLES},
            directory=str(directory),
            pg_bin=str(pg_bin),
            server_version=program_version(pg_bin / "postgres").text,
            settings=dict(settings),
            extensions=list(extensions),
        )
        write_settings(making, _full_text(project, free_port()))
        run_sql_offline(making, shape_script(project.passwords), OWNER)
    except BaseException:
        remove_directory(making.directory)
        if not any(directory.iterdir()):
            directory.rmdir()
        raise
    write_json(project.project_file, project.as_dict())
    making.directory.rename(project.server.directory)
    return project


def _bring_up(project: LocalProject, port: int) -> None:
    """Start the server on its port. A port that was not asked for by number may change, for somebody else may take it."""
    for attempt in range(START_ATTEMPTS):
        candidate = port or (project.port if attempt == 0 and project.port else free_port())
        if port_is_free(candidate):
            write_settings(project.server, _full_text(project, candidate))
            try:
                start_server(project.server)
            except LocalProjectError:
                if port_is_free(candidate):
                    raise
            else:
                project.port = candidate
                write_json(project.project_file, project.as_dict())
                return
        if port:
            raise LocalProjectError(
                f"Port {port} of {HOST} is taken by another program",
                where=f"{HOST}:{port}",
                state="the server is stopped, its data is untouched",
                next_step="Choose another port, or leave it out to get a free one.",
            )
    raise LocalProjectError(
        f"No free port was found for the local project {project.name}",
        where=HOST,
        state="the server is stopped, its data is untouched",
        next_step="Try again, or choose a port.",
    )


def _programs_for(project: LocalProject, pg_bin: Path | None) -> Path:
    """The directory of programs that can serve the project's data: as asked, or as before, or newly found.

    :raises LocalProjectError: when their major version is not the data's.
    """
    if pg_bin is None and (Path(project.pg_bin) / "postgres").exists():
        return Path(project.pg_bin)
    postgres = find_program("postgres", pg_bin)
    if postgres.parent == Path(project.pg_bin):
        return postgres.parent
    data_version = (project.server.data / "PG_VERSION").read_text().strip()
    version = program_version(postgres)
    if str(version.major) != data_version:
        raise LocalProjectError(
            f"The data of the local project {project.name} is PostgreSQL {data_version}'s, the programs are {version}",
            where=str(postgres.parent),
            next_step=f"Use a pg_bin of version {data_version}, or remove the project with state: absent.",
        )
    project.server_version = version.text
    return postgres.parent


def _full_text(project: LocalProject, port: int) -> str:
    """The settings file: the platform's settings, under the caller's, under the server's own."""
    at_start = libraries(Path(project.pg_bin), project.extensions)
    platform = {**SERVER_SETTINGS, "shared_preload_libraries": at_start}
    return settings_text({**platform, **project.settings}, port)


def _facts(project: LocalProject) -> dict[str, Any]:
    state = "started" if running_pid(project.server) is not None else "stopped"
    return {"state": state, "port": project.port, "settings": project.settings, "extensions": project.extensions}
