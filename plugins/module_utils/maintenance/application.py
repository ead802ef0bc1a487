# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes stopped by the application itself: its own flag, set by SQL or by a request."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    InputError,
    ToolError,
    VerificationFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.maintenance.documents import Proof
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import ROLLED_BACK, server_error

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


@dataclass(frozen=True, kw_only=True)
class HttpRequest:
    """One request that sets the flag. Address, headers and body are never shown: they may hold secrets."""

    url: str = field(repr=False)
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Any = field(default=None, repr=False)
    status: tuple[int, ...] = (200, 201, 202, 204)
    timeout_seconds: float = 10.0


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET, and look like a success."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow nothing."""


def run_statements(connection: PgConnection, statements: str, where: str) -> None:
    """Run the application's statements in the caller's transaction.

    :raises StatementFailed: when one of them is refused.
    """
    import psycopg2

    try:
        execute(connection, statements)
    except psycopg2.Error as error:
        raise server_error(
            error, f"The statements of {where} failed", where, state=ROLLED_BACK, otherwise=f"Correct {where}."
        ) from error


def prove_flag(connection: PgConnection, query: str, expected: bool) -> Proof:
    """Ask the application's query, in the caller's transaction, whether its flag is set.

    :raises VerificationFailed: when it does not answer with one row of one boolean, the one expected.
    """
    import psycopg2

    try:
        rows = fetch_all(connection, query)
    except psycopg2.Error as error:
        raise server_error(
            error, "The query of sql_proof failed", "sql_proof", otherwise="Correct sql_proof."
        ) from error
    answer = rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else None
    found = str(answer).lower() if isinstance(answer, bool) else f"{number(len(rows), 'row')}, no single boolean"
    if answer is not expected:
        raise VerificationFailed(
            f"sql_proof says {found} where {str(expected).lower()} is expected",
            where="sql_proof",
            next_step="Have sql_on and sql_off set what sql_proof asks for: one row with one boolean, true while writes are stopped.",
        )
    return Proof(
        who="sql_proof", tried="the application's query", expected=str(expected).lower(), found=found, passed=True
    )


def send(request: HttpRequest, where: str) -> Proof:
    """Send the request that sets the flag.

    :raises InputError: when it cannot be a request.
    :raises ToolError: when it is not answered as expected.
    """
    headers = {"User-Agent": "pgops.supabase", **request.headers}
    data = None
    if request.body is not None:
        is_text = isinstance(request.body, str)
        data = (request.body if is_text else json.dumps(request.body)).encode()
        headers.setdefault("Content-Type", "text/plain; charset=utf-8" if is_text else "application/json")
    expected = ", ".join(map(str, request.status))
    try:
        if not request.url.startswith(("http://", "https://")):
            raise ValueError
        asked = urllib.request.Request(request.url, data=data, headers=headers, method=request.method)
        context = urllib.request.HTTPSHandler(context=ssl.create_default_context())
        with urllib.request.build_opener(_NoRedirects, context).open(asked, timeout=request.timeout_seconds) as answer:
            status = int(answer.status)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        status = refusal.code
    except ValueError:
        # Python's message holds the address or a header.
        raise InputError(f"{where} is no HTTP request", where=where, next_step="Correct its url and headers.") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise ToolError(
            f"The request of {where} was not answered: {reason}",
            where=where,
            next_step="See that the application is up, then run again.",
        ) from error
    if status not in request.status:
        raise ToolError(
            f"The request of {where} was answered with {status}, not with {expected}",
            where=where,
            next_step="See the application's log, or give the status that is expected.",
        )
    return Proof(who=where, tried=f"{request.method} request", expected=expected, found=str(status), passed=True)
