# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the session's present transaction itself inserted and deleted, from PostgreSQL's own statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.connection import fetch_all, fetch_value

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

OwnChanges = Mapping[tuple[str, str], int]


def own_changes(connection: PgConnection, *, since: OwnChanges | None = None) -> dict[tuple[str, str], int] | None:
    """Rows inserted less rows deleted per table by the present transaction; tables with no difference are left out.

    Cascaded deletes, triggers, COPY, MERGE and rows that move between partitions count (a partitioned table has the sum
    of its partitions); table rewrites do not. Read from pg_stat_xact_user_tables, with its limits:

    - It may still hold what earlier transactions of the session did. Unless the session is fresh, call this first
      thing in the transaction as well and give that as ``since``.
    - TRUNCATE is not counted, and it forgets what the transaction did to the table before.
    - What was undone by ROLLBACK TO SAVEPOINT, or by an exception block, stays counted: read this before any
      validation that writes under a savepoint.

    :returns: None when the server does not count (track_counts is off): then nothing is known.
    """
    if fetch_value(connection, "select pg_catalog.current_setting('track_counts')") != "on":
        return None
    rows = fetch_all(
        connection,
        """
        with touched as (
            select relid, n_tup_ins - n_tup_del as difference
            from pg_catalog.pg_stat_xact_user_tables
            where n_tup_ins <> n_tup_del
        ), attributed as (
            select relid, difference from touched
            union all
            select ancestor.relid, difference
            from touched cross join lateral pg_catalog.pg_partition_ancestors(touched.relid) as ancestor(relid)
            where ancestor.relid <> touched.relid
        )
        select n.nspname, c.relname, sum(a.difference)::bigint
        from attributed as a
        join pg_catalog.pg_class as c on c.oid = a.relid
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where c.relpersistence <> 't'
        group by n.nspname, c.relname
        """,
    )
    now = {(str(schema), str(table)): int(difference) for schema, table, difference in rows}
    earlier = since or {}
    differences = {table: now.get(table, 0) - earlier.get(table, 0) for table in now.keys() | earlier.keys()}
    return {table: difference for table, difference in sorted(differences.items()) if difference}
