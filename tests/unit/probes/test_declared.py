# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A probe as a user writes it: what is refused before anything is sent, and what travels with it."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.probes.declared import Api, read_probes

SECRET = "S3CR3T-of-the-tests-with-32-bytes-or-more"
API = Api(
    url="https://api.example.com/",
    keys={"anon": "S3CR3T-anon", "service_role": "S3CR3T-service"},
    jwt_secret=SECRET,
)


def one(api: Api = API, **probe: Any) -> Any:
    (read,) = read_probes([{"name": "it", "url": "/users?apikey=S3CR3T-query", **probe}], api, reads_only=False)
    return read


@pytest.mark.parametrize(
    ("probe", "api", "why"),
    [
        ({}, Api(), "api_url is not set"),
        ({"url": "ftp://api.example.com/"}, API, "no address of HTTP"),
        ({"url": "https://"}, API, "no address of HTTP"),
        ({"url": "https://api.example.com:port/"}, API, "no address of HTTP"),
        ({"url": "https://user:S3CR3T@api.example.com/"}, API, "a user's name or password"),
        ({"url": "http://api.example.com/", "headers": {"apikey": "S3CR3T"}}, API, "unencrypted"),
        ({"role": "anon"}, Api(url="http://api.example.com", keys={"anon": "S3CR3T"}), "unencrypted"),
        ({"url": "https://evil.example/", "role": "anon"}, API, "not the API's host"),
        ({"url": "https://api.example.com.evil.example/", "role": "anon"}, API, "not the API's host"),
        ({"url": "https://api.example.com:8443/", "role": "anon"}, API, "not the API's host"),
        ({"role": "anon"}, Api(url="https://api.example.com"), "project_api_keys.anon"),
        ({"role": "authenticated"}, Api(url="https://api.example.com"), "project_jwt_secret"),
        ({"expect": "a ==="}, API, "not JMESPath"),
        ({"samples": 0}, API, "not above 0"),
        ({"timeout_seconds": 0.0}, API, "not above 0"),
        ({}, Api(url="https://a", ca_cert="/no/such.crt"), "no file /no/such.crt"),
    ],
)
def test_what_cannot_be_used_is_refused_without_a_secret(probe: dict[str, Any], api: Api, why: str) -> None:
    with pytest.raises(InputError) as refused:
        one(api, **probe)
    said = refused.value.message()
    assert why in said and "S3CR3T" not in said and refused.value.outcome == "unchanged"


def test_two_probes_do_not_share_a_name() -> None:
    with pytest.raises(InputError, match="two probes have this name"):
        read_probes([{"name": "it", "url": "/a"}, {"name": "it", "url": "/b"}], API, reads_only=False)


def test_each_role_has_its_key() -> None:
    service = one(role="service_role").request.headers
    assert (service["apikey"], service["Authorization"]) == ("S3CR3T-service", "Bearer S3CR3T-service")
    user = one(role="authenticated", user="0001").request.headers
    claims = jwt.decode(user["Authorization"].removeprefix("Bearer "), SECRET, ["HS256"], audience="authenticated")
    assert user["apikey"] == "S3CR3T-anon"
    assert (claims["role"], claims["sub"], claims["exp"] - claims["iat"]) == ("authenticated", "0001", 900)
    given = Api(url=API.url, keys={**API.keys, "authenticated": "S3CR3T-token"}, jwt_secret=SECRET)
    assert one(given, role="authenticated").request.headers["Authorization"] == "Bearer S3CR3T-token"
    assert "Authorization" not in one().request.headers


def test_what_is_shown_holds_no_secret() -> None:
    read = one(role="service_role", headers={"X-Key": "S3CR3T-header"}, body={"password": "S3CR3T-body"})
    assert "S3CR3T" not in repr(read) + repr(API) and read.request.shown == "https://api.example.com/users"
    assert json.loads(read.request.body) == {"password": "S3CR3T-body"}
    assert read.request.headers["Content-Type"] == "application/json"


def test_those_that_write_are_told_apart_and_sent_once() -> None:
    declared = [
        {"name": "get", "url": "/", "samples": 7},
        {"name": "patch", "url": "/", "method": "PATCH", "samples": 7},
        {"name": "call", "url": "/rpc/f", "method": "POST", "writes": False, "samples": 7},
    ]
    sent = {only: {p.name: p.samples for p in read_probes(declared, API, reads_only=only)} for only in (True, False)}
    assert sent == {True: {"get": 7, "call": 7}, False: {"get": 7, "call": 7, "patch": 1}}
