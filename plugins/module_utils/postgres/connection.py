# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions on a project's database: psycopg2 for the engine, libpq's environment for PostgreSQL's programs."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    ConnectionFailed,
    InputError,
    PrivilegeError,
)

if TYPE_CHECKING:
    from psycopg2 import Error as PgError
    from psycopg2.extensions import connection as PgConnection

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
CONNECT_TIMEOUT_SECONDS = 10
# A server that is gone without a word ends a session within about a minute, instead of never (libpq, "Parameter Key Words").
KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
# Supabase, "Connect to your database": 5432 is the direct connection or the pooler in session mode.
TRANSACTION_POOLER_PORT = 6543
# The attribute of a session that holds what it was opened with.
_START_SETTINGS = "start_settings"


@dataclass(frozen=True)
class ConnectionOptions:
    """Where and as whom to connect; named as the modules' options are."""

    login_host: str
    login_port: int
    login_user: str
    login_password: str | None = field(repr=False)
    login_db: str
    ssl_mode: str = "prefer"
    ca_cert: str | None = None
    ssl_cert: str | None = None
    ssl_key: str | None = None
    connect_params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    session_role: str | None = None

    @property
    def place(self) -> str:
        """The database in words, without secrets."""
        return f"{self.login_db} on {self.login_host}:{self.login_port} as {self.login_user}"


@dataclass(frozen=True)
class SessionSettings:
    """Server settings of a session. Milliseconds; 0 is no limit.

    They travel twice. As connection options they are the session's defaults, to which RESET ALL returns (PostgreSQL,
    "Parameter Interaction via the Shell"). Supabase's session pooler drops those, so they are set again once the session is
    open, and by :func:`renew_settings` after a RESET.
    """

    lock_timeout_ms: int | None = None
    statement_timeout_ms: int | None = None
    row_security: bool = True
    read_only: bool = False
    # Whether the session may write while maintenance has the database read-only by default. Only a proof of maintenance is not exempt.
    exempt: bool = True
    # How often the server looks whether the client is still there while a statement runs; without it the statement of a
    # killed client runs to its end (PostgreSQL 14 and later).
    client_check_interval_ms: int | None = None
    application_name: str = "pgops.supabase"

    def as_options(self) -> dict[str, str]:
        """The settings by their names in PostgreSQL."""
        options = {}
        if self.lock_timeout_ms is not None:
            options["lock_timeout"] = str(self.lock_timeout_ms)
        if self.statement_timeout_ms is not None:
            options["statement_timeout"] = str(self.statement_timeout_ms)
        if self.client_check_interval_ms is not None:
            options["client_connection_check_interval"] = str(self.client_check_interval_ms)
        if not self.row_security:
            options["row_security"] = "off"
        if self.read_only:
            options["default_transaction_read_only"] = "on"
        elif self.exempt:
            options["default_transaction_read_only"] = "off"
        return options


def _option_string(settings: Mapping[str, str]) -> str:
    """libpq's options parameter; a backslash escapes spaces and backslashes in it."""
    return " ".join(
        "-c " + f"{name}={value}".replace("\\", "\\\\").replace(" ", "\\ ") for name, value in settings.items()
    )


def _server_settings(options: ConnectionOptions, settings: SessionSettings) -> dict[str, str]:
    """What every statement of the session runs under, the role last: it may not be allowed to set the others."""
    role = {"role": options.session_role} if options.session_role else {}
    return {**settings.as_options(), **role}


def _parameters(options: ConnectionOptions, settings: SessionSettings) -> dict[str, Any]:
    server_settings = _server_settings(options, settings)
    parameters: dict[str, str | None] = {
        "host": options.login_host,
        "port": str(options.login_port),
        "user": options.login_user,
        "password": options.login_password,
        "dbname": options.login_db,
        "sslmode": options.ssl_mode,
        "sslrootcert": options.ca_cert,
        "sslcert": options.ssl_cert,
        "sslkey": options.ssl_key,
        "application_name": settings.application_name,
        "connect_timeout": str(CONNECT_TIMEOUT_SECONDS),
        "client_encoding": "UTF8",
    }
    # Given beside the options they would go past what is checked of those; and all that is sent is written in UTF-8.
    taken = sorted(options.connect_params.keys() & {*parameters, "password"} - {"application_name", "connect_timeout"})
    if taken:
        raise InputError(
            f"These connection parameters are set by options of their own, or cannot be chosen: {', '.join(taken)}",
            where="connect_params",
            next_step="Use login_host, login_port, login_user, login_password, login_db, ssl_mode, ca_cert, ssl_cert or ssl_key; "
            "client_encoding is always UTF8.",
        )
    parameters.update({name: str(value) for name, value in options.connect_params.items()})
    own_options = _option_string(server_settings)
    parameters["options"] = " ".join(part for part in (parameters.get("options"), own_options) if part) or None
    return {name: value for name, value in parameters.items() if value is not None}


