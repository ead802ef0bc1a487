# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a catalog is equal to another but for the places of columns that were added again: PostgreSQL adds them last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, column_of, relation_of
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import Catalog
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_all

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


def column_numbers(connection: PgConnection) -> dict[int, int]:
    """For each table, by its oid, the highest number that a column of it ever had."""
    query = "select oid, relnatts from pg_catalog.pg_class where relkind in ('r', 'p', 'f')"
    return {int(oid): int(number) for oid, number in fetch_all(connection, query)}


def tables_of_moved_columns(
    connection: PgConnection, wanted: Catalog, found: Catalog, numbers_before: Mapping[int, int]
) -> list[str] | None:
    """The tables in which columns that were added again stand at another place, which is all that differs; None when more does.

    Columns that changed places without being added again were renamed crosswise: then their rows are not what they were.

    :param numbers_before: :func:`column_numbers` from before the columns were added again.
    """
    tables = _only_positions_differ(wanted, found)
    if tables is None:
        return None
    for table in tables:
        rows = fetch_all(
            connection,
            "select a.attrelid, a.attnum, pg_catalog.quote_ident(a.attname) from pg_catalog.pg_attribute a "
            "where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum",
            [table],
        )
        stayed = [name for oid, number, name in rows if number <= numbers_before.get(int(oid), 0)]
        if stayed != [name for name in _columns(wanted, table) if name in stayed]:
            return None
    return tables


def with_places_of(wanted: Catalog, found: Catalog) -> Catalog:
    """The found catalog with its columns at the places that they are wanted at, to tell what else differs; pure."""
    at_places = dict(found)
    for key in wanted.keys() & found.keys():
        if CatalogKey.parse(key)[0] == "column":
            at_places[key] = {**found[key], "position": wanted[key]["position"]}
    return at_places


def _only_positions_differ(wanted: Catalog, found: Catalog) -> list[str] | None:
    if wanted.keys() != found.keys():
        return None
    tables = set()
    for key in wanted:
        if wanted[key] == found[key]:
            continue
        kind, name = CatalogKey.parse(key)
        if kind != "column" or {**wanted[key], "position": found[key]["position"]} != found[key]:
            return None
        tables.add(relation_of(name))
    # The order in a view or a composite type is part of what it is.
    return sorted(tables) if all({f"table {t}", f"foreign table {t}"} & wanted.keys() for t in tables) else None


def _columns(catalog: Catalog, table: str) -> list[str]:
    """The table's columns in order, as SQL."""
    names = {key: name for key in catalog if (name := _column(key, table))}
    return [names[key] for key in sorted(names, key=lambda key: int(catalog[key]["position"]))]


def _column(key: str, table: str) -> str | None:
    kind, name = CatalogKey.parse(key)
    return column_of(name) if kind == "column" and relation_of(name) == table else None
