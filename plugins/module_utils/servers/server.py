# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One PostgreSQL server of our own on loopback: make its data directory, start it, see whether it runs, stop it.

PostgreSQL refuses to run as root. For root the server therefore runs under a user id that nobody else has, or, where that
one could not reach the programs or the data (below /root, say), in a user namespace of its own.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    InputError,
    LocalProjectError,
    ToolError,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_atomically
from ansible_collections.pgops.supabase.plugins.module_utils.servers.account import (
    NOBODY,
    Account,
    account_of,
    give_own_id,
)

HOST = "127.0.0.1"
FIRST_NORMAL_OBJECT_ID = 16384
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 60
ORPHANS_END_SECONDS = 10
POLL_SECONDS = 0.02
REMOVAL_ATTEMPTS = 50
LOG_LINES_SHOWN = 12
SETTINGS_FILE = "local_project.conf"

_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_LOCALES = ("C.UTF-8", "C")
# Whoever could change these would move the server off loopback, or away from where it is looked for.
_OWN_SETTINGS = frozenset(
    {
        "port",
        "listen_addresses",
        "unix_socket_directories",
        "data_directory",
        "hba_file",
        "ident_file",
        "external_pid_file",
        "config_file",
        "include",
        "include_dir",
        "include_if_exists",
    }
)
LOOPBACK_ACCESS = f"""\
# Only loopback, only with a password.
host all         all {HOST}/32 scram-sha-256
host replication all {HOST}/32 scram-sha-256
"""
SOCKET_ACCESS = """\
# Only through the socket, only with a password.
local all all scram-sha-256
"""


@dataclass(frozen=True)
class Server:
    """A data directory, the log beside it, and the programs that serve it."""

    directory: Path
    pg_bin: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.directory / "data"

    @property
    def installation(self) -> Path:
        """Where an installation of the server's own is, if it has one."""
        return self.directory / "installation"

    @property
    def postgres(self) -> Path:
        """The server's program."""
        own = self.installation / "bin" / "postgres"
        return own if own.exists() else self.pg_bin / "postgres"

    @property
    def log(self) -> Path:
        """What the server writes."""
        return self.directory / "server.log"

    @property
    def settings_file(self) -> Path:
        """The settings that are ours; postgresql.conf includes them last."""
        return self.data / SETTINGS_FILE


def make_data_directory(
    server: Server, account: Account, superuser: str, *, durable: bool, access: str = LOOPBACK_ACCESS
) -> None:
    """Run initdb: UTF-8, byte order collation, data checksums, access by password over loopback only.

    :param access: the content of pg_hba.conf.
    :raises ToolError: when initdb fails.
    """
    # Nobody can log in before the roles get their passwords, because pg_hba.conf is replaced before any start.
    command: list[Path | str] = [
        *(server.pg_bin / "initdb", "--pgdata", server.data, "--username", superuser, "--auth", "trust"),
        *("--encoding", "UTF8", "--data-checksums"),
        *(() if durable else ("--no-sync",)),
    ]
    for locale in _LOCALES:
        try:
            account.run([*command, "--locale", locale])
            break
        except ToolError as error:
            if locale == _LOCALES[-1] or "invalid locale" not in error.what:
                raise
    # A server in single-user mode numbers new objects as if they were built in. Row level security does not hold for
    # those and pg_dump leaves them out, so the counter is moved to where users' objects begin.
    account.run([server.pg_bin / "pg_resetwal", "--next-oid", str(FIRST_NORMAL_OBJECT_ID), server.data])
    _write_as_owner(server.data / "pg_hba.conf", access.encode())
    _write_as_owner(server.settings_file, b"")
    main = server.data / "postgresql.conf"
    _write_as_owner(main, main.read_bytes() + f"\ninclude '{SETTINGS_FILE}'\n".encode())


