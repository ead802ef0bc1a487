# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The request that sets the application's flag, against a real endpoint."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, PgopsError, ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.maintenance.application import HttpRequest, send

SECRET = "s3cret-token"


class Endpoint(http.server.BaseHTTPRequestHandler):
    """Answers what the path says, and keeps what it was told."""

    told: list[tuple[str, str, str | None, bytes]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.told.append((self.command, self.path, self.headers.get("Authorization"), body))
        self.send_response(int(self.path.rsplit("/", 1)[1]))
        self.send_header("Location", "/200")
        self.end_headers()

    do_PUT = do_POST

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Its address."""
    Endpoint.told.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_it_arrives_as_it_was_given(endpoint: str) -> None:
    request = HttpRequest(
        url=f"{endpoint}/204", method="PUT", headers={"Authorization": SECRET}, body={"maintenance": True}
    )
    assert send(request, "http_on").found == "204"
    ((method, path, authorization, body),) = Endpoint.told
    assert (method, path, authorization, json.loads(body)) == ("PUT", "/204", SECRET, {"maintenance": True})


@pytest.mark.parametrize("status", [302, 404, 500])
def test_another_answer_is_said(endpoint: str, status: int) -> None:
    with pytest.raises(ToolError) as caught:
        send(HttpRequest(url=f"{endpoint}/{status}"), "http_off")
    assert f"answered with {status}, not with 200, 201, 202, 204" in caught.value.what
    assert len(Endpoint.told) == 1


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("ftp://127.0.0.1/on", InputError),
        ("http://[x/on", InputError),
        ("http://127.0.0.1:{port}/" + SECRET, ToolError),
    ],
)
def test_nobody_there(url: str, kind: type[PgopsError]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(kind) as caught:
            send(HttpRequest(url=url.format(port=taken.getsockname()[1]), timeout_seconds=2), "http_on")
    assert "http_on" in caught.value.what and SECRET not in str(caught.value)
