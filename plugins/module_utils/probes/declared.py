# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A probe as a user writes it, checked, with the headers of the API role that it is sent as."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import is_loopback
from ansible_collections.pgops.supabase.plugins.module_utils.probes.request import Request

ApiRole = Literal["anon", "authenticated", "service_role"]

_TOKEN_SECONDS = 900
# RFC 9110, section 9.2.1: those that ask for no change.
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One HTTP request, and what its answer and the database have to say."""

    name: str
    request: Request
    writes: bool
    samples: int
    status: Sequence[int] = ()
    expect: str | None = None
    # SQL: what the probe needs in the database, what has to be true there after it, and what takes its traces away.
    given: str | None = None
    then: str | None = None
    undo: str | None = None

    @property
    def asks_database(self) -> bool:
        """Whether it needs a session."""
        return bool(self.given or self.then or self.undo)


@dataclass(frozen=True, kw_only=True)
class Api:
    """Where the project's API is, and what opens it; the keys are secrets."""

    url: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    jwt_secret: str | None = field(default=None, repr=False)
    ca_cert: str | None = None


def read_probes(declared: Sequence[Mapping[str, Any]], api: Api, *, reads_only: bool) -> list[Probe]:
    """All probes checked, before any is sent; where nothing may stay, those that do not write.

    :raises InputError: when one cannot be used: two have its name, its address is none, its expression is not JMESPath, or a key would
        travel unencrypted or to another host than the API's.
    """
    names = [item["name"] for item in declared]
    if api.ca_cert and not Path(api.ca_cert).is_file():
        raise InputError(
            f"There is no file {api.ca_cert}", where="api_ca_cert", next_step="Correct api_ca_cert, or leave it out."
        )
    for name in names:
        if names.count(name) > 1:
            raise _refused(name, "two probes have this name", "Give each a name of its own.")
    probes = [_read(item, api) for item in declared]
    return [probe for probe in probes if not (reads_only and probe.writes)]


def _read(item: Mapping[str, Any], api: Api) -> Probe:
    name, method = item["name"], item.get("method") or "GET"
    headers = {key: str(value) for key, value in (item.get("headers") or {}).items()}
    url = _address(item, api, bool(headers))
    if item.get("expect"):
        _check_expression(name, item["expect"])
    body = item.get("body")
    if body is not None and not isinstance(body, str):
        headers = {"Content-Type": "application/json", **headers}
        body = json.dumps(body)
    if item.get("role"):
        headers = {**_role_headers(name, item["role"], item.get("user"), api), **headers}
    writes = item.get("writes")
    writes = method not in _SAFE_METHODS if writes is None else writes
    if item.get("samples", 1) < 1 or item.get("timeout_seconds", 1) <= 0:
        raise _refused(name, "samples or timeout_seconds is not above 0", "Correct it, or leave it out.")
    return Probe(
        name=name,
        request=Request(
            method=method,
            url=url,
            headers={"User-Agent": "pgops.supabase", "Accept": "application/json", **headers},
            body=body.encode() if body is not None else None,
            timeout_seconds=item.get("timeout_seconds", 10.0),
        ),
        writes=writes,
        samples=1 if writes else item.get("samples", 20),
        status=item.get("status") or (),
        expect=item.get("expect"),
        given=item.get("given"),
        then=item.get("then"),
        undo=item.get("undo"),
    )


def _address(item: Mapping[str, Any], api: Api, has_headers: bool) -> str:
    """The whole address; a path belongs to the API's."""
    name, url = item["name"], str(item["url"])
    if url.startswith("/"):
        if not api.url:
            raise _refused(name, "url is a path, and api_url is not set", "Set project_api_url, or give a whole url.")
        url = api.url.rstrip("/") + url
    try:
        parts = urlsplit(url)
        # It is read from the text only when it is asked for.
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https"):
        raise _refused(name, "url is no address of HTTP", "Correct it: https://..., or a path such as /rest/v1/users.")
    if parts.username is not None:
        raise _refused(name, "url holds a user's name or password", "Send them as a header: Authorization.")
    secret = has_headers or bool(item.get("role"))
    if secret and parts.scheme == "http" and not is_loopback(host):
        raise _refused(name, f"its key would travel to {host} unencrypted", "Use https; http is for this machine only.")
    if item.get("role") and (not api.url or urlsplit(api.url)[:2] != parts[:2]):
        raise _refused(
            name,
            f"its role's key would travel to {host}, which is not the API's host",
            "Give url as a path, or headers.",
        )
    return url


def _role_headers(name: str, role: ApiRole, user: str | None, api: Api) -> dict[str, str]:
    """What makes the API change to the role.

    Supabase's gateway asks for an API key in C(apikey); PostgREST takes the role from the token in C(Authorization) (Supabase's guide
    "Understanding API keys"; PostgREST's reference, "Authentication").
    """
    key = api.keys.get("service_role" if role == "service_role" else "anon")
    token = api.keys.get(role)
    if role == "authenticated" and not token and api.jwt_secret:
        token = _signed(role, user, api.jwt_secret)
    if not token:
        what = f"project_api_keys.{role}" + (" or project_jwt_secret" if role == "authenticated" else "")
        raise _refused(name, f"there is no key for the role {role}", f"Set {what} in the inventory, from a vault.")
    return {"Authorization": f"Bearer {token}", "apikey": key or token}


def _signed(role: ApiRole, user: str | None, secret: str) -> str:
    """A token as Supabase Auth signs them (HS256), good for a quarter of an hour."""
    import jwt

    now = int(time.time())
    claims = {"role": role, "aud": "authenticated", "iat": now, "exp": now + _TOKEN_SECONDS}
    return jwt.encode({**claims, "sub": user} if user else claims, secret, algorithm="HS256")


def _check_expression(name: str, expect: str) -> None:
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        jmespath.compile(expect)
    except JMESPathError as error:
        raise _refused(
            name, f"expect is not JMESPath: {error}", "For example length(@) == `5`; see https://jmespath.org"
        ) from error


def _refused(name: str, why: str, next_step: str) -> InputError:
    return InputError(f"The probe {name} cannot be used: {why}", where="probes", next_step=next_step)
