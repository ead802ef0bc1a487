# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a migration: what would run, in which transactions, with which hash, locks and way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    fingerprint,
    read_catalog,
    user_schemas,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.statement_log import versions_begun
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.batches import (
    TransactionScope,
    cut_batches,
    load_pending,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.documents import MigrationPlan
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import discover, left_out
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.identity import (
    load_plan,
    plan_hash,
    planned_steps,
    planned_validation,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.state import read_state, require_agreement
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    fetch_value,
    server_version,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import lock_table_capacity

# Reading a definition takes ACCESS SHARE, as a SELECT does: only somebody's exclusive lock makes it wait, and not for longer.
CATALOG_WAIT_MS = 1000


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """What is planned, for which project, and under which conditions it would be committed."""

    supabase_dir: Path
    project: str | None = None
    project_ref: str | None = None
    environment: str | None = None
    transaction_scope: TransactionScope = "batch"
    to_version: str | None = None
    allow_out_of_order: bool = False
    schemas: Sequence[str] | None = None
    verify_before_commit: bool = True
    warnings_as_failures: bool = False
    count_contract: Mapping[str, Any] = field(default_factory=dict)
    validations: Sequence[Path] = ()


def plan(options: ConnectionOptions, how: PlanOptions) -> MigrationPlan:
    """What an apply would do now. Reads history, ledger and the catalog, and no row of the user's.

    :raises HistoryError: when files and database disagree.
    :raises SqlScriptError: when a pending file cannot be run.
    :raises InputError: when a validation script cannot be read.
    """
    files = discover(how.supabase_dir)
    validations = [planned_validation(path, how.supabase_dir) for path in how.validations]
    with session(options, SessionSettings(read_only=True)) as connection:
        entries, _ledger = read_state(connection, files)
        capacity = lock_table_capacity(connection)
        begun = versions_begun(connection)
        version, database = server_version(connection), fetch_value(connection, "select pg_catalog.current_database()")
    wanted = require_agreement(entries, allow_out_of_order=how.allow_out_of_order)
    if how.to_version is not None:
        wanted = [entry for entry in wanted if entry.version <= how.to_version]
    pending = load_pending(files, wanted, begun)
    batches = cut_batches(pending, how.transaction_scope, lock_capacity=capacity)
    document = MigrationPlan(
        project=how.project,
        project_ref=how.project_ref,
        environment=how.environment,
        database=str(database),
        server_version=version,
        catalog_before=_catalog_fingerprint(options, how.schemas),
        transaction_scope=how.transaction_scope,
        verify_before_commit=how.verify_before_commit,
        warnings_as_failures=how.warnings_as_failures,
        count_contract=dict(how.count_contract),
        validations=validations,
        plan_hash="",
        steps=planned_steps(batches, how.supabase_dir),
        lock_table_capacity=capacity,
        left_out=left_out(how.supabase_dir),
    )
    document.plan_hash = plan_hash(document)
    return document


def keep_plan(document: MigrationPlan, plans_dir: Path) -> Path:
    """Keep the plan under its hash, where its signatures are put beside it. One that is there already is left as it is.

    :returns: the file.
    :raises InputError: when there is another plan under this name, or the directory cannot be written.
    """
    path = plans_dir / f"{document.plan_hash}.json"
    if path.exists():
        load_plan(path)
        return path
    try:
        write_json(path, document.as_dict())
    except OSError as error:
        raise InputError(
            f"The plan cannot be kept: {error.strerror}",
            where=str(path),
            next_step="Make room, or choose another plans_dir (project_plans_dir).",
        ) from error
    return path


def _catalog_fingerprint(options: ConnectionOptions, schemas: Sequence[str] | None) -> str | None:
    """The schema as it is, None while somebody holds a part of it exclusively: a plan waits for nobody."""
    import psycopg2.errors

    settings = SessionSettings(read_only=True, lock_timeout_ms=CATALOG_WAIT_MS)
    with session(options, settings) as connection:
        try:
            return fingerprint(read_catalog(connection, schemas or user_schemas(connection)))
        except psycopg2.errors.LockNotAvailable:
            return None
