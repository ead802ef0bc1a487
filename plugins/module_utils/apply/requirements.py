# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to hold before, while and after files are applied, beside what PostgreSQL asks for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.apply.options import Apply, ApplyOptions
from ansible_collections.pgops.supabase.plugins.module_utils.apply.progress import FileResult
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import HistoryError, InputError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    Catalog,
    change_fingerprint,
    compare_catalogs,
    describe_changes,
    fingerprint,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.promotion import require_same_change
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.statement_log import versions_begun
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.batches import Batch
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import MigrationFile
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.identity import (
    planned_steps,
    planned_validation,
    require_planned,
    require_planned_catalog,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.state import read_state, require_agreement

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


# Reading the catalog after each file tells what each of them changed; beyond so many files it is read only where it must be.
FILES_WITH_A_CATALOG_OF_THEIR_OWN = 50


def require_known(to_version: str | None, files: Sequence[MigrationFile]) -> None:
    """A mistyped version must not pass for "nothing to do"."""
    if to_version is not None and to_version not in {file.version for file in files}:
        raise InputError(
            f"There is no migration file of version {to_version}",
            where="to_version",
            next_step=f"Give one of the files' versions; the newest is {files[-1].version}.",
        )


def require_files_of_what_is_begun(begun: Collection[str], files: Sequence[MigrationFile]) -> None:
    """What an earlier run began must not be forgotten: some of it is done, and nothing in the history tells of it."""
    gone = sorted(set(begun) - {file.version for file in files})
    if gone:
        raise HistoryError(
            f"{', '.join(gone)} is half done: a run was cut short in it, and now there is no file for it",
            where="pgops.statement_log",
            next_step=(
                "Get its file back (git log -- supabase/migrations) and run again, which finishes it; or undo by hand what it "
                f"did and say so: delete from pgops.statement_log where version = '{gone[0]}';"
            ),
        )


def remember_before(this: Apply, before: Catalog, *, state: str) -> None:
    """Keep the catalog that the run found, which has to be the one that was planned for.

    :param state: the state of the database when it is not.
    :raises InputError: when the file cannot be written, which is for a rollback to say what it did not restore.
    """
    if this.how.plan is not None and not this.progress.committed:
        require_planned_catalog(this.how.plan, fingerprint(before), state=state)
    if this.progress.catalog_before is None:
        this.progress.catalog_before = before
        if this.how.catalog_file is not None and not this.how.dry_run:
            try:
                write_json(this.how.catalog_file, before)
            except OSError as error:
                raise InputError(
                    f"The catalog from before cannot be kept: {error.strerror}",
                    where=str(this.how.catalog_file),
                    next_step="Make room, or have the run's directory writable, then run again.",
                ) from error


def files_with_a_look_after(how: ApplyOptions, batch: Batch) -> set[str]:
    """The versions after which the catalog is read: each of a small batch, else as many as it takes to compare what was proven."""
    versions = batch.versions
    proven = [proof for proof in how.promotion if proof.catalog_change is not None and proof.version in versions]
    if len(versions) <= FILES_WITH_A_CATALOG_OF_THEIR_OWN or any(not proof.together for proof in proven):
        return set(versions)
    firsts = {proof.together[0] for proof in how.promotion if proof.together}
    before_first = {earlier for earlier, version in pairwise(versions) if version in firsts}
    return before_first | {proof.version for proof in proven}


def remember_for_promotion(this: Apply, version: str, before: Catalog) -> None:
    """Keep the catalog from before the first of files whose change was proven as one."""
    if any(proof.together and proof.together[0] == version for proof in this.how.promotion):
        this.progress.before_together[version] = before


def require_promoted_change(this: Apply, result: FileResult, after: Catalog, *, state: str) -> None:
    """The same file has to make the same change as on the project it is promoted from; or all of a transaction's files together.

    :param after: the catalog after the file.
    :raises VerificationFailed: when it is another change.
    """
    for proof in this.how.promotion:
        if proof.version != result.item.file.version or proof.catalog_change is None:
            continue
        change = result.change
        if proof.together:
            before = this.progress.before_together.get(proof.together[0])
            change = None if before is None else compare_catalogs(before, after)
        if change is not None:
            made, described = change_fingerprint(change), describe_changes(change)
            require_same_change(proof, made, described, origin=this.how.origin, state=state)


def require_still_pending(this: Apply, connection: PgConnection, batch: Batch) -> None:
    """Under the lock, what was read before it may no longer hold: another run may have been quicker."""
    entries, _ledger = read_state(connection, this.files)
    begun = versions_begun(connection)
    states = {entry.version: entry.state for entry in entries}
    overtaken = [
        item.file.label
        for item in batch.items
        if states[item.file.version] not in ("pending", "out_of_order")
        or (item.file.version in begun and not item.script.outside_transaction)
    ]
    if overtaken:
        raise HistoryError(
            f"Another run has just applied, or begun with, {', '.join(overtaken)}",
            where="supabase_migrations.schema_migrations",
            next_step="Run again: it continues with what is left.",
        )
    require_agreement(entries, allow_out_of_order=this.how.allow_out_of_order)


def require_as_planned(how: ApplyOptions, batches: Sequence[Batch]) -> None:
    """What is about to run is what was planned, where there is a plan.

    :param batches: cut as an apply cuts them, also for a dry run.
    :raises VerificationFailed: when it is something else.
    """
    if how.plan is None:
        return
    require_planned(
        how.plan,
        planned_steps(batches, how.supabase_dir),
        [planned_validation(Path(script.file), how.supabase_dir) for script in how.checks.scripts],
        transaction_scope=how.transaction_scope,
        verify_before_commit=how.verify_before_commit,
        count_contract=dict(how.checks.contract),
        warnings_as_failures=how.checks.warnings_as_failures,
    )
