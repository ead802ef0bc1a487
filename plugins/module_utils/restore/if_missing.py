# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore makes only where it is missing: it is in no schema, and what uses it elsewhere must not go with it.

A foreign server that is there is altered until it is what the archive says; of anything else that is there, a restore says
that it left it as it is. So it never claims what it did not look at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.archive.content import Entry
from ansible_collections.pgops.supabase.plugins.module_utils.archive.stream import run_in
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

_SAVEPOINT = "pgops_restore_entry"
_DUPLICATE_OBJECT = "42710"
# The server that was there, while the archive's is made beside it under its name.
_ASIDE = "pgops restores this server"
_SERVER = """
select s.srvfdw, s.srvtype, s.srvversion, pg_catalog.pg_get_userbyid(s.srvowner),
    array(select option_name || '=' || option_value from pg_catalog.pg_options_to_table(s.srvoptions) order by 1)
from pg_catalog.pg_foreign_server as s where s.srvname = %s
"""


def run_if_missing(connection: PgConnection, entry: Entry, statements: bytes) -> str | None:
    """Run an entry's statements, and where its object is there already, say what became of that.

    :raises psycopg2.Error: when PostgreSQL refuses them for another reason.
    """
    import psycopg2

    try:
        with _undone_when_refused(connection):
            run_in(connection, statements)
    except psycopg2.Error as error:
        if error.pgcode != _DUPLICATE_OBJECT:
            raise
    else:
        return None
    if entry.kind != "SERVER":
        return f"{entry.label} was there already and was left as it is"
    try:
        with _undone_when_refused(connection):
            altered = _alter_server(connection, entry.name, statements)
    except psycopg2.Error as error:
        if connection.closed:
            raise
        reason = error.diag.message_primary
        return f"{entry.label} was there already and was left as it is, whether it is the backup's or not: {reason}"
    if altered is None:
        return (
            f"{entry.label} was there already and was left as it is: its wrapper or type is another than the backup's"
        )
    return f"{entry.label} was altered since, and is as in the backup again" if altered else None


@contextmanager
def _undone_when_refused(connection: PgConnection) -> Iterator[None]:
    import psycopg2

    execute(connection, f"savepoint {_SAVEPOINT}")
    try:
        yield
    except psycopg2.Error:
        if not connection.closed:
            execute(connection, f"rollback to savepoint {_SAVEPOINT}")
        raise
    finally:
        if not connection.closed:
            execute(connection, f"release savepoint {_SAVEPOINT}")


def _alter_server(connection: PgConnection, name: str, statements: bytes) -> bool | None:
    """Make the archive's server beside the one that is there, alter that one until both are equal, and drop the other.

    Foreign tables and user mappings stay with the server that was there. The wrapper and the type of a server cannot be
    altered; where they differ, nothing is done and None returned.
    """
    from psycopg2 import sql

    there, aside = sql.Identifier(name), sql.Identifier(_ASIDE)
    execute(connection, sql.SQL("alter server {} rename to {}").format(there, aside))
    run_in(connection, statements)
    before, wanted = (fetch_all(connection, _SERVER, [server])[0] for server in (_ASIDE, name))
    execute(connection, sql.SQL("drop server {}").format(there))
    execute(connection, sql.SQL("alter server {} rename to {}").format(aside, there))
    if before == wanted:
        return False
    if before[:2] != wanted[:2]:
        return None
    changes = _option_changes(before[4], wanted[4])
    statement = sql.SQL("alter server {} version {}").format(there, sql.Literal(wanted[2]))
    if changes:
        statement += sql.SQL(" options ({})").format(sql.SQL(", ").join(changes))
    execute(connection, statement)
    if before[3] != wanted[3]:
        execute(connection, sql.SQL("alter server {} owner to {}").format(there, sql.Identifier(wanted[3])))
    return True


def _option_changes(before: list[str], wanted: list[str]) -> list[Any]:
    """The words of ALTER SERVER ... OPTIONS that make one list of options of another."""
    from psycopg2 import sql

    there, to_be = (dict(option.split("=", 1) for option in options) for options in (before, wanted))
    dropped = [sql.SQL("drop {}").format(sql.Identifier(name)) for name in there.keys() - to_be.keys()]
    return dropped + [
        sql.SQL("{} {} {}").format(sql.SQL("set" if name in there else "add"), sql.Identifier(name), sql.Literal(value))
        for name, value in to_be.items()
        if there.get(name) != value
    ]
