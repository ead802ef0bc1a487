# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a migration: what would run, in which transactions, with which hash, locks and way back. Takes no lock itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.connection import (
    ConnectionOptions,
    SessionSettings,
    fetch_value,
    server_version,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.documents import (
    MigrationPlan,
    PlannedMigration,
    PlannedStep,
)
from ansible_collections.pgops.supabase.plugins.module_utils.expected_locks import (
    entries_in_the_lock_table,
    expected_locks,
)
from ansible_collections.pgops.supabase.plugins.module_utils.files import (
    canonical_json,
    sha256_of_bytes,
    sha256_of_file,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migration_batches import (
    Batch,
    PendingMigration,
    TransactionScope,
    cut_batches,
    load_pending,
    lock_table_capacity,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migration_files import discover
from ansible_collections.pgops.supabase.plugins.module_utils.migration_state import read_state, require_agreement
from ansible_collections.pgops.supabase.plugins.module_utils.sql_script import reason_not_transactional
from ansible_collections.pgops.supabase.plugins.module_utils.statement_log import versions_begun


def plan(
    options: ConnectionOptions,
    supabase_dir: Path,
    *,
    scope: TransactionScope,
    to_version: str | None,
    allow_out_of_order: bool,
) -> MigrationPlan:
    """What an apply would do now. Reads history and ledger, and nothing of the user's.

    :raises HistoryError: when files and database disagree.
    :raises SqlScriptError: when a pending file cannot be run.
    """
    files = discover(supabase_dir)
    with session(options, SessionSettings(read_only=True)) as connection:
        entries, _ledger = read_state(connection, files)
        capacity = lock_table_capacity(connection)
        begun = versions_begun(connection)
        version, database = server_version(connection), fetch_value(connection, "select pg_catalog.current_database()")
    wanted = require_agreement(entries, allow_out_of_order=allow_out_of_order)
    if to_version is not None:
        wanted = [entry for entry in wanted if int(entry.version) <= int(to_version)]
    batches = cut_batches(load_pending(files, wanted, begun), scope, dry_run=False, lock_capacity=capacity)
    steps = [_step(number, batch) for number, batch in enumerate(batches, 1)]
    return MigrationPlan(
        database=str(database),
        server_version=version,
        transaction_scope=scope,
        plan_hash=plan_hash(steps),
        steps=steps,
        lock_table_capacity=capacity,
    )


def plan_hash(steps: Sequence[PlannedStep]) -> str:
    """What two people who look at the same plan agree on: the files, their rollbacks, and how they are cut."""
    facts = [
        [step.outside_transaction, [[m.version, m.sha256, m.rollback_sha256] for m in step.migrations]]
        for step in steps
    ]
    return sha256_of_bytes(canonical_json(facts))


def _step(number: int, batch: Batch) -> PlannedStep:
    return PlannedStep(
        number=number,
        outside_transaction=batch.outside_transaction,
        lock_table_entries=sum(entries_in_the_lock_table(item.script.script) for item in batch.items),
        migrations=[_planned(item) for item in batch.items],
    )


def _planned(item: PendingMigration) -> PlannedMigration:
    file = item.file
    return PlannedMigration(
        version=file.version,
        name=file.name,
        file=str(file.path),
        sha256=file.sha256,
        statements=len(item.script.statements),
        outside_transaction=[
            f"{statement.position}: {reason}"
            for statement in item.script.statements
            if (reason := reason_not_transactional(statement))
        ],
        locks=expected_locks(item.script.script),
        rollback_file=str(file.rollback) if file.rollback else None,
        rollback_sha256=sha256_of_file(file.rollback) if file.rollback else None,
    )