def run_sql_offline(server: Server, script: str, database: str) -> None:
    """Run SQL as the superuser while no server runs, so that nobody can connect to a half-made project, and hand its files over.

    Whoever they are handed to runs the server from then on.

    Statements end with a semicolon and an empty line; the first error ends it.

    :raises ToolError: with PostgreSQL's reason. Statements are not quoted in it, for they hold passwords.
    """
    command: list[Path | str] = [server.postgres, "--single", "-j", "-D", server.data]
    for setting in ("exit_on_error=on", "log_min_error_statement=panic", "log_min_messages=error"):
        command += ["-c", setting]
    account = account_of(server.data)
    account.run([*command, database], stdin=script)
    # Only now: initdb and a server in single-user mode want a user with a name.
    if account.unprivileged_id == NOBODY:
        give_own_id(server.directory)


def settings_text(settings: Mapping[str, Any], port: int, *, socket_directory: Path | None = None) -> str:
    """The content of the settings file: the caller's settings, then what keeps the server on loopback.

    :param socket_directory: where the server's socket is; with one, it does not listen on loopback either.
    :raises InputError: when a name is not a setting's or is not the caller's to choose.
    """
    lines = ["# Written by pgops.supabase.local_project; changes are overwritten."]
    for name, value in sorted(settings.items()):
        if not _SETTING_NAME.fullmatch(name) or name.lower() in _OWN_SETTINGS:
            raise InputError(
                f"{name} is not a setting that can be chosen for a local project",
                where="settings",
                next_step="Leave it out; the port has an option of its own, and the server listens on loopback only.",
            )
        lines.append(f"{name} = {_quoted(value)}")
    if socket_directory is None:
        lines += [f"listen_addresses = '{HOST}'", "unix_socket_directories = ''"]
    else:
        lines += ["listen_addresses = ''", f"unix_socket_directories = {_quoted(socket_directory)}"]
    lines.append(f"port = {port}")
    return "\n".join(lines) + "\n"


def write_settings(server: Server, text: str) -> None:
    """Put the settings file in place and have PostgreSQL read it; on a complaint the old one comes back.

    :raises InputError: when PostgreSQL does not accept a setting.
    """
    before, times = server.settings_file.read_bytes(), server.settings_file.stat()
    if before == text.encode():
        return
    _write_as_owner(server.settings_file, text.encode())
    try:
        account_of(server.data).run([server.postgres, "-D", server.data, "-C", "port"])
    except ToolError as error:
        _write_as_owner(server.settings_file, before)
        # With its old date, for a newer one would mean that a running server has yet to take it.
        os.utime(server.settings_file, ns=(times.st_atime_ns, times.st_mtime_ns))
        raise InputError(
            f"PostgreSQL does not accept the settings: {error.details.get('stderr', error.what).strip()}",
            where="settings",
            next_step="Mend the setting's name or value.",
        ) from error


def running_pid(server: Server) -> int | None:
    """The process id of the server over this data directory, None when none runs.

    A pid file alone proves nothing: the server may have been killed and its number given to somebody else. PostgreSQL's
    working directory is its data directory, and the kernel knows that.
    """
    try:
        pid = int((server.data / "postmaster.pid").read_text().splitlines()[0])
        works_in = os.readlink(f"/proc/{pid}/cwd")
    except (FileNotFoundError, ProcessLookupError, PermissionError, IndexError, ValueError):
        return None
    return pid if works_in == str(server.data.resolve()) else None


def settings_in_force(server: Server, text: str) -> bool:
    """Whether a running server was started with these settings: the file says so and is older than the pid file."""
    written, started = server.settings_file.stat().st_mtime_ns, (server.data / "postmaster.pid").stat().st_mtime_ns
    return server.settings_file.read_text() == text and written <= started


