# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real web server on loopback that answers as a test tells it, and keeps what it was asked."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int = 200
    body: bytes = b"[]"
    headers: Mapping[str, str] = field(default_factory=dict)
    after_seconds: float = 0.0
    # Between two bytes of the body.
    drip_seconds: float = 0.0
    # What is sent in place of an answer.
    raw: bytes | None = None


@dataclass
class Endpoint:
    """A server, how it answers, and what it was asked: method, path, headers and body."""

    url: str
    answer: Callable[[int], Said] = lambda _number: Said()
    asked: list[tuple[str, str, Mapping[str, str], bytes]] = field(default_factory=list)


@contextmanager
def endpoint(context: ssl.SSLContext | None = None) -> Iterator[Endpoint]:
    """Run a server."""

    class Handler(BaseHTTPRequestHandler):
        """Says what it is told to."""

        def handle_any(self) -> None:
            """Keep the request, and answer."""
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            it.asked.append((self.command, self.path, dict(self.headers), content))
            said = it.answer(len(it.asked))
            time.sleep(said.after_seconds)
            try:
                self._say(said)
            except OSError:
                # Who asked did not wait.
                pass

        do_GET = do_POST = do_PATCH = do_DELETE = do_HEAD = handle_any

        def _say(self, said: Said) -> None:
            if said.raw is not None:
                self.wfile.write(said.raw)
                return
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            if not said.drip_seconds:
                self.wfile.write(said.body)
                return
            for byte in said.body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(said.drip_seconds)

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        """Says nothing of a handshake that failed."""

        daemon_threads = True

        def handle_error(self, *_args: Any) -> None:
            """It is the client that judges."""

    server = Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    it = Endpoint(f"{'http' if context is None else 'https'}://localhost:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