def connect(options: ConnectionOptions, settings: SessionSettings | None = None) -> PgConnection:
    """Open a session, set its settings and read back that the server took them.

    :raises InputError: when libpq knows no such connection parameter, or the port is the transaction pooler's and more than
        reading is meant.
    :raises ConnectionFailed: when there is no server, the password is wrong or the database is missing.
    """
    import psycopg2

    settings = settings or SessionSettings()
    if options.login_port == TRANSACTION_POOLER_PORT and not settings.read_only:
        raise InputError(
            "Port 6543 is Supabase's transaction pooler: it keeps no session, so settings, locks and snapshots would be lost",
            where="login_port",
            next_step="Use port 5432 (project_db_port), of the direct connection or of the session pooler.",
        )
    try:
        connection: PgConnection = psycopg2.connect(
            connection_factory=_session_class(), **{**KEEPALIVES, **_parameters(options, settings)}
        )
    except psycopg2.ProgrammingError as error:
        raise InputError(
            f"The connection parameters are not valid: {str(error).strip()}",
            where="connect_params",
            next_step="Compare connect_params with libpq's parameter key words.",
        ) from error
    except psycopg2.OperationalError as error:
        raise _connection_failed(options, str(error).strip()) from error
    try:
        _set_and_read_back(connection, _server_settings(options, settings))
    except psycopg2.Error as error:
        connection.close()
        raise _connection_failed(options, f"the session could not be set up: {str(error).strip()}") from error
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def session(
    options: ConnectionOptions, settings: SessionSettings | None = None, *, autocommit: bool = False
) -> Iterator[PgConnection]:
    """A session for one block. What the block has not committed is rolled back; the session is always closed."""
    connection = connect(options, settings)
    try:
        connection.autocommit = autocommit
        yield connection
    finally:
        connection.close()


def libpq_environment(options: ConnectionOptions, settings: SessionSettings | None = None) -> dict[str, str]:
    """The environment that makes pg_dump, pg_restore and psql connect to the same place with the same settings.

    The password travels in PGPASSWORD: never in an argument, where every user of the machine could read it.
    """
    names = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "dbname": "PGDATABASE",
        "sslmode": "PGSSLMODE",
        "sslrootcert": "PGSSLROOTCERT",
        "sslcert": "PGSSLCERT",
        "sslkey": "PGSSLKEY",
        "application_name": "PGAPPNAME",
        "connect_timeout": "PGCONNECT_TIMEOUT",
        "client_encoding": "PGCLIENTENCODING",
        "options": "PGOPTIONS",
        "target_session_attrs": "PGTARGETSESSIONATTRS",
        "channel_binding": "PGCHANNELBINDING",
        "sslcrl": "PGSSLCRL",
        "sslnegotiation": "PGSSLNEGOTIATION",
        "gssencmode": "PGGSSENCMODE",
        "hostaddr": "PGHOSTADDR",
        "service": "PGSERVICE",
        "passfile": "PGPASSFILE",
    }
    parameters = _parameters(options, settings or SessionSettings())
    unknown = sorted(set(parameters) - set(names))
    if unknown:
        raise InputError(
            f"PostgreSQL's programs cannot be given these connection parameters by environment: {', '.join(unknown)}",
            where="connect_params",
            next_step="Leave them out of connect_params for this task.",
        )
    return {names[name]: value for name, value in parameters.items()}


def conninfo_of(options: ConnectionOptions) -> str:
    """The database and the keepalives as a connection string for a program's C(--dbname): no environment carries those.

    It holds no secret; a database whose name has an equals sign is not taken for a connection string.
    """
    name = options.login_db.replace("\\", "\\\\").replace("'", "\\'")
    return " ".join([f"dbname='{name}'", *(f"{key}={value}" for key, value in KEEPALIVES.items())])


def collect_notices(connection: PgConnection) -> deque[str]:
    """Collect every notice from now on. psycopg2 cuts a list to the last fifty; any other collection it only appends to."""
    notices: deque[str] = deque()
    connection.notices = cast("list[str]", notices)
    return notices


