# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schemas in files and in comparisons: what is selected, ignored, counted, kept and refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, VerificationFailed
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import SchemaSide
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import fingerprint
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.selection import (
    count_objects,
    of_schemas,
    without_ignored,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.snapshot import compare, keep, read_file

CATALOG: dict[str, dict[str, Any]] = {
    "table public.t": {"owner": "postgres", "comment": "x"},
    "column public.t.a": {"position": 1},
    'constraint "a on b" on public.t': {"definition": "CHECK (true)"},
    'table "odd.one"."t"': {"owner": "postgres"},
    "trigger welcome on auth.users": {"enabled": "origin"},
    "rule quiet on app.t": {},
    "extension pgcrypto": {"version": "1.3"},
    "default privileges of postgres for tables": {},
    "default privileges of postgres for tables in app": {},
    "publication feed": {"owner": "postgres", "tables": {"app.t": {}, "public.t": {}}},
}


def side(version: str | None = "17.1") -> SchemaSide:
    return SchemaSide(source="here", server_version=version, fingerprint="", total=0)


def diff_of(before: dict[str, Any], after: dict[str, Any], **how: Any) -> Any:
    return compare((side(), before), (side(how.pop("version", "17.1")), after), **how)


def test_a_part_of_a_catalog_is_what_reading_only_those_schemas_gives() -> None:
    assert set(CATALOG) - set(of_schemas(CATALOG, ["public"])) == {
        'table "odd.one"."t"',
        "rule quiet on app.t",
        "default privileges of postgres for tables in app",
    }
    assert of_schemas(CATALOG, ["public"])["publication feed"]["tables"] == {"public.t": {}}
    assert "tables" not in of_schemas(CATALOG, ["odd.one"])["publication feed"]
    assert 'table "odd.one"."t"' in of_schemas(CATALOG, ["odd.one"])


@pytest.mark.parametrize(
    ("pattern", "gone", "left_out"),
    [
        ("table public.*", {"table public.t", "column public.t.a"}, 2),
        ("* on public.t", {'constraint "a on b" on public.t'}, 1),
        ("comment on *", set(), 1),
        ("nothing", set(), 0),
    ],
)
def test_a_pattern_leaves_out_objects_or_attributes(pattern: str, gone: set[str], left_out: int) -> None:
    remainder = without_ignored(CATALOG, [pattern])
    assert set(CATALOG) - set(remainder.catalog) == gone
    assert remainder.left_out == left_out
    assert remainder.matched == ({pattern} if left_out else frozenset())


def test_an_ignored_comment_is_no_difference_and_an_idle_pattern_is_told() -> None:
    before = {"table public.t": {"owner": "a", "comment": "x"}}
    after = {"table public.t": {"owner": "a", "comment": "y"}}
    assert not diff_of(before, after).equal
    diff = diff_of(before, after, ignore=["comment on *", "view *"])
    assert (diff.equal, diff.ignored, diff.notes) == (True, 2, ["Nothing matches the pattern to ignore view *."])


def test_different_major_versions_are_told() -> None:
    assert diff_of({}, {}, version="17.9").notes == []
    assert "17.1 and 15.18" in diff_of({}, {}, version="15.18").notes[0]


def test_the_direction_is_from_before_to_after_and_a_failure_carries_the_comparison() -> None:
    with pytest.raises(VerificationFailed, match="view public.v created") as caught:
        diff_of({}, {"view public.v": {}}, fail_on_difference=True)
    counts = caught.value.details["result"]["schema_diff"]["counts"]
    assert counts == {"view": {"created": 1, "changed": 0, "dropped": 0}}
    assert diff_of({"view public.v": {}}, {}).changes[0].change == "dropped"


def test_a_kept_schema_is_private_has_the_fingerprint_as_its_hash_and_is_written_once(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "schema.json"
    assert keep(CATALOG, file, dry_run=True).changed
    assert not file.exists()
    assert keep(CATALOG, file).changed
    assert file.stat().st_mode & 0o777 == 0o600
    assert hashlib.sha256(file.read_bytes()).hexdigest() == fingerprint(CATALOG)
    assert read_file(file) == CATALOG
    assert not keep(CATALOG, file).changed
    file.chmod(0o644)
    assert keep(CATALOG, file).changed
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "[]", '{"tables": []}', '{"table public.t": 1}', "precious"])
def test_a_file_that_holds_anything_else_is_neither_read_nor_overwritten(tmp_path: Path, content: str) -> None:
    file = tmp_path / "file"
    file.write_text(content)
    for _time in range(2):
        with pytest.raises(InputError, match="holds no schema"):
            keep(CATALOG, file)
    assert file.read_text() == content


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.json"):
        read_file(tmp_path / "absent.json")


def test_objects_are_counted_by_type() -> None:
    assert count_objects({"table public.a": {}, "table public.b": {}, "event trigger e": {}}) == {
        "event trigger": 1,
        "table": 2,
    }
