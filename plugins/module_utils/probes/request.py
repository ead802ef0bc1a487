# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTP request and its answer: bounded in time and in size, no redirect followed, no secret in what is said about it."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.pgops.supabase.plugins.module_utils.probes.documents import Reached

LARGEST_ANSWER = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is sent. Headers and the address may hold keys: neither is shown whole."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout_seconds: float = 10.0

    @property
    def shown(self) -> str:
        """The address without its query."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back: a status with its body, or why there is none."""

    seconds: float
    reached: Reached = "answered"
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    too_large: bool = False
    # Why there is no answer.
    why: str = ""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer. Followed, it would carry Authorization to a host that nobody named."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow nothing."""


def send(request: Request, context: ssl.SSLContext) -> Answer:
    """Send a request once, and wait for its whole answer no longer than its timeout.

    In a thread of its own, because a socket's timeout is that of one read: a server that sends a byte now and then would hold it
    for ever.
    """
    answers: list[Answer] = []
    began = time.monotonic()
    thread = threading.Thread(target=lambda: answers.append(_ask(request, context, began)), daemon=True)
    thread.start()
    thread.join(request.timeout_seconds)
    if answers:
        return answers[0]
    return Answer(
        seconds=time.monotonic() - began,
        reached="no_answer",
        why=f"no whole answer within {request.timeout_seconds:g} s",
    )


def _ask(request: Request, context: ssl.SSLContext, began: float) -> Answer:
    opener = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=context))

    def none(reached: Reached, why: str) -> Answer:
        return Answer(seconds=time.monotonic() - began, reached=reached, why=why)

    try:
        wire = urllib.request.Request(
            request.url, data=request.body, headers=dict(request.headers), method=request.method
        )
        try:
            response = opener.open(wire, timeout=request.timeout_seconds)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            body = response.read(LARGEST_ANSWER + 1)
            # A read that is bounded does not complain of an answer that was cut off.
            if len(body) <= LARGEST_ANSWER and getattr(response, "length", None):
                return none("no_answer", "its answer was cut off")
            return Answer(
                seconds=time.monotonic() - began,
                status=response.status,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=body[:LARGEST_ANSWER],
                too_large=len(body) > LARGEST_ANSWER,
            )
    except urllib.error.URLError as error:
        return none(*_reason(error.reason))
    except (ValueError, http.client.InvalidURL):
        # Python's message holds the address or a header.
        return none("not_asked", "the address or a header has characters that HTTP does not know")
    except (OSError, http.client.HTTPException) as error:
        return none(*_reason(error))


def _reason(reason: object) -> tuple[Reached, str]:
    """What kept the answer away, in words without the address."""
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "not_asked", f"its certificate is not valid: {reason.verify_message}"
    if isinstance(reason, ssl.SSLError):
        return "not_asked", f"TLS failed: {reason.reason or 'the connection was closed'}"
    if isinstance(reason, socket.gaierror):
        return "not_asked", "its name is not known to this machine's resolver"
    if isinstance(reason, TimeoutError):
        return "no_answer", "no answer in time"
    if isinstance(reason, http.client.HTTPException):
        # The text may quote the answer.
        return "no_answer", f"what it sent is no whole HTTP answer ({type(reason).__name__})"
    if isinstance(reason, OSError):
        return "no_answer", reason.strerror or type(reason).__name__
    return "no_answer", "no connection"
