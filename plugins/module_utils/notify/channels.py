# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry a message to a webhook or to a mail server. What either of them is told is made elsewhere."""

from __future__ import annotations

import json
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from http.client import HTTPException, InvalidURL
from typing import Any, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import ToolError

Encryption = Literal["starttls", "tls", "none"]

_ATTEMPTS = 3
_WAIT_SECONDS = 1.0
_SAID_BYTES = 200
# An answer that may be another one a moment later (RFC 9110, section 15; RFC 5321, section 4.2.1: 4yz).
_BUSY = 429
_SERVER_ERRORS = 500
_TRANSIENT_REPLIES = range(400, 500)


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Where a message is POSTed as JSON. The address is a secret in itself: who knows it can write there."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_cert: str | None = None
    timeout_seconds: float = 10.0


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """Where a message is handed in as mail, and from whom to whom it is."""

    host: str
    port: int
    encryption: Encryption
    sender: str
    recipients: Sequence[str]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_cert: str | None = None
    timeout_seconds: float = 10.0


class Undelivered(ToolError):
    """A message did not arrive."""

    code = "notification"


class _Transient(Exception):
    """It may arrive a moment later."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without the message, and look like a success."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow nothing."""


def post(webhook: Webhook, document: Mapping[str, Any]) -> None:
    """Send a document to a webhook; only an answer of 2xx is a delivery.

    Tried again where the answer may be another one a moment later, so a message may arrive twice rather than never.

    :raises Undelivered: when it was refused, or nobody answered.
    """
    request = urllib.request.Request(
        webhook.url,
        data=json.dumps(document).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "pgops.supabase", **webhook.headers},
        method="POST",
    )
    context = ssl.create_default_context(cafile=webhook.ca_cert)
    opener = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=context))

    def attempt() -> None:
        try:
            with opener.open(request, timeout=webhook.timeout_seconds):
                return
        except urllib.error.HTTPError as answer:
            with answer:
                said = answer.read(_SAID_BYTES).decode(errors="replace").strip()
            text = f"it answered {answer.code} {answer.reason}" + (f": {said.splitlines()[0]}" if said else "")
            if answer.code == _BUSY or answer.code >= _SERVER_ERRORS:
                raise _Transient(text) from answer
            raise Undelivered(text) from answer
        except urllib.error.URLError as error:
            lasting = isinstance(error.reason, ssl.SSLError)
            raise (Undelivered if lasting else _Transient)(str(error.reason)) from error
        except (ValueError, InvalidURL):
            # Python's message holds the address or a header.
            raise Undelivered("the address or a header has characters that HTTP does not know") from None
        except (OSError, HTTPException) as error:
            raise _Transient(str(error) or type(error).__name__) from error

    _try_again(attempt)


def mail(server: MailServer, subject: str, text: str) -> list[str]:
    """Hand a mail in.

    :returns: the recipients that the server refused while it took others; empty when it took them all.
    :raises Undelivered: when the server took it for nobody, or did not answer.
    """
    message = EmailMessage(policy=SMTP)
    try:
        message["Subject"] = " ".join(subject.split())
        message["From"] = server.sender
        message["To"] = ", ".join(server.recipients)
        message["Date"] = formatdate(localtime=False)
        message["Message-ID"] = make_msgid(domain="pgops.supabase.invalid")
        # RFC 3834: nobody's absence is answered to this.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
    except ValueError as error:
        raise Undelivered(f"the sender or a recipient is no mail address: {error}") from error
    refused: list[str] = []

    def attempt() -> None:
        try:
            with _connected(server) as connection:
                refused[:] = list(connection.send_message(message, server.sender, server.recipients))
        except smtplib.SMTPRecipientsRefused as error:
            code, said = next(iter(error.recipients.values()))
            raise _refusal(code, said, "it refused every recipient") from error
        except smtplib.SMTPResponseException as error:
            raise _refusal(error.smtp_code, error.smtp_error, "it refused") from error
        except (smtplib.SMTPNotSupportedError, ssl.SSLError) as error:
            raise Undelivered(str(error)) from error
        except ValueError:
            raise Undelivered("user or password has characters that a login cannot send") from None
        except (smtplib.SMTPException, OSError) as error:
            raise _Transient(str(error) or type(error).__name__) from error

    _try_again(attempt)
    return refused


def _connected(server: MailServer) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=server.ca_cert)
    if server.encryption == "tls":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, timeout=server.timeout_seconds, context=context
        )
    else:
        connection = smtplib.SMTP(server.host, server.port, timeout=server.timeout_seconds)
    try:
        if server.encryption == "starttls":
            connection.starttls(context=context)
        if server.user is not None:
            connection.login(server.user, server.password or "")
    except BaseException:
        connection.close()
        raise
    return connection


def _refusal(code: int, said: bytes | str, what: str) -> Exception:
    text = f"{what}: {code} {said.decode(errors='replace') if isinstance(said, bytes) else said}"
    return _Transient(text) if code in _TRANSIENT_REPLIES or code < 0 else Undelivered(text)


def _try_again(attempt: Callable[[], None]) -> None:
    for number in range(1, _ATTEMPTS + 1):
        try:
            attempt()
            return
        except _Transient as error:
            if number == _ATTEMPTS:
                raise Undelivered(f"{error} ({_ATTEMPTS} times)") from error
            time.sleep(_WAIT_SECONDS * number)
