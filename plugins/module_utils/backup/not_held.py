# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to a project and is in no backup of it: what extensions keep in tables of their own, and Storage's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import NotHeld
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    PLATFORM_EVENT_TRIGGERS,
    PLATFORM_SCHEMAS,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

# What people know under a name of its own, by the table that lists it.
_NAMED = (
    ("cron.job", "cron jobs"),
    ("pgmq.meta", "pgmq queues"),
    ("vault.secrets", "vault secrets"),
    ("storage.objects", "Storage files"),
)
# Extensions' own tables, each with the condition by which the extension tells its users' rows from those it came with.
_TABLES_OF_EXTENSIONS = """
select c.oid::regclass::text, n.nspname || '.' || c.relname,
    coalesce((select config.condition from unnest(e.extconfig, e.extcondition) as config (relation, condition)
              where config.relation = c.oid), '')
from pg_catalog.pg_depend as d
join pg_catalog.pg_extension as e on e.oid = d.refobjid
join pg_catalog.pg_class as c on c.oid = d.objid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_extension'::regclass
  and d.deptype = 'e' and c.relkind = 'r' and c.relpersistence <> 't'
order by 2
"""

# The archive has an event trigger, but not the function that a user made for it in a schema of the platform.
_EVENT_TRIGGERS_AT_THE_PLATFORMS = """
select count(*) from pg_catalog.pg_event_trigger as e
join pg_catalog.pg_proc as p on p.oid = e.evtfoid join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
where n.nspname = any(%s) and e.evtname <> all(%s) and pg_catalog.pg_get_userbyid(e.evtowner) <> %s
  and not exists (
      select from pg_catalog.pg_depend as d
      where d.classid = 'pg_catalog.pg_event_trigger'::regclass and d.objid = e.oid and d.deptype = 'e')
"""


def read_not_held(connection: PgConnection, *, cron_jobs_held: int) -> list[NotHeld]:
    """What is there and not in the archive, with how much of it, in the open transaction; what is empty is left out.

    :param cron_jobs_held: how many cron jobs the backup holds as SQL.
    """
    found = []
    for table, what in _NAMED:
        if fetch_value(connection, "select pg_catalog.to_regclass(%s) is not null", [table]):
            rows = _count(connection, table, "")
            if table == "cron.job" and rows is not None:
                rows -= cron_jobs_held
            found.append(NotHeld(what=what, count=rows))
    named = {table for table, _what in _NAMED}
    for identifier, table, condition in fetch_all(connection, _TABLES_OF_EXTENSIONS):
        if table not in named:
            rows = _count(connection, str(identifier), str(condition))
            found.append(NotHeld(what=f"rows of an extension's table {table}", count=rows))
    platform = [[*PLATFORM_SCHEMAS], [*PLATFORM_EVENT_TRIGGERS], SUPERUSER]
    theirs = int(fetch_value(connection, _EVENT_TRIGGERS_AT_THE_PLATFORMS, platform))
    found.append(NotHeld(what="event triggers of yours with functions in schemas of the platform", count=theirs))
    return [item for item in found if item.count != 0]


def _count(connection: PgConnection, table: str, condition: str) -> int | None:
    """Rows of a table; None where the role may not read it."""
    import psycopg2

    execute(connection, "savepoint pgops_not_held")
    try:
        return int(fetch_value(connection, f"select count(*) from only {table} {condition}"))
    except psycopg2.Error:
        if connection.closed:
            raise
        execute(connection, "rollback to savepoint pgops_not_held")
        return None
    finally:
        if not connection.closed:
            execute(connection, "release savepoint pgops_not_held")
