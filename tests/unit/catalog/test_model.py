# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalogs compared: plain data in, plain data out."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    compare_catalogs,
    fingerprint,
)

TABLE: dict[str, Any] = {"owner": "postgres", "row security": True, "privileges": ["postgres=r/postgres"]}
CATALOG = {
    "table public.profiles": TABLE,
    "column public.profiles.id": {"position": 1, "type": "uuid", "not null": True},
    'column public.profiles."deletedBy"': {"position": 2, "type": "uuid", "not null": False},
}


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    return [(c.change, c.object_type, c.object_name, c.detail) for c in compare_catalogs(before, after)]


def test_equal_catalogs_have_no_changes_and_one_fingerprint() -> None:
    turned = dict(reversed(CATALOG.items()))
    assert compare_catalogs(CATALOG, turned) == []
    assert fingerprint(CATALOG) == fingerprint(turned)


def test_a_created_table_is_one_change_that_tells_its_columns() -> None:
    assert changes({}, CATALOG) == [("created", "table", "public.profiles", "2 columns")]


def test_a_dropped_table_is_one_change_that_tells_its_columns() -> None:
    assert changes(CATALOG, {}) == [("dropped", "table", "public.profiles", "2 columns")]


def test_a_column_added_to_a_table_is_told_by_name() -> None:
    before = {key: value for key, value in CATALOG.items() if "deletedBy" not in key}
    assert changes(before, CATALOG) == [("created", "column", 'public.profiles."deletedBy"', "")]


def test_the_first_column_of_a_table_that_had_none_is_a_change() -> None:
    before: dict[str, Any] = {"table public.t": TABLE}
    after = {**before, "column public.t.id": {"position": 1}}
    assert changes(before, after) == [("created", "column", "public.t.id", "")]
    back_to = before
    assert changes(after, back_to) == [("dropped", "column", "public.t.id", "")]


def test_a_dot_inside_quotes_does_not_end_the_name_of_a_table() -> None:
    odd = {'table public."a.b"': TABLE, 'column public."a.b"."c.d"': {"position": 1}}
    assert changes(CATALOG, {**CATALOG, **odd}) == [("created", "table", 'public."a.b"', "1 column")]


@pytest.mark.parametrize(
    ("attribute", "before", "after", "detail"),
    [
        ("type", "integer", "bigint", "type: integer -> bigint"),
        ("row security", True, False, "row security: true -> false"),
        ("comment", None, "who it is", "comment: none -> who it is"),
        ("definition", "x" * 99 + "a", "x" * 99 + "b", "definition: changed"),
        ("privileges", ["a=r/p"], ["b=r/p"], "privileges: -a=r/p, +b=r/p"),
        ("privileges", None, ["b=r/p"], "privileges: +b=r/p"),
        ("labels", ["a", "b"], ["b", "a"], "labels: order changed"),
    ],
)
def test_a_change_says_what_was_and_what_is(attribute: str, before: Any, after: Any, detail: str) -> None:
    old = {"owner": "postgres"} | ({} if before is None else {attribute: before})
    new = {"owner": "postgres"} | ({} if after is None else {attribute: after})
    assert changes({"table public.t": old}, {"table public.t": new}) == [("changed", "table", "public.t", detail)]


def test_changes_are_sorted_by_type_and_name() -> None:
    after: dict[str, Any] = {"view public.b": {}, "index public.z": {}, "index public.a": {}}
    assert [c.object_name for c in compare_catalogs({}, after)] == ["public.a", "public.z", "public.b"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("table public.t", ("table", "public.t")),
        ("event trigger e", ("event trigger", "e")),
        ("materialized view public.v", ("materialized view", "public.v")),
        ('policy "own rows" on public.t', ("policy", '"own rows" on public.t')),
    ],
)
def test_a_key_is_type_and_name(key: str, expected: tuple[str, str]) -> None:
    assert CatalogKey.parse(key) == expected


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(ValueError, match="not a catalog's key"):
        CatalogKey.parse("nonsense")