def fetch_all(
    connection: PgConnection, query: Any, parameters: Sequence[Any] | Mapping[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """Run one query and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def fetch_value(connection: PgConnection, query: Any, parameters: Sequence[Any] | None = None) -> Any:
    """Run one query and return the first cell of its first row, None when there is no row."""
    rows = fetch_all(connection, query, parameters)
    return rows[0][0] if rows else None


def execute(connection: PgConnection, statement: Any, parameters: Sequence[Any] | None = None) -> None:
    """Run one statement whose rows are of no interest."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def is_lost_connection(error: PgError) -> bool:
    """Whether the session is gone: the server said so as its last words (severity FATAL), or said nothing any more."""
    import psycopg2

    if error.pgcode is None:
        return isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError))
    return error.diag.severity_nonlocalized in ("FATAL", "PANIC")


def require_all_rows_visible(connection: PgConnection, purpose: str) -> None:
    """Refuse a role from which row level security would hide rows: a smaller count or dump would look like a true one.

    :raises PrivilegeError: when the role has neither BYPASSRLS nor superuser (pg_roles.rolbypassrls, rolsuper).
    """
    role, sees_all = fetch_all(
        connection, "select rolname, rolsuper or rolbypassrls from pg_catalog.pg_roles where rolname = current_user"
    )[0]
    if not sees_all:
        raise PrivilegeError(
            f"Role {role} may not bypass row level security, so {purpose} could silently miss rows",
            where=f"role {role}",
            next_step=(
                "Connect as postgres (login_user), or give the role the right: "
                f'alter role "{role}" bypassrls; (as a role that may, on Supabase: postgres)'
            ),
        )


def server_version(connection: PgConnection) -> str:
    """The server's version as it names itself, for example V(17.10)."""
    return str(fetch_value(connection, "show server_version")).split(" ", maxsplit=1)[0]


def settings_of(connection: PgConnection) -> Mapping[str, str]:
    """The settings that a session of :func:`connect` was opened with."""
    return cast("Mapping[str, str]", getattr(connection, _START_SETTINGS, {}))


def renew_settings(connection: PgConnection, *, after: str = "", then: tuple[str, Sequence[Any]] | None = None) -> None:
    """Set what the session was opened with again, where a RESET may have dropped it.

    :param after: SQL to run first, in the same message to the server.
    :param then: a statement and its parameters that follow in the same message.
    """
    settings = settings_of(connection)
    calls = ", ".join(["pg_catalog.set_config(%s, %s, false)"] * len(settings))
    statement, parameters = then or ("", ())
    statements = [part for part in (after, f"select {calls}" if settings else "", statement) if part]
    if statements:
        words = [word for pair in settings.items() for word in pair]
        execute(connection, "; ".join(statements), [*words, *parameters])


def _set_and_read_back(connection: PgConnection, wanted: Mapping[str, str]) -> None:
    """What was asked for has to be what the server says: a setting may be refused or overridden without an error."""
    setattr(connection, _START_SETTINGS, wanted)
    if not wanted:
        return
    connection.autocommit = True
    renew_settings(connection)
    shown = dict(
        fetch_all(
            connection,
            "select name, case when unit = 'ms' then setting else current_setting(name) end from pg_catalog.pg_settings "
            "where name = any(%s)",
            [list(wanted)],
        )
    )
    for name, value in wanted.items():
        # The role is no row of that view.
        if name != "role" and shown.get(name) != value:
            raise ConnectionFailed(
                f"The server did not take {name} = {value}, it says {shown.get(name)}",
                where=f"{connection.info.host}:{connection.info.port}",
                next_step="Connect directly or through the session pooler (port 5432), not the transaction pooler (6543).",
            )
    connection.autocommit = False


@functools.cache
def _session_class() -> Any:
    """psycopg2's connection with room for the settings of its start; psycopg2 is imported when a session is opened."""
    from psycopg2.extensions import connection

    class Session(connection):
        """A session that knows what it was opened with."""

    return Session


def _connection_failed(options: ConnectionOptions, reason: str) -> ConnectionFailed:
    if "password authentication failed" in reason or "no password supplied" in reason:
        next_step = f"Check login_user {options.login_user} and login_password (project_db_password in the inventory)."
    elif "does not exist" in reason:
        next_step = f"Check login_db {options.login_db} (project_db_name) and login_user {options.login_user}."
    elif "certificate" in reason or "SSL" in reason:
        next_step = f"Check ssl_mode {options.ssl_mode} and ca_cert {options.ca_cert or '(not given)'}."
    else:
        next_step = f"Check that a server listens there: pg_isready -h {options.login_host} -p {options.login_port}"
    return ConnectionFailed(
        f"Cannot connect to {options.place}: {reason}",
        where=f"{options.login_host}:{options.login_port}",
        next_step=next_step,
    )


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, where an unencrypted connection is acceptable."""
    return host in LOOPBACK_HOSTS or host.startswith("/")
