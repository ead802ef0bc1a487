# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real receivers of messages on loopback: a web server and a mail server, each with a certificate where it is asked for one."""

from __future__ import annotations

import asyncio
import email
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class Web:
    """A web server that keeps what it is sent, and answers as it is told."""

    port: int
    scheme: str = "http"
    received: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)
    # The status of each answer, in turn; the last one stays.
    answers: list[int] = field(default_factory=lambda: [200])
    says: str = ""

    @property
    def url(self) -> str:
        """Its address, with a secret in it as the addresses of webhooks have."""
        return f"{self.scheme}://localhost:{self.port}/hook/T0PS3CR3T"


@contextmanager
def web(context: ssl.SSLContext | None = None) -> Iterator[Web]:
    """Run a web server."""

    class Handler(BaseHTTPRequestHandler):
        """Answers a POST."""

        def do_POST(self) -> None:
            """Keep it."""
            content = self.rfile.read(int(self.headers["Content-Length"]))
            it.received.append((self.path, dict(self.headers), json.loads(content)))
            self.send_response(it.answers.pop(0) if len(it.answers) > 1 else it.answers[0])
            self.send_header("Location", f"{it.url}/elsewhere")
            self.end_headers()
            self.wfile.write(it.says.encode())

        def do_GET(self) -> None:
            """What a redirect that is followed would ask."""
            it.received.append((self.path, dict(self.headers), None))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    it = Web(server.server_address[1], "http" if context is None else "https")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mail:
    """A mail server that keeps what it is handed."""

    port: int = 0
    received: list[tuple[str, list[str], EmailMessage]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    # The answer to each message, in turn, before it takes one.
    answers: list[str] = field(default_factory=list)
    refuses: frozenset[str] = frozenset()


class _Handler:
    def __init__(self, it: Mail) -> None:
        self.it = it

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        if address in self.it.refuses:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Take a message, or not."""
        if self.it.answers:
            return self.it.answers.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=default)
        assert isinstance(message, EmailMessage)
        self.it.received.append((str(envelope.mail_from), list(envelope.rcpt_tos), message))
        return "250 OK"


class _Controller(Controller):
    """A controller whose port the system chooses."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # Its authors left this one out.


@contextmanager
def mail(
    context: ssl.SSLContext | None = None, *, starttls: bool = True, login: tuple[str, str] | None = None
) -> Iterator[Mail]:
    """Run a mail server: with a certificate by STARTTLS, which it then insists on, or from the start; without one, in clear."""
    it = Mail()

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        it.logins.append(data.login.decode())
        right = login is not None and (data.login.decode(), data.password.decode()) == login
        return AuthResult(success=right, handled=False)

    controller = _Controller(
        _Handler(it),
        hostname="127.0.0.1",
        port=0,
        ssl_context=None if starttls else context,
        tls_context=context if starttls else None,
        require_starttls=context is not None and starttls,
        authenticator=authenticate,
        auth_required=login is not None,
        auth_require_tls=context is not None and starttls,
    )
    controller.start()
    try:
        it.port = controller.port
        yield it
    finally:
        controller.stop()