def start_server(server: Server) -> None:
    """Start the server, detached from us, and wait until it takes connections.

    :raises LocalProjectError: with the end of its log when it does not come up.
    """
    _forget_reused_pid(server)
    command: list[Path | str] = [server.pg_bin / "pg_ctl", "start", "--silent", "--wait", "-p", server.postgres]
    command += ["--timeout", str(START_TIMEOUT_SECONDS), "--pgdata", server.data, "--log", server.log]
    account = account_of(server.data)
    deadline = time.monotonic() + ORPHANS_END_SECONDS
    while True:
        offset = server.log.stat().st_size if server.log.exists() else 0
        try:
            account.run(command)
            return
        except ToolError as error:
            complaint = _log_since(server, offset) or error.what
            # Sessions of a server that was killed outlive it for a moment and hold its shared memory.
            if "shared memory block" in complaint and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
                continue
            raise LocalProjectError(
                f"The server did not start:\n{complaint}",
                where=str(server.log),
                state="the server is stopped, its data is untouched",
                next_step="Mend what PostgreSQL says and start it again.",
            ) from error


def stop_server(server: Server, *, how: signal.Signals = signal.SIGINT) -> None:
    """End the server's sessions and stop it, data on disk; nothing to do when it does not run.

    It needs none of PostgreSQL's programs, so that a server outlives neither its virtual environment nor its welcome.

    :param how: SIGQUIT stops it at once, with its data as it happens to be.
    :raises LocalProjectError: when it does not stop in time or belongs to somebody else.
    """
    pid = running_pid(server)
    if pid is None:
        return
    account_of(server.data)
    os.kill(pid, how)
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while running_pid(server) is not None:
        if time.monotonic() > deadline:
            raise LocalProjectError(
                f"The server (process {pid}) did not stop within {STOP_TIMEOUT_SECONDS} seconds",
                where=str(server.log),
                state="the server is shutting down, its data is untouched",
                next_step="See the log for what it waits for, and try again.",
            )
        time.sleep(POLL_SECONDS)


def port_is_free(port: int) -> bool:
    """Whether a server could listen on the port of loopback at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As PostgreSQL does: connections of an earlier server that linger in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def remove_directory(directory: Path) -> None:
    """Remove a server's directory, under another name first, so that a half-removed one is never taken for a project.

    An initdb that outlived whoever started it may still be writing there; it ends when its files are gone.
    """
    doomed = directory.with_name(f".{directory.name}.removing-{secrets.token_hex(4)}")
    directory.rename(doomed)
    for attempt in range(REMOVAL_ATTEMPTS):
        try:
            shutil.rmtree(doomed)
            return
        except OSError:
            if attempt == REMOVAL_ATTEMPTS - 1:
                raise
            time.sleep(POLL_SECONDS)


def _quoted(value: Any) -> str:
    text = ("on" if value else "off") if isinstance(value, bool) else str(value)
    if "\n" in text or "\0" in text:
        raise InputError(
            "A setting's value is one line", where="settings", next_step="Take the line break out of the value."
        )
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _write_as_owner(path: Path, content: bytes) -> None:
    """Write a file of the data directory; the server has to be able to read what root wrote."""
    write_atomically(path, content)
    owner = path.parent.stat()
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid)


def _forget_reused_pid(server: Server) -> None:
    """Remove a pid file whose number now belongs to a living process that is not this server.

    PostgreSQL itself forgives only the number of a dead process; then it also looks for sessions that outlived it, so
    that case is left to it.
    """
    pid_file = server.data / "postmaster.pid"
    if running_pid(server) is not None or not pid_file.exists():
        return
    first_line = pid_file.read_text().partition("\n")[0]
    if first_line.isdigit() and Path(f"/proc/{first_line}").exists():
        pid_file.unlink()


def _log_since(server: Server, offset: int) -> str:
    if not server.log.exists():
        return ""
    with server.log.open("rb") as stream:
        stream.seek(offset)
        return "\n".join(stream.read().decode(errors="replace").splitlines()[-LOG_LINES_SHOWN:])
