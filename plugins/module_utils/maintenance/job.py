# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's writes stopped and let on again: who may, what is proven, and what is put back where it cannot be.

The record is written in one transaction with what the strategies ``database`` and ``sql`` change, so that a run that is killed
at any moment leaves either both or none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    BusyError,
    InputError,
    PgopsError,
    PrivilegeError,
    State,
    ToolError,
    VerificationFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import read_json, write_json
from ansible_collections.pgops.supabase.plugins.module_utils.maintenance import application, database
from ansible_collections.pgops.supabase.plugins.module_utils.maintenance.documents import (
    MaintenanceRecord,
    MaintenanceReport,
    Proof,
    Strategy,
)
from ansible_collections.pgops.supabase.plugins.module_utils.maintenance.record import (
    Claim,
    delete_record,
    lock_record,
    read_record,
    whose,
    write_record,
)
from ansible_collections.pgops.supabase.plugins.module_utils.maintenance.sessions import (
    end_sessions,
    superusers_here,
    watch_writers,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    fetch_value,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.own_schema import utc_text
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import short_transaction

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

DOCUMENT_NAME = "maintenance.json"
_SETTINGS = SessionSettings(lock_timeout_ms=5_000, statement_timeout_ms=30_000)
_NOW = "select pg_catalog.clock_timestamp()::text"
_UTC_NOW = f"select {utc_text('pg_catalog.clock_timestamp()')}"
_ON_AGAIN = "the application's writes are on, and nothing is left of the attempt but the sessions that were ended"


@dataclass(frozen=True, kw_only=True)
class How:
    """The strategy and its settings, as the inventory's project_maintenance has them; None turns off whatever is on."""

    strategy: Strategy | None = None
    drain_seconds: float = 5.0
    keep_api_reads: bool = False
    authenticator_password: str | None = field(default=None, repr=False)
    sql_on: str | None = None
    sql_off: str | None = None
    sql_proof: str | None = None
    http_on: application.HttpRequest | None = None
    http_off: application.HttpRequest | None = None


def turn_on(
    options: ConnectionOptions, how: How, claim: Claim, *, pretend: bool = False, run_dir: Path | None = None
) -> tuple[bool, MaintenanceReport]:
    """Stop the application's writes, and prove it. What a person has stopped stays theirs; what a dead run left is taken over.

    :param pretend: only say what would be done.
    :param run_dir: where the report is written as C(maintenance.json).
    :returns: whether something was changed, and the report.
    :raises InputError: when the strategy lacks its settings, or another strategy is on.
    :raises BusyError: when a living run has them stopped.
    :raises VerificationFailed: when they cannot be stopped; they are on again then.
    """
    strategy = _require_settings(how)
    with session(options, _SETTINGS, autocommit=True) as connection:
        present = read_record(connection)
        if present is not None and not _is_ours(present, claim) and not present.left_behind:
            if present.run_id is None and claim.run_id is not None:
                return False, _report(present, ours=False)
            raise _held(present, options)
        if present is not None and present.strategy != strategy:
            raise InputError(
                f"The writes are stopped already, {whose(present)}, and another strategy is asked for: {strategy}",
                where=options.place,
                next_step="Let them on first: ansible-playbook pgops.supabase.maintenance -e maintenance_state=off, "
                f"with strategy: {present.strategy} and its settings in project_maintenance.",
            )
        is_new = present is None or not _is_ours(present, claim)
        if not is_new and present is not None:
            # Idempotent: only a setting that somebody has put back meanwhile is worth doing it again.
            if strategy != "database" or database.is_stopped(connection, present.before):
                return False, _kept(present, run_dir)
        if pretend:
            return True, (
                _report(present, ours=True) if present else MaintenanceReport(on=False, ours=True, strategy=strategy)
            )
        report = _stop(options, connection, how, claim, strategy)
    return True, _written(report, run_dir)


def turn_off(
    options: ConnectionOptions,
    how: How,
    claim: Claim,
    *,
    only_left_behind: bool = False,
    pretend: bool = False,
    run_dir: Path | None = None,
) -> tuple[bool, MaintenanceReport]:
    """Let the application's writes on again. A run lets be what a person or another living run has stopped.

    :param only_left_behind: only what a dead run left.
    :raises BusyError: when a person asks, and a living run has them stopped.
    :raises InputError: when the strategy that is on lacks its settings.
    """
    with session(options, _SETTINGS, autocommit=True) as connection:
        present = read_record(connection)
        if present is None:
            return False, _kept(None, run_dir)
        ours = _is_ours(present, claim) and not only_left_behind
        if not ours and not present.left_behind:
            if claim.run_id is None and present.run_id is not None and not only_left_behind:
                raise _held(present, options)
            return False, _report(present, ours=False)
        _require_settings(replace(how, strategy=present.strategy), to="off")
        if pretend:
            return True, _report(present, ours=True)
        report = _let_go(options, connection, how, present, _earlier(run_dir))
    return True, _written(report, run_dir)


def _require_settings(how: How, to: Literal["on", "off", "both"] = "both") -> Strategy:
    if how.strategy is None:
        raise InputError(
            "There is no strategy by which the writes could be stopped",
            where="project_maintenance",
            next_step="Give one in the inventory, such as project_maintenance: {strategy: database}.",
        )
    needed = {"sql": ("sql_on", "sql_off"), "http": ("http_on", "http_off")}.get(how.strategy, ())
    missing = [name for name in needed if getattr(how, name) is None and (to == "both" or name.endswith(to))]
    if missing:
        raise InputError(
            f"The strategy {how.strategy} needs {' and '.join(missing)}",
            where="project_maintenance",
            next_step="Give both ways: a strategy that is turned on has to be turned off again.",
        )
    return how.strategy


def _stop(
    options: ConnectionOptions, connection: PgConnection, how: How, claim: Claim, strategy: Strategy
) -> MaintenanceReport:
    proofs: list[Proof] = []
    with short_transaction(connection):
        present = lock_record(connection)
        if present is not None and not _is_ours(present, claim) and not present.left_behind:
            raise _held(present, options)
        before: dict[str, Any] = present.before if present else {}
        if strategy == "database":
            before = before or database.before_stopping(connection, close_api=not how.keep_api_reads)
            before = database.stop(connection, before)
        if strategy == "sql":
            application.run_statements(connection, how.sql_on or "", "sql_on")
            proofs += [application.prove_flag(connection, how.sql_proof, True)] if how.sql_proof else []
        write_record(connection, claim, strategy, before)
    record = read_record(connection)
    if record is None:
        raise BusyError(
            "Somebody let the writes on again at the same moment", where=options.place, next_step="Run again."
        )
    report = _report(record, ours=True)
    report.proofs = proofs
    try:
        if strategy == "http" and how.http_on is not None:
            report.proofs.append(application.send(how.http_on, "http_on"))
        if strategy == "database":
            _prove_database(options, connection, how, report, before)
    except Exception as error:
        _back_out(options, connection, how, record, error)
        raise
    if strategy in ("sql", "http") and not how.sql_proof:
        report.warnings.append(
            f"that no write comes through was not tried: the strategy {strategy} trusts the application"
        )
    return report


def _prove_database(
    options: ConnectionOptions, connection: PgConnection, how: How, report: MaintenanceReport, before: Mapping[str, Any]
) -> None:
    api_closed = "connect_revoked" in before
    report.sessions_ended = end_sessions(connection, str(fetch_value(connection, _NOW)), how.drain_seconds)
    if roles := database.roles_that_write(connection):
        raise VerificationFailed(
            f"Writes are not stopped: these roles have a setting of their own that lets them write: {', '.join(roles)}",
            where="pg_db_role_setting",
            next_step="Take it back: alter role ... reset default_transaction_read_only (or in database ... reset), "
            "or choose another strategy.",
        )
    report.proofs += database.prove_stopped(options, how.authenticator_password, api_closed=api_closed)
    writers = watch_writers(connection)
    if writers.found and not writers.only_superusers:
        raise VerificationFailed(
            f"Writes are not stopped: somebody sets the default back and writes: {', '.join(writers.found)}",
            where="pg_stat_activity",
            next_step="Stop that program, or choose another strategy: default_transaction_read_only is a default, "
            "and BEGIN READ WRITE goes before it.",
        )
    if writers.found:
        report.warnings.append(f"somebody writes whom only a superuser could stop: {', '.join(writers.found)}")
    if superusers := superusers_here(connection):
        report.warnings.append(f"sessions of superusers go on, and may write: {', '.join(superusers)}")
    if not api_closed:
        report.warnings.append(
            "a program that begins its transactions with READ WRITE may write, as PostgREST does (keep_api_reads)"
        )


def _back_out(
    options: ConnectionOptions, connection: PgConnection, how: How, record: MaintenanceRecord, error: Exception
) -> None:
    """Have the writes on again after a failed attempt, and say so in its error."""
    state: State = State(_ON_AGAIN)
    try:
        _let_go(options, connection, how, record, None)
    except Exception as second:
        # Whether the application has got its request nobody knows, so its record does not stay for its sake alone.
        if record.strategy == "http":
            with suppress(Exception), short_transaction(connection):
                delete_record(connection)
        reason = second.what if isinstance(second, PgopsError) else str(second).strip()
        state = State(f"it is not known whether the application's writes are on: {reason}", "unknown")
    if isinstance(error, PgopsError):
        error.state, error.outcome = str(state), state.outcome


def _let_go(
    options: ConnectionOptions,
    connection: PgConnection,
    how: How,
    record: MaintenanceRecord,
    earlier: MaintenanceReport | None,
) -> MaintenanceReport:
    proofs: list[Proof] = []
    left: list[str] = []
    if record.strategy == "http" and how.http_off is not None:
        proofs.append(application.send(how.http_off, "http_off"))
    with short_transaction(connection):
        present = lock_record(connection)
        if present is None or (present.run_id, present.since) != (record.run_id, record.since):
            raise BusyError(
                "Somebody else has changed the maintenance at the same moment",
                where=options.place,
                next_step="Run again.",
            )
        if record.strategy == "database":
            left = database.let_go(connection, present.before)
        if record.strategy == "sql":
            application.run_statements(connection, how.sql_off or "", "sql_off")
            proofs += [application.prove_flag(connection, how.sql_proof, False)] if how.sql_proof else []
        delete_record(connection)
    report = _report(record, ours=True)
    report.on, report.until = False, str(fetch_value(connection, _UTC_NOW))
    if earlier is not None:
        report.proofs, report.warnings, report.sessions_ended = earlier.proofs, earlier.warnings, earlier.sessions_ended
    report.proofs += proofs
    report.warnings = [*report.warnings, *left]
    moment = str(fetch_value(connection, _NOW))
    report.seconds = round(
        (datetime.fromisoformat(report.until) - datetime.fromisoformat(record.since)).total_seconds(), 3
    )
    if record.strategy == "database":
        _renew_sessions(options, connection, how, record, report, moment)
    return report


def _renew_sessions(
    options: ConnectionOptions,
    connection: PgConnection,
    how: How,
    record: MaintenanceRecord,
    report: MaintenanceReport,
    moment: str,
) -> None:
    """What began meanwhile stays read-only until it ends: an API would go on refusing writes from its pool."""
    try:
        report.sessions_renewed = end_sessions(connection, moment, how.drain_seconds)
    except (PrivilegeError, ToolError) as error:
        report.warnings.append(f"{error.what}; those that began meanwhile stay read-only until they end")
    if superusers := superusers_here(connection):
        report.warnings.append(
            f"sessions of superusers that began meanwhile stay read-only until they end: {', '.join(superusers)}"
        )
    report.proofs.append(database.prove_writable(options, record.before.get("default_transaction_read_only") or "off"))


def _is_ours(record: MaintenanceRecord, claim: Claim) -> bool:
    return record.run_id == claim.run_id


def _report(record: MaintenanceRecord, *, ours: bool) -> MaintenanceReport:
    return MaintenanceReport(
        on=True,
        ours=ours,
        strategy=record.strategy,
        run_id=record.run_id,
        operator=record.operator,
        host=record.host,
        since=record.since,
    )


def _kept(record: MaintenanceRecord | None, run_dir: Path | None) -> MaintenanceReport:
    """The report of what was found as it was asked for, with what an earlier task of the run has proven."""
    if earlier := _earlier(run_dir):
        earlier.on = record is not None
        return earlier
    return _report(record, ours=True) if record else MaintenanceReport(on=False, ours=False, strategy=None)


def _earlier(run_dir: Path | None) -> MaintenanceReport | None:
    if run_dir is None:
        return None
    with suppress(OSError, ValueError, TypeError):
        return from_dict(MaintenanceReport, read_json(run_dir / DOCUMENT_NAME))
    return None


def _written(report: MaintenanceReport, run_dir: Path | None) -> MaintenanceReport:
    """What is done is done: a disk that is full is said, and neither keeps the writes stopped nor ends the run."""
    if run_dir is not None:
        try:
            write_json(run_dir / DOCUMENT_NAME, report.as_dict())
        except OSError as error:
            report.warnings.append(f"this could not be written down: {run_dir / DOCUMENT_NAME}: {error.strerror}")
    return report


def _held(record: MaintenanceRecord, options: ConnectionOptions) -> BusyError:
    return BusyError(
        f"The application's writes are stopped, {whose(record)}",
        where=options.place,
        next_step="Wait for that run to end. If it is surely dead: pgops.supabase.run_lease with state: released, "
        f"owner: {record.run_id}, then run again.",
    )
