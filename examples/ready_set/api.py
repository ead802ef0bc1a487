# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ready Set's HTTP API: users read, changed and soft-deleted, each request as the role in its token, as PostgREST does it.

    GET    /health              whether the database answers
    GET    /users?limit=5       profiles that are not deleted, newest first
    GET    /users/ID            one
    PATCH  /users/ID            change contactName, contactNumber, companyName, parkingLoading
    DELETE /users/ID            soft-delete it; the header X-Reason says why

It listens on a free port of loopback, and writes its address into the settings' file, from which it has its secret.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import falcon
import jwt
import psycopg2
import psycopg2.extensions
import psycopg2.extras
import waitress
from psycopg2 import sql

Cursor = psycopg2.extensions.cursor
Result = TypeVar("Result")

ROLES = ("anon", "authenticated", "service_role")
CHANGEABLE = ("contactName", "contactNumber", "companyName", "parkingLoading")
SHOWN = ("id", "type", "status", "email", *CHANGEABLE, "updatedAt", "deletedAt")
COLUMNS = sql.SQL(", ").join(map(sql.Identifier, SHOWN))
MOST_ROWS = 100
# As PostgREST answers SQLSTATEs; what is not here is a 400, and of classes that are the server's trouble a 500.
STATUS = {"25006": 405, "42501": 403, "42P01": 404, "42883": 404, "23503": 409, "23505": 409}
SERVER_TROUBLE = ("25", "40", "53", "54", "55", "57", "58", "XX")


class Database:
    """A session for each thread, as C(authenticator), opened again where it was ended."""

    def __init__(self, project_file: Path) -> None:
        self._project_file = project_file
        self._of_thread = threading.local()

    def as_role(self, claims: dict[str, Any], work: Callable[[Cursor], Result]) -> Result:
        """Do something in one transaction with the rights of the claims' role."""
        connection = self._ready(claims)
        try:
            with connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                return work(cursor)
        finally:
            if connection.closed:
                self._of_thread.connection = None

    def _ready(self, claims: dict[str, Any]) -> psycopg2.extensions.connection:
        """A session in the role. One that was ended since the last request is found out here, where nothing is done yet."""
        for attempt in (1, 2):
            connection = getattr(self._of_thread, "connection", None) or self._connect()
            self._of_thread.connection = connection
            try:
                with connection.cursor() as cursor:
                    cursor.execute(
                        "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
                        [claims["role"], json.dumps(claims)],
                    )
                return connection
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                connection.close()
                self._of_thread.connection = None
                if attempt == 2:
                    raise
        raise AssertionError("two attempts return or raise")

    def _connect(self) -> psycopg2.extensions.connection:
        project = json.loads(self._project_file.read_text())
        return psycopg2.connect(
            host=project["host"],
            port=project["port"],
            dbname=project["database"],
            user="authenticator",
            password=project["passwords"]["authenticator"],
            application_name="ready_set_api",
            connect_timeout=5,
        )


