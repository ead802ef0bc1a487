# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which schemas a database has, and how its tables hang together by foreign keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_all

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

Table = tuple[str, str]
"""A table's schema and its name, neither of them quoted."""


def present_schemas(connection: PgConnection) -> frozenset[str]:
    """All schemas but PostgreSQL's own."""
    rows = fetch_all(
        connection,
        r"select nspname from pg_catalog.pg_namespace where nspname <> 'information_schema' and nspname !~ '^pg_'",
    )
    return frozenset(str(name) for (name,) in rows)


def foreign_keys(connection: PgConnection) -> list[tuple[Table, Table]]:
    """Every foreign key of the database: the table that refers, and the one that is referred to."""
    rows = fetch_all(
        connection,
        "select fn.nspname, f.relname, tn.nspname, t.relname from pg_catalog.pg_constraint k "
        "join pg_catalog.pg_class f on f.oid = k.conrelid join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace "
        "join pg_catalog.pg_class t on t.oid = k.confrelid join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace "
        "where k.contype = 'f'",
    )
    return [((a, b), (c, d)) for a, b, c, d in rows]
