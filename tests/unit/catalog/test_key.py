# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of catalogs: taken apart and put together again, whatever the names hold."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import ON_A_RELATION, CatalogKey
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.queries import OBJECT_TYPES

NAMES = ("plain", '"two words"', '"a.b"', '"say ""hi"""', '"x on y"', '"a in b"', '"of c for d"', '"umlaut ä\n%s"')


@pytest.mark.parametrize("kind", OBJECT_TYPES)
@pytest.mark.parametrize("name", NAMES)
def test_a_key_is_itself_again(kind: str, name: str) -> None:
    key = CatalogKey(kind, f"public.{name}")
    assert CatalogKey.parse(str(key)) == key


@pytest.mark.parametrize(("own", "schema", "table"), list(itertools.product(NAMES, repeat=3)))
def test_what_is_on_a_table_has_a_name_a_schema_and_a_table(own: str, schema: str, table: str) -> None:
    for kind in sorted(ON_A_RELATION):
        key = CatalogKey.parse(f"{kind} {own} on {schema}.{table}")
        assert (key.own_name, key.schema, key.on) == (own, schema, f"{schema}.{table}")
    column = CatalogKey.parse(f"column {schema}.{table}.{own}")
    assert (column.own_name, column.schema, column.on) == (own, schema, f"{schema}.{table}")
    defaults = CatalogKey.parse(f"default privileges of {own} for large objects in {schema}").defaults
    assert defaults == (own, "large objects", schema)


def test_what_is_in_no_schema() -> None:
    keys = ("extension pgcrypto", 'event trigger "a.b"', "publication p", "default privileges of r for tables")
    assert [CatalogKey.parse(key).schema for key in keys] == ["", "", "", ""]


def test_anything_else_is_no_key() -> None:
    with pytest.raises(ValueError, match="not a catalog's key"):
        CatalogKey.parse("nothing of ours")