class Authentication:
    """Middleware: who asks, from the token; without one it is C(anon)."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def process_request(self, request: falcon.Request, _response: falcon.Response) -> None:
        """Keep the claims of the request."""
        kind, _separator, token = (request.get_header("Authorization") or "").partition(" ")
        request.context.claims = {"role": "anon"}
        if kind.lower() == "bearer" and token:
            try:
                claims = jwt.decode(token, self._secret, algorithms=["HS256"], options={"verify_aud": False})
            except jwt.InvalidTokenError as error:
                raise falcon.HTTPUnauthorized(title="The token is not valid") from error
            if claims.get("role") not in ROLES:
                raise falcon.HTTPForbidden(title="The token's role is none of the API's")
            request.context.claims = claims


class Health:
    """Whether the database answers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Ask it."""
        self._database.as_role({"role": "anon"}, lambda cursor: cursor.execute("select 1"))
        response.media = {"status": "ok"}


class Users:
    """All profiles that the asker may see."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """A page of them."""
        limit = request.get_param_as_int("limit", default=20, min_value=1, max_value=MOST_ROWS)
        query = sql.SQL(
            'select {} from public.profiles where "deletedAt" is null order by "createdAt" desc limit %s'
        ).format(COLUMNS)

        def work(cursor: Cursor) -> list[Any]:
            cursor.execute(query, [limit])
            return cursor.fetchall()

        response.text = as_json(self._database.as_role(request.context.claims, work))


class User:
    """One profile."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def on_get(self, request: falcon.Request, response: falcon.Response, user: uuid.UUID) -> None:
        """Show it."""
        query = sql.SQL("select {} from public.profiles where id = %s").format(COLUMNS)
        response.text = as_json(self._one(request, query, [str(user)]))

    def on_patch(self, request: falcon.Request, response: falcon.Response, user: uuid.UUID) -> None:
        """Change it."""
        wanted = request.get_media()
        if not isinstance(wanted, dict) or not wanted or not set(wanted) <= set(CHANGEABLE):
            raise falcon.HTTPBadRequest(title=f"Change one or more of {', '.join(CHANGEABLE)}")
        changes = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in wanted)
        query = sql.SQL("update public.profiles set {} where id = %s returning {}").format(changes, COLUMNS)
        response.text = as_json(self._one(request, query, [*wanted.values(), str(user)]))

    def on_delete(self, request: falcon.Request, response: falcon.Response, user: uuid.UUID) -> None:
        """Mark it as deleted."""
        reason = request.get_header("X-Reason") or ""

        def work(cursor: Cursor) -> bool:
            cursor.execute("select set_config('app.deletion_reason', %s, true)", [reason])
            cursor.execute("select public.soft_delete_profile(%s) as done", [str(user)])
            (row,) = cursor.fetchall()
            return bool(dict(row)["done"])

        if not self._database.as_role(request.context.claims, work):
            raise falcon.HTTPNotFound
        response.status = falcon.HTTP_204

    def _one(self, request: falcon.Request, query: sql.Composable, values: list[Any]) -> Any:
        def work(cursor: Cursor) -> Any:
            cursor.execute(query, values)
            return cursor.fetchone()

        if (row := self._database.as_role(request.context.claims, work)) is None:
            raise falcon.HTTPNotFound
        return row


def refused(request: falcon.Request, response: falcon.Response, error: Exception, _params: Any) -> None:
    """What PostgreSQL says, with PostgREST's statuses. Its DETAIL, which quotes rows, stays here."""
    assert isinstance(error, psycopg2.Error)
    code = error.pgcode or ""
    print(f"{request.method} {request.path}: {code} {error}".strip(), file=sys.stderr, flush=True)
    if not code or code.startswith(("08", "57P")):
        response.status, code = falcon.HTTP_503, code or "PGRST000"
        response.set_header("Retry-After", "1")
    elif code == "42501" and request.context.claims["role"] == "anon":
        response.status = falcon.HTTP_401
    else:
        response.status = falcon.code_to_http_status(STATUS.get(code, 500 if code.startswith(SERVER_TROUBLE) else 400))
    response.media = {"code": code, "message": error.diag.message_primary or "the database does not answer"}


def as_json(value: Any) -> str:
    """Rows as JSON, times as PostgreSQL shows them."""
    return json.dumps(value, default=str)


def application(project_file: Path, secret: str) -> falcon.App[falcon.Request, falcon.Response]:
    """The WSGI application."""
    database = Database(project_file)
    app = falcon.App(middleware=[Authentication(secret)])
    app.add_error_handler(psycopg2.Error, refused)
    app.add_route("/health", Health(database))
    app.add_route("/users", Users(database))
    app.add_route("/users/{user:uuid}", User(database))
    return app


def main() -> None:
    """Serve until somebody ends it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, required=True, help="project.json of the local project")
    parser.add_argument(
        "--settings", type=Path, required=True, help="JSON with jwt_secret; url and pid are added to it"
    )
    arguments = parser.parse_args()
    # Held as long as it runs: who finds it free knows that the process is gone, whatever has its number now.
    with arguments.settings.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        settings = json.loads(arguments.settings.read_text())
        server = waitress.create_server(
            application(arguments.project, settings["jwt_secret"]), host="127.0.0.1", port=0, threads=4
        )
        settings |= {"url": f"http://127.0.0.1:{server.effective_port}", "pid": os.getpid()}
        whole = arguments.settings.with_suffix(".new")
        with open(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(settings, file)
        whole.replace(arguments.settings)
        print(f"{time.strftime('%H:%M:%S')} listening on {settings['url']}", flush=True)
        server.run()


if __name__ == "__main__":
    main()
