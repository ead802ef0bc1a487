# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of a catalog as SQL: every name in quotes where it has to be, every string as a string."""

from __future__ import annotations

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.ddl import (
    comment_statement,
    default_privileges_statements,
    grant_statements,
    owner_statement,
    policy_statement,
    requoted,
    switch_statement,
    word_of,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("public.orders", "public.orders"),
        ('"a.b"."say ""hi"""', '"a.b"."say ""hi"""'),
        # A word that PostgreSQL reserves since 16: an older server writes it without quotes.
        ("public.system_user", 'public."system_user"'),
        ("x; drop table y", '"x; drop table y"'),
    ],
)
def test_names_are_quoted_for_any_server(name: str, expected: str) -> None:
    assert requoted(name) == expected


def test_what_an_object_is_called() -> None:
    assert word_of('trigger "a on b" on public."T"') == 'trigger "a on b" on public."T"'
    assert word_of("policy system_user on auth.users") == 'policy "system_user" on auth.users'
    assert word_of("aggregate public.total(integer)") == "routine public.total(integer)"
    assert word_of("function public.f(character varying)") == "function public.f(character varying)"


def test_owner_and_comment() -> None:
    assert owner_statement("schema app", "Odd Role") == 'alter schema app owner to "Odd Role";'
    assert comment_statement("schema app", None) == "comment on schema app is null;"
    assert comment_statement("schema app", "100% it's") == "comment on schema app is '100% it''s';"
    key = "constraint positive on public.amount"
    assert comment_statement(key, "x") == "comment on constraint positive on public.amount is 'x';"
    assert comment_statement(key, "x", {"domain public.amount"}) == (
        "comment on constraint positive on domain public.amount is 'x';"
    )


def test_a_policy() -> None:
    definition = {"kind": "permissive", "command": "all", "roles": ["public"], "using": "a", "check": "b"}
    assert policy_statement("policy mine on storage.objects", definition) == (
        "create policy mine on storage.objects as permissive for all to public using (a) with check (b);"
    )


def test_what_fires() -> None:
    assert switch_statement("trigger t on auth.users", {"enabled": "always"}) == (
        "alter table auth.users enable always trigger t;"
    )
    assert switch_statement("event trigger e", {"enabled": "origin"}) == "alter event trigger e enable;"


def test_grants() -> None:
    assert grant_statements("schema app", ["=U/postgres"], ["odd role=C*/postgres"]) == [
        "revoke usage on schema app from public;",
        'grant create on schema app to "odd role" with grant option;',
    ]
    assert grant_statements("table t", None, ["anon=r/postgres"], column="id") == [
        "grant select (id) on table t to anon;"
    ]


def test_default_privileges() -> None:
    key = 'default privileges of "odd role" for large objects'
    assert default_privileges_statements(key, ["anon=r/x"], None) == [
        'alter default privileges for role "odd role" revoke select on large objects from anon;'
    ]
    assert default_privileges_statements("default privileges of postgres for tables in app", [], ["anon=r/x"]) == [
        "alter default privileges for role postgres in schema app grant select on tables to anon;"
    ]
