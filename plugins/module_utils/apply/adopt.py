# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes what another tool applied into the ledger: with the hash of each file that is what was applied, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.apply.adoption import judge_history
from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import Adoption, AdoptionEntry
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    HistoryError,
    InputError,
    PgopsError,
    State,
    VerificationFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    fingerprint,
    read_catalog,
    user_schemas,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    ADVISORY_LOCK,
    LedgerEvent,
    NewEvent,
    append_event,
    make_ledger,
    newest_applied_events,
    read_history,
    read_ledger,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.promotion import is_verified
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.records import read_records, require_recorded
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.statement_log import versions_begun
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import MigrationFile, discover
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    connect,
    fetch_value,
    server_version,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.read_back import read_back
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import (
    ROLLED_BACK,
    commit,
    server_error,
    take_apply_lock,
    with_retries,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Script, parse_script, read_sql_file

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


@dataclass(frozen=True)
class AdoptOptions:
    """What to adopt and how.

    :param trust_files: versions whose files cannot be compared and are taken for what was applied, with the reasons.
    :param verified: whether the project was found to be in order just now, so that what is adopted counts as verified.
    :param document_file: where the result is kept.
    """

    supabase_dir: Path
    operator: str
    settings: SessionSettings
    run_id: str | None = None
    trust_files: Mapping[str, str] = field(default_factory=dict)
    verified: bool = False
    schemas: Sequence[str] | None = None
    retries: int = 3
    lock_wait_seconds: float = 10.0
    document_file: Path | None = None
    dry_run: bool = False


def adopt(options: ConnectionOptions, how: AdoptOptions) -> Adoption:
    """Append an event to the ledger for each row of the history that another tool wrote and whose file is what it recorded.

    It is all or nothing, in one transaction, under the lock of an apply; the history itself is left as it is.

    :raises HistoryError: when a file is not what was recorded, cannot be compared, or is missing; names all of them.
    :raises MigrationFileError: when the migrations directory is not usable.
    :raises VerificationFailed: when the read-back afterwards does not find what was committed.
    """
    started, started_at = time.monotonic(), utc_now()
    files = discover(how.supabase_dir)
    document = with_retries(lambda: _transaction(options, how, files, started_at), retries=how.retries)
    document.duration_seconds = round(time.monotonic() - started, 3)
    _keep(how, document)
    if document.committed:
        _read_back(options, document)
    return document


def _transaction(
    options: ConnectionOptions, how: AdoptOptions, files: Sequence[MigrationFile], started_at: str
) -> Adoption:
    """One transaction from lock to COMMIT; an exception on the way rolls all of it back."""
    import psycopg2

    settings = SessionSettings(read_only=True) if how.dry_run else how.settings
    with session(options, settings) as connection:
        try:
            if not how.dry_run:
                take_apply_lock(connection, ADVISORY_LOCK, how.lock_wait_seconds)
            ledger = read_ledger(connection)
            document = _document(connection, how, files, ledger, started_at)
            _require_adoptable(document)
            later = _to_verify(how, ledger, document)
            document.verified = sorted([*_new(document), *(event.version for event in later)] if how.verified else [])
            if how.dry_run or not (_new(document) or later):
                return document
            _record(connection, how, document, later)
            commit(connection, lambda: connect(options, SessionSettings(read_only=True)), what="the adoption")
            document.committed = True
            return document
        except psycopg2.Error as error:
            raise server_error(
                error,
                "The adoption could not be recorded",
                "supabase_migrations, pgops",
                otherwise="Look at what refuses it there (privileges; event triggers: \\dy), then run again.",
            ) from error


def _document(
    connection: PgConnection,
    how: AdoptOptions,
    files: Sequence[MigrationFile],
    ledger: Sequence[LedgerEvent],
    started_at: str,
) -> Adoption:
    history = read_history(connection)
    known, present = newest_applied_events(ledger), {row.version for row in history}
    _require_reasons(how.trust_files, present)
    scripts = {file.version: _read(file) for file in files if file.version in present - known.keys()}
    entries = judge_history(
        files, scripts, history, ledger, trusted=how.trust_files, half_done=versions_begun(connection)
    )
    return Adoption(
        run_id=how.run_id,
        database=str(fetch_value(connection, "select pg_catalog.current_database()")),
        server_version=server_version(connection),
        dry_run=how.dry_run,
        committed=False,
        started_at=started_at,
        duration_seconds=0.0,
        catalog=fingerprint(read_catalog(connection, how.schemas or user_schemas(connection))),
        migrations=entries,
        verified=[],
    )


def _require_reasons(trust_files: Mapping[str, str], history: set[str]) -> None:
    """A mistyped version must not pass, nor trust without a reason."""
    for version, reason in trust_files.items():
        if version not in history:
            raise InputError(
                f"Version {version} is not in the history, so there is nothing to trust its file for",
                where="trust_files",
                next_step="Give versions that are applied (playbook pgops.supabase.status), in quotes.",
            )
        if not reason.strip():
            raise InputError(
                f"There is no reason to trust the file of version {version}",
                where="trust_files",
                next_step="Say how you know that the file is what was applied; it stands in the ledger.",
            )


def _read(file: MigrationFile) -> Script | PgopsError:
    """The file in statements, or why it cannot be; one without any statement is as good here as others."""
    try:
        return parse_script(str(file.path), read_sql_file(file.path))
    except PgopsError as error:
        return error


def _require_adoptable(document: Adoption) -> None:
    wrong = [entry for entry in document.migrations if entry.verdict == "refused"]
    if not wrong:
        return
    sentences = [f"{_label(entry)} {entry.problem}{f' ({entry.where})' if entry.where else ''}" for entry in wrong]
    raise HistoryError(
        "Nothing is adopted, because not all that is applied agrees with its file: " + "; ".join(sentences),
        where=wrong[0].where,
        next_step=" ".join(dict.fromkeys(entry.next_step for entry in wrong if entry.next_step)),
        details={"result": {"adoption": document.as_dict()}},
    )


def _new(document: Adoption) -> list[str]:
    return [entry.version for entry in document.migrations if entry.verdict == "adopted"]


def _to_verify(how: AdoptOptions, ledger: Sequence[LedgerEvent], document: Adoption) -> list[LedgerEvent]:
    """What was adopted earlier, or left behind by a run that was killed, and is found to be in order only now."""
    if not how.verified:
        return []
    applied = {entry.version for entry in document.migrations}
    return [
        event
        for version, event in newest_applied_events(ledger).items()
        if version in applied and not is_verified(event, ledger)
    ]


def _record(connection: PgConnection, how: AdoptOptions, document: Adoption, later: Sequence[LedgerEvent]) -> None:
    make_ledger(connection)
    records = read_records(connection)
    for entry in document.migrations:
        if entry.verdict == "adopted":
            details = {"compared": entry.compared, "catalog": document.catalog, "verified": how.verified}
            if entry.trusted is not None:
                details["trusted"] = entry.trusted
            append_event(
                connection,
                NewEvent(
                    event="adopted",
                    version=entry.version,
                    name=entry.name,
                    sha256=str(entry.sha256),
                    run_id=how.run_id,
                    operator=how.operator,
                    duration_seconds=None,
                    details=details,
                ),
            )
    for event in later:
        append_event(
            connection,
            NewEvent.about(event, "verified", run_id=how.run_id, operator=how.operator),
        )
    require_recorded(connection, records, applied=_new(document), state=ROLLED_BACK)


def _read_back(options: ConnectionOptions, document: Adoption) -> None:
    adopted = {entry.version: entry.sha256 for entry in document.migrations if entry.verdict == "adopted"}
    ledger, present = read_back(
        options,
        lambda connection: (read_ledger(connection), {row.version for row in read_history(connection)}),
        committed="the adoption is committed, but not read back",
        next_step="When the server is back, run again: what is adopted is not adopted twice.",
    )
    events = newest_applied_events(ledger)
    missing = [v for v, sha256 in adopted.items() if v not in present or v not in events or events[v].sha256 != sha256]
    missing += [v for v in document.verified if v in events and not is_verified(events[v], ledger)]
    if missing:
        raise VerificationFailed(
            f"After COMMIT history and ledger do not both hold {', '.join(missing)}",
            where="supabase_migrations.schema_migrations, pgops.ledger",
            state=State("the adoption is committed, but not as expected", "committed"),
            next_step="Look for triggers or tools that write there, then run again.",
        )


def _keep(how: AdoptOptions, document: Adoption) -> None:
    if how.document_file is None or how.dry_run:
        return
    try:
        write_json(how.document_file, document.as_dict())
    except OSError as error:
        adopted = ", ".join(_new(document))
        raise PgopsError(
            f"The result of the adoption could not be written: {error.strerror}",
            where=str(how.document_file),
            state=State(f"committed: {adopted}", "committed") if adopted else "nothing was to be adopted",
            next_step="Make room, or have the directory writable; the ledger tells what was adopted.",
            details={"result": {"changed": document.committed, "adoption": document.as_dict()}},
        ) from error


def _label(entry: AdoptionEntry) -> str:
    return f"{entry.version}_{entry.name}"
