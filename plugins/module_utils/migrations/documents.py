# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of files, state and plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.documents import HalfDoneMigration, Lease
from ansible_collections.pgops.supabase.plugins.module_utils.maintenance.documents import MaintenanceRecord
from ansible_collections.pgops.supabase.plugins.module_utils.sql.documents import ExpectedLock


@dataclass(kw_only=True)
class MigrationEntry:
    """One migration as status and plan show it.

    What another tool applied has no ``applied_at`` and no ``run_id``; ``adopted_at`` is since when the ledger knows it.
    """

    version: str
    name: str
    state: Literal["applied", "pending", "edited", "out_of_order", "remote_only"]
    file: str | None
    sha256: str | None
    statements: int | None
    rollback_file: str | None
    applied_at: str | None
    applied_by: Literal["pgops", "other"] | None
    run_id: str | None
    adopted_at: str | None = None


@dataclass(kw_only=True)
class MigrationInfo(Document):
    """What is applied and what is not, of the files and of the database; what is half done, and who holds the project."""

    kind: ClassVar[str] = "migration_info"
    database: str
    server_version: str
    migrations: list[MigrationEntry]
    applied: list[str]
    pending: list[str]
    edited: list[str]
    out_of_order: list[str]
    remote_only: list[str]
    problems: list[str]
    last_event: dict[str, Any] | None
    half_done: list[HalfDoneMigration]
    lease: Lease | None
    maintenance: MaintenanceRecord | None = None
    left_out: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class PlannedMigration:
    """One file of a plan. ``outside_transaction`` lists the statements that PostgreSQL runs in no transaction."""

    version: str
    name: str
    file: str
    sha256: str
    statements: int
    outside_transaction: list[str]
    locks: list[ExpectedLock]
    rollback_file: str | None
    rollback_sha256: str | None


@dataclass(kw_only=True)
class PlannedStep:
    """One transaction of a plan, or one file that runs outside of any."""

    number: int
    outside_transaction: bool
    lock_table_entries: int
    migrations: list[PlannedMigration]


@dataclass(kw_only=True)
class PlannedValidation:
    """One validation script that decides, by its place in the project's folder."""

    file: str
    sha256: str


@dataclass(kw_only=True)
class MigrationPlan(Document):
    """plan.json: what an apply would do, with the hash that is reviewed and approved.

    Files are named by their place in the project's folder. ``catalog_before`` is the fingerprint of the schema that the plan is
    made for; None when somebody's exclusive lock kept it from being read. ``left_out`` names what lies beside the migrations and
    is none; nobody signs it.
    """

    kind: ClassVar[str] = "plan"
    project: str | None
    project_ref: str | None
    environment: str | None
    database: str
    server_version: str
    catalog_before: str | None
    transaction_scope: Literal["batch", "file"]
    verify_before_commit: bool
    warnings_as_failures: bool
    count_contract: dict[str, Any]
    validations: list[PlannedValidation]
    plan_hash: str
    steps: list[PlannedStep]
    lock_table_capacity: int
    left_out: list[str] = field(default_factory=list)
