# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes with a schema, a type or an extension that is dropped, as the database itself would find it. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import DatabaseObject, part_of

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

_OIDS = {
    "schema": "select 'pg_namespace'::regclass::oid, oid from pg_catalog.pg_namespace where %s = '' and nspname = %s",
    "extension": "select 'pg_extension'::regclass::oid, oid from pg_catalog.pg_extension where %s = '' and extname = %s",
    "type": "select 'pg_type'::regclass::oid, t.oid from pg_catalog.pg_type t "
    "join pg_catalog.pg_namespace n on n.oid = t.typnamespace where n.nspname = %s and t.typname = %s",
}

# pg_depend is what DROP itself follows. Only ordinary tables hold rows, a partitioned one in its partitions.
_CONTAINED = """
with recursive gone (classid, objid, objsubid) as (
    select %s::oid, %s::oid, 0
    union
    select d.classid, d.objid, d.objsubid
    from gone g join pg_catalog.pg_depend d on d.refclassid = g.classid and d.refobjid = g.objid
    where g.objsubid in (0, d.refobjsubid)
)
select n.nspname, c.relname, a.attname
from gone g
join pg_catalog.pg_class c on g.classid = 'pg_catalog.pg_class'::regclass and c.oid = g.objid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = g.objsubid and g.objsubid > 0
where c.relkind = 'r'
  and (g.objsubid = 0 or not exists (select from gone w where (w.classid, w.objid, w.objsubid) = (g.classid, g.objid, 0)))
order by 1, 2, 3
"""


def contained_in(connection: PgConnection, container: DatabaseObject) -> list[DatabaseObject] | None:
    """The tables and columns that go with it and hold rows; None when it is not there.

    :raises psycopg2.Error: when a table may not be read, or it takes too long.
    """
    from psycopg2 import sql

    place = fetch_all(connection, _OIDS[container.kind], [container.schema, container.name])
    if not place:
        return None
    found = []
    for schema, name, column in fetch_all(connection, _CONTAINED, list(place[0])):
        table = DatabaseObject("table", schema, name)
        held = sql.SQL("select exists (select from {} where {} is not null)").format(
            sql.Identifier(schema, name), sql.Identifier(column) if column else sql.SQL("true")
        )
        if fetch_value(connection, held):
            found.append(part_of("column", table, column) if column else table)
    return found
