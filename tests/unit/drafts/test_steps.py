# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drafts of rollbacks from catalogs alone: names, order, access lists, and what a draft says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import cut
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.documents import RollbackDraft, UncoveredObject
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.grants import (
    ForeignGrant,
    default_privileges_changes,
    grant_changes,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.names import mentions, owner_relation
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.steps import draft_rollback
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.text import draft_text
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import DRAFT_MARK, is_unreviewed
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.identifiers import quoted


def table(**more: Any) -> dict[str, Any]:
    return {"owner": "postgres", "row security": False, "privileges": ["postgres=arwdDxtm/postgres"], **more}


def column(position: int, kind: str = "integer") -> dict[str, Any]:
    return {"position": position, "type": kind, "not null": False}


def test_nothing_changed_needs_nothing() -> None:
    catalog = {"table public.a": table()}
    draft = draft_rollback(catalog, dict(catalog))
    assert (draft.statements, draft.not_covered) == ([], [])


def test_a_table_takes_its_parts_along() -> None:
    after = {
        "table public.a": table(),
        "column public.a.id": column(1),
        "constraint a_pkey on public.a": {"definition": "PRIMARY KEY (id)", "validated": True},
        "index public.a_pkey": {"definition": "CREATE UNIQUE INDEX a_pkey ON public.a USING btree (id)", "valid": True},
    }
    assert draft_rollback({}, after).statements == ["drop table public.a;"]


def test_what_depends_goes_first() -> None:
    after = {
        "type public.z": {"kind": "enum", "owner": "postgres", "labels": ["x"]},
        "table public.m": table(),
        "column public.m.kind": column(1, "public.z"),
        "view public.a": {"definition": " SELECT kind FROM public.m;", "owner": "postgres"},
        "column public.a.kind": column(1, "public.z"),
    }
    assert draft_rollback({}, after).statements == [
        "drop view public.a;",
        "drop table public.m;",
        "drop type public.z;",
    ]


def test_an_extension_goes_before_the_one_that_it_requires() -> None:
    after = {f"extension {name}": {"schema": "extensions", "version": "1"} for name in ("a", "b", "c")}
    requires = {"extension b": ["extension a", "extension c"], "extension c": ["extension a"]}
    assert draft_rollback({}, after, requires).statements == [
        "drop extension b;",
        "drop extension c;",
        "drop extension a;",
    ]


def test_tables_that_reference_each_other_go_together() -> None:
    after = {
        "table public.a": table(),
        "table public.b": table(),
        "constraint a_b on public.a": {"definition": "FOREIGN KEY (b) REFERENCES public.b(id)"},
        "constraint b_a on public.b": {"definition": "FOREIGN KEY (a) REFERENCES public.a(id)"},
    }
    assert draft_rollback({}, after).statements == ["drop table public.a, public.b;"]


def test_a_dropped_table_is_left_to_a_person() -> None:
    before = {"table public.a": table(), "column public.a.id": column(1)}
    draft = draft_rollback(before, {})
    assert draft.statements == []
    assert [left.key for left in draft.not_covered] == ["table public.a"]
    assert "only a backup has them" in draft.not_covered[0].reason


def test_what_may_be_renamed_is_not_dropped() -> None:
    before = {"table public.a": table(), "column public.a.old": column(1)}
    after = {"table public.a": table(), "column public.a.new": column(1)}
    draft = draft_rollback(before, after)
    assert draft.statements == []
    assert {left.key for left in draft.not_covered} == {"column public.a.old", "column public.a.new"}


def test_access_lists() -> None:
    found, wanted = ["=r/postgres", "anon=rw*/postgres"], ['"odd role"=r/postgres', "anon=w/postgres"]
    assert sorted(grant_changes("table public.a", found, wanted, "postgres")) == [
        'grant select on table public.a to "odd role";',
        "grant update on table public.a to anon;",
        "revoke select on table public.a from public;",
        "revoke select, update on table public.a from anon;",
    ]
    with pytest.raises(ForeignGrant):
        grant_changes("table public.a", ["anon=r/somebody"], [], "postgres")


def test_default_privileges() -> None:
    key = "default privileges of postgres for functions"
    assert default_privileges_changes(key, ["postgres=X/postgres"], None) == [
        "alter default privileges for role postgres grant execute on functions to public;"
    ]
    key = "default privileges of postgres for tables in app"
    assert default_privileges_changes(key, ["anon=r/postgres"], None) == [
        "alter default privileges for role postgres in schema app revoke select on tables from anon;"
    ]
    # A key quotes what an access list does not.
    key = 'default privileges of "Upper" for functions'
    assert default_privileges_changes(key, ["Upper=X/Upper"], None) == [
        'alter default privileges for role "Upper" grant execute on functions to public;'
    ]


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        ("select 1 from public.orders o", "table public.orders", True),
        ("nextval('public.tickets'::regclass)", "sequence public.tickets", True),
        ("select 1 from public.orders_old", "table public.orders", False),
        ("select 1 from mypublic.orders", "table public.orders", False),
        ('select 1 from public."Orders"', 'table public."Orders"', True),
        ("EXECUTE FUNCTION public.touch()", "function public.touch()", True),
        ("EXECUTE FUNCTION public.touch()", "policy touch on public.a", False),
    ],
)
def test_mentions(text: str, key: str, found: bool) -> None:
    assert mentions(text, key) is found


def test_names() -> None:
    assert cut('"a on b" on public.t', " on ") == ('"a on b"', "public.t")
    assert [quoted(name) for name in ("plain", "select", 'o"dd', "Upper")] == [
        "plain",
        '"select"',
        '"o""dd"',
        '"Upper"',
    ]
    index = {"definition": 'CREATE INDEX "I ON x USING" ON ONLY public."T" USING btree (id)'}
    assert owner_relation('index public."I ON x USING"', index) == 'public."T"'


def test_the_draft_says_what_it_is_and_no_text_of_it_becomes_sql() -> None:
    draft = RollbackDraft(
        version="1",
        name="one",
        sha256="0" * 64,
        file="1_one.sql.draft",
        outcome="written",
        statements=1,
        exact=False,
        failure="line one\ndrop table public.a;",
        differences=[],
        not_covered=[UncoveredObject(object_name='table public."x\ny"', reason="because")],
        not_executed=[],
        rows_written=[],
    )
    text = draft_text(draft, ["drop view public.v;"])
    assert text.startswith(DRAFT_MARK) and is_unreviewed(text)
    assert [line for line in text.splitlines() if line and not line.startswith("--")] == ["drop view public.v;"]
    assert not is_unreviewed(text.split("\n", 1)[1])
