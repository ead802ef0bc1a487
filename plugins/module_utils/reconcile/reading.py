# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One project as a reconciliation sees it: schema, history, ledger, cron jobs and exact rows, all of one read-only snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BusyError, PrivilegeError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import sha256_of_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import Catalog, read_catalog, user_schemas
from ansible_collections.pgops.supabase.plugins.module_utils.counts.tables import count_in_transaction, user_tables
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.documents import HalfDoneMigration
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    HistoryRow,
    LedgerEvent,
    newest_applied_events,
    read_history,
    read_ledger,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.statement_log import read_half_done
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    fetch_all,
    fetch_value,
    require_all_rows_visible,
    server_version,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.identifiers import quoted
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import taken_back

if TYPE_CHECKING:
    import psycopg2
    from psycopg2.extensions import connection as PgConnection

# Jobs without a name are told apart by when they run and by their place among those of the same time; each role has names of its own.
_CRON_JOBS = """
select coalesce(quote_ident(jobname) || case when count(*) over (partition by jobname) > 1 then ' of ' || username else '' end,
           'at ' || schedule || case when row_number() over same > 1 then ' #' || row_number() over same else '' end),
       schedule, command, active, username
from cron.job where database = pg_catalog.current_database()
window same as (partition by jobname is null, jobname, schedule order by pg_catalog.md5(command))
order by 1
"""


@dataclass(frozen=True)
class ProjectState:
    """What one snapshot saw of one project.

    :param rows: exact rows by table, as :func:`requoted` writes its name; None where nobody counted.
    :param cron_jobs: by name; their commands are hashes only, because such text holds keys often enough. None: the role may not read them.
    """

    name: str
    options: ConnectionOptions
    version: str
    taken_at: str
    schemas: list[str]
    catalog: Catalog
    history: list[HistoryRow]
    ledger: list[LedgerEvent]
    half_done: list[HalfDoneMigration] = field(default_factory=list)
    rows: Mapping[str, int] | None = None
    cron_jobs: Mapping[str, Mapping[str, Any]] | None = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def events(self) -> dict[str, LedgerEvent]:
        """For each version that the ledger holds as applied, the event that says so."""
        return newest_applied_events(self.ledger)


def read_project(
    name: str,
    options: ConnectionOptions,
    settings: SessionSettings,
    *,
    schemas: Sequence[str] | None = None,
    count_rows: bool = True,
) -> ProjectState:
    """Read a project in one read-only snapshot.

    :param settings: of a session that may not write.
    :param schemas: the schemas to read; by default the user's own.
    :raises BusyError: when a lock on an object held up the reading for longer than the settings allow.
    :raises PrivilegeError: when the role may not read the history, or row level security could hide rows from a count.
    :raises CountError: when a table cannot be counted.
    """
    import psycopg2.errors

    with session(options, settings) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        try:
            names = sorted(set(schemas)) if schemas else user_schemas(connection)
            # The first statement has taken the snapshot; all that follows sees the same.
            state = ProjectState(
                name=name,
                options=options,
                version=server_version(connection),
                taken_at=utc_now(),
                schemas=names,
                catalog=read_catalog(connection, names),
                history=read_history(connection),
                ledger=read_ledger(connection),
                half_done=read_half_done(connection),
                rows=_rows(connection, names) if count_rows else None,
                cron_jobs=_cron_jobs(connection),
            )
        except psycopg2.errors.LockNotAvailable as error:
            raise _locked(name, options, error) from error
        except psycopg2.errors.InsufficientPrivilege as error:
            raise PrivilegeError(
                f"The role may not read what is applied on {name}: {error.diag.message_primary}",
                where=options.place,
                next_step="Connect as the role that owns it (login_user: postgres on Supabase).",
                details={"sqlstate": error.pgcode},
            ) from error
    state.notes.extend(_notes(state))
    return state


def _locked(name: str, options: ConnectionOptions, error: psycopg2.Error) -> BusyError:
    return BusyError(
        f"{name} could not be read: another session holds a lock on one of its objects",
        where=options.place,
        next_step="Run it again when that session is done (pg_locks shows it), or raise lock_timeout_seconds.",
        details={"sqlstate": error.pgcode},
    )


def _rows(connection: PgConnection, schemas: Sequence[str]) -> dict[str, int]:
    require_all_rows_visible(connection, "row counts")
    counts = count_in_transaction(connection, user_tables(connection, schemas))
    return {f"{quoted(count.schema)}.{quoted(count.table)}": count.rows for count in counts}


def _cron_jobs(connection: PgConnection) -> dict[str, dict[str, Any]] | None:
    """The jobs of pg_cron for this database that the role may see; None where there are some that it may not read."""
    import psycopg2.errors

    try:
        with taken_back(connection, "pgops_cron_jobs"):
            # It is refused too, where the role may not use the schema.
            if fetch_value(connection, "select pg_catalog.to_regclass('cron.job') is null"):
                return {}
            rows = fetch_all(connection, _CRON_JOBS)
    except (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.UndefinedColumn):
        return None
    return {
        name: {
            "schedule": schedule,
            "command": sha256_of_bytes(command.encode()),
            "active": active,
            "role": username,
        }
        for name, schedule, command, active, username in rows
    }


def _notes(state: ProjectState) -> list[str]:
    """What needs a look on this project, whatever the other one has."""
    notes = []
    invalid = [key for key, definition in state.catalog.items() if definition.get("valid") is False]
    if invalid:
        notes.append(f"INVALID: {', '.join(invalid)}; the planner does not use them, rebuild or drop them")
    unproven = [key for key, definition in state.catalog.items() if definition.get("validated") is False]
    if unproven:
        notes.append(
            f"not validated: {', '.join(unproven)}; older rows may break them (alter table ... validate constraint)"
        )
    unknown = [row.version for row in state.history if row.version not in state.events]
    if unknown:
        notes.append(f"{len(unknown)} of {len(state.history)} migrations are not in the ledger (playbook adopt)")
    if state.cron_jobs is None:
        notes.append("the jobs of pg_cron cannot be read by this role, and were not compared")
    return notes
