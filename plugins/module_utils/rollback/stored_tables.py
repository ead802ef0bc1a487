# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables that hold rows, and their columns by the numbers that PostgreSQL never uses again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_all
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import Table

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


@dataclass(frozen=True)
class StoredTable:
    """A table and its columns by their numbers, which PostgreSQL never uses again.

    :param parent: the oid of the partitioned table that it is a partition of, which holds its rows as well.
    """

    oid: int
    schema: str
    table: str
    columns: dict[int, str]
    partitioned: bool
    parent: int | None

    @property
    def name(self) -> Table:
        """Schema and name."""
        return self.schema, self.table

    @property
    def rows_of(self) -> Any:
        """What stands behind FROM: of a table that others inherit from only its own rows, for those have theirs."""
        from psycopg2 import sql

        return sql.SQL("{} {}").format(
            sql.SQL("" if self.partitioned else "only"), sql.Identifier(self.schema, self.table)
        )


def stored_tables(connection: PgConnection, schemas: Sequence[str] | None = None) -> list[StoredTable]:
    """The tables of some schemas, or of all. Generated columns can be computed again and are not data of their own."""
    rows = fetch_all(
        connection,
        "select c.oid, n.nspname, c.relname, jsonb_object_agg(a.attnum, a.attname), c.relkind = 'p', (select i.inhparent "
        "from pg_catalog.pg_inherits i where c.relispartition and i.inhrelid = c.oid) from pg_catalog.pg_class c "
        "join pg_catalog.pg_namespace n on n.oid = c.relnamespace join pg_catalog.pg_attribute a on a.attrelid = c.oid "
        "where c.relkind in ('r', 'p') and (%s::text[] is null or n.nspname = any(%s)) and a.attnum > 0 "
        "and not a.attisdropped and a.attgenerated = '' group by 1, 2, 3 order by 2, 3",
        [None if schemas is None else list(schemas)] * 2,
    )
    return [
        StoredTable(
            int(oid),
            schema,
            table,
            {int(number): columns[number] for number in sorted(columns, key=int)},
            partitioned=partitioned,
            parent=parent and int(parent),
        )
        for oid, schema, table, columns, partitioned, parent in rows
    ]


def primary_key(connection: PgConnection, table_oid: int) -> tuple[str, ...]:
    """The columns of a table's primary key, none where it has none."""
    rows = fetch_all(
        connection,
        "select a.attname from pg_catalog.pg_index i "
        "cross join lateral unnest(i.indkey) with ordinality as k(attnum, position) "
        "join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum "
        "where i.indisprimary and i.indrelid = %s order by k.position",
        [table_oid],
    )
    return tuple(column for (column,) in rows)
