# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drafts of rollbacks for pending migrations: each is made from an executed dry run, and tried in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.apply.dry_run import Trial
from ansible_collections.pgops.supabase.plugins.module_utils.apply.receipt import Recorder
from ansible_collections.pgops.supabase.plugins.module_utils.apply.script_runner import reset_session, run_script
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    InputError,
    RollbackError,
    StatementFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_atomically
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    Catalog,
    compare_catalogs,
    extension_requirements,
    fingerprint,
    read_catalog,
    user_schemas,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.documents import (
    RollbackDraft,
    RollbackDrafts,
    UncoveredObject,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.steps import Draft, draft_rollback
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.text import draft_path, draft_text
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import ADVISORY_LOCK
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.statement_log import versions_begun
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.batches import PendingMigration, load_pending
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import discover
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.state import read_state, require_agreement
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    execute,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import take_apply_lock, with_retries
from ansible_collections.pgops.supabase.plugins.module_utils.sql.runnable import runnable
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import parse_script

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

_SAVEPOINT = "pgops_draft"
# What people keep in version control is for more than its owner to read.
_FILE_MODE = 0o644


@dataclass(frozen=True)
class DraftOptions:
    """What to draft and how.

    :param versions: the pending migrations to draft for; empty for all that have no rollback file.
    :param replace: whether a draft that is there with other content is written anew.
    """

    supabase_dir: Path
    settings: SessionSettings
    versions: Sequence[str] = ()
    replace: bool = False
    allow_out_of_order: bool = False
    schemas: Sequence[str] | None = None
    retries: int = 3
    lock_wait_seconds: float = 10.0
    dry_run: bool = False


@dataclass(frozen=True)
class _Tried:
    exact: bool
    failure: str | None
    differences: list[CatalogChange]


def draft_rollbacks(options: ConnectionOptions, how: DraftOptions) -> RollbackDrafts:
    """Write C(rollbacks/<version>_<name>.sql.draft) for pending migrations, and nothing to the database.

    The pending migrations run in one transaction, each draft is tried under a savepoint, and all of it is rolled back.

    :raises InputError: when a version is not pending.
    :raises RollbackError: when a file cannot be written.
    :raises StatementFailed: when PostgreSQL refuses a migration.
    """
    files = discover(how.supabase_dir)
    with session(options, SessionSettings(read_only=True)) as connection:
        entries, _ledger = read_state(connection, files)
        begun = versions_begun(connection)
    wanted = require_agreement(entries, allow_out_of_order=how.allow_out_of_order)
    pending = load_pending(files, wanted, begun)
    chosen = _choose(pending, how.versions)
    if not chosen:
        return RollbackDrafts(drafts=[])
    last = max(number for number, item in enumerate(pending) if item.file.version in chosen)
    drafts = with_retries(lambda: _execute(options, how, pending[: last + 1], chosen), retries=how.retries)
    return RollbackDrafts(drafts=[_keep(how, draft, statements) for draft, statements in drafts])


def _choose(pending: Sequence[PendingMigration], versions: Sequence[str]) -> set[str]:
    known = {item.file.version for item in pending}
    unknown = sorted(set(versions) - known)
    if unknown:
        raise InputError(
            f"{', '.join(unknown)} is not pending, so there is nothing to draft a rollback from",
            where="versions",
            next_step=f"Pending are: {', '.join(sorted(known)) or 'none'}.",
        )
    return set(versions) or {item.file.version for item in pending if item.file.rollback is None}


def _execute(
    options: ConnectionOptions, how: DraftOptions, pending: Sequence[PendingMigration], chosen: set[str]
) -> list[tuple[RollbackDraft, list[str]]]:
    drafts = []
    with session(options, how.settings) as connection:
        take_apply_lock(connection, ADVISORY_LOCK, how.lock_wait_seconds)
        for item in pending:
            before = _catalog(connection, how) if item.file.version in chosen else {}
            recorder = Recorder(connection)
            trial = Trial(connection, recorder)
            trial.run(item.script, what=f"Migration {item.file.label}")
            trial.require_no_violations()
            reset_session(connection)
            if item.file.version in chosen:
                drafts.append(_draft(connection, how, item, before, recorder))
        connection.rollback()
    return drafts


def _draft(
    connection: PgConnection, how: DraftOptions, item: PendingMigration, before: Catalog, recorder: Recorder
) -> tuple[RollbackDraft, list[str]]:
    draft = draft_rollback(before, _catalog(connection, how), extension_requirements(connection))
    recorder.collect()
    receipt = recorder.receipt([], {}, dict)
    tried = _try(connection, how, draft, item, before)
    described = RollbackDraft(
        version=item.file.version,
        name=item.file.name,
        sha256=item.file.sha256,
        file=str(draft_path(how.supabase_dir, item.file.version, item.file.name)),
        outcome="not_needed",
        statements=len(draft.statements),
        exact=tried.exact,
        failure=tried.failure,
        differences=tried.differences,
        not_covered=[UncoveredObject(object_name=left.key, reason=left.reason) for left in draft.not_covered],
        not_executed=receipt.not_executed,
        rows_written=receipt.rows,
    )
    return described, draft.statements


def _try(connection: PgConnection, how: DraftOptions, draft: Draft, item: PendingMigration, before: Catalog) -> _Tried:
    """Run the draft under a savepoint and compare what it leaves with the catalog from before."""
    execute(connection, f"savepoint {_SAVEPOINT}")
    failure = None
    try:
        if draft.statements:
            script = runnable(parse_script(f"{item.file.label}.sql.draft", "\n".join(draft.statements)))
            run_script(connection, script, what="The draft")
            reset_session(connection)
    except StatementFailed as error:
        failure = error.what
        execute(connection, f"rollback to savepoint {_SAVEPOINT}")
    after = _catalog(connection, how)
    execute(connection, f"rollback to savepoint {_SAVEPOINT}")
    execute(connection, f"release savepoint {_SAVEPOINT}")
    exact = failure is None and fingerprint(after) == fingerprint(before)
    return _Tried(exact, failure, [] if failure or exact else compare_catalogs(before, after))


def _keep(how: DraftOptions, draft: RollbackDraft, statements: Sequence[str]) -> RollbackDraft:
    path = Path(draft.file)
    content = draft_text(draft, statements).encode()
    try:
        present = path.read_bytes() if path.exists() else None
        if present == content:
            draft.outcome = "unchanged"
        elif present is not None and not how.replace:
            draft.outcome = "kept"
        else:
            draft.outcome = "written"
            if not how.dry_run:
                write_atomically(path, content, mode=_FILE_MODE)
    except OSError as error:
        raise RollbackError(
            f"The draft could not be written: {error.strerror}",
            where=str(path),
            state="nothing was changed in the database",
            next_step="Make room, or have the directory writable, then run again.",
        ) from error
    return draft


def _catalog(connection: PgConnection, how: DraftOptions) -> Catalog:
    return read_catalog(connection, how.schemas or user_schemas(connection))
