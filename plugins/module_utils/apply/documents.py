# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of an apply, a dry run's receipt and an adoption."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import (
    CountComparison,
    RowChange,
    RowDeclaration,
)
from ansible_collections.pgops.supabase.plugins.module_utils.validation.documents import ValidationReport


@dataclass(kw_only=True)
class AppliedMigration:
    """One migration that a run applied (or, in a dry run, executed).

    ``changed_catalog``: whether it left the catalog another one; None where that was not read for it alone.
    """

    version: str
    name: str
    file: str
    sha256: str
    statements: int
    duration_seconds: float
    changed_catalog: bool | None = None


@dataclass(kw_only=True)
class StatementTiming:
    """One statement that was executed, and how long it took; ``rows`` only of those that write rows themselves."""

    where: str
    command: str
    seconds: float
    rows: int | None = None


@dataclass(kw_only=True)
class UnexecutedStatement:
    """One statement that the dry run left out, and why."""

    where: str
    command: str
    reason: str


@dataclass(kw_only=True)
class Violation:
    """Rows that a constraint refuses. ``where`` is the statement, or the file at whose end a deferred one is checked.

    ``rows``: exactly how many, ``counted`` says of which kind; None where the rows are the statement's own.
    ``follows``: the statement that was left out before it, where that alone may be the cause.
    """

    where: str
    statement: str
    constraint: str | None
    table: str | None
    sqlstate: str
    message: str
    detail: str | None
    deferred: bool
    rows: int | None = None
    counted: str | None = None
    follows: str | None = None


@dataclass(kw_only=True)
class HeldLock:
    """A lock from the statement that took it until the transaction ended.

    ``where`` and ``held_seconds`` are None of an object that the transaction made: nobody can wait for it.
    """

    relation: str
    relation_kind: Literal["table", "index", "sequence", "view", "other"]
    mode: str
    where: str | None
    held_seconds: float | None
    new_object: bool


@dataclass(kw_only=True)
class RewrittenTable:
    """A table that got new storage files, from the statement that did it; ``bytes``: how much is in them, indexes included."""

    table: str
    where: str
    command: str
    bytes: int


@dataclass(kw_only=True)
class TouchedRows:
    """The rows of one table that a transaction wrote."""

    schema: str
    table: str
    inserted: int
    updated: int
    deleted: int


@dataclass(kw_only=True)
class MovedSequence:
    """A sequence that stands elsewhere after the dry run than before it; sequences do not roll back.

    ``by_migrations``: a statement that succeeded used it. Otherwise it was a statement that failed, a check, or another session.
    """

    sequence: str
    before: int | None
    after: int | None
    by_migrations: bool


@dataclass(kw_only=True)
class TriedMigration:
    """One file of a dry run: how many of its statements were executed, and what it changed in the catalog, where that was read."""

    version: str
    name: str
    statements: int
    executed: int
    duration_seconds: float
    objects: list[CatalogChange] | None = None


@dataclass(kw_only=True)
class Receipt:
    """What an executed dry run cost and touched. ``transaction_seconds``: how long it was open, the checks included.

    ``database_bytes_after``: the size of the database just before everything was rolled back, when old and new files are both
    there; what others wrote meanwhile is in it.

    ``statements`` and the objects of each file are left out of what a failure shows on the terminal.
    """

    executed: int
    executed_seconds: float
    transaction_seconds: float
    database_bytes_before: int
    database_bytes_after: int
    checks: Literal["run", "none", "not_reached"]
    migrations: list[TriedMigration]
    statements: list[StatementTiming]
    not_executed: list[UnexecutedStatement]
    violations: list[Violation]
    locks: list[HeldLock]
    rewritten_tables: list[RewrittenTable]
    rows: list[TouchedRows]
    sequences: list[MovedSequence]


@dataclass(kw_only=True)
class MigrationResult(Document):
    """migration.json: what an apply did, or what a dry run executed and rolled back."""

    kind: ClassVar[str] = "migration"
    run_id: str | None
    dry_run: bool
    committed: bool
    transaction_scope: Literal["batch", "file"]
    verified: Literal["before_commit", "not_here"]
    started_at: str
    duration_seconds: float
    migrations: list[AppliedMigration]
    catalog_before: str | None
    catalog_after: str | None
    catalog_changes: list[CatalogChange]
    row_changes: list[RowChange]
    row_declarations: list[RowDeclaration] = field(default_factory=list)
    receipt: Receipt | None = None
    counts: CountComparison | None
    validation: ValidationReport | None
    notices: list[str]


ComparedBy = Literal["identical", "line_ends", "statements"]


@dataclass(kw_only=True)
class AdoptionEntry:
    """One row of Supabase's history, and whether its file may stand in the ledger.

    ``compared``: how the file was found to be what was recorded, None where that was not possible. ``trusted``: the reason
    why it is taken for that all the same. ``known``: the ledger has it already.
    """

    version: str
    name: str
    file: str | None
    sha256: str | None
    verdict: Literal["adopted", "known", "refused"]
    compared: ComparedBy | None = None
    trusted: str | None = None
    where: str | None = None
    problem: str | None = None
    next_step: str | None = None


@dataclass(kw_only=True)
class Adoption(Document):
    """adoption.json: what another tool applied and the ledger knows from now on.

    ``verified`` lists the versions that are recorded as verified besides; ``catalog`` is the fingerprint at that time.
    """

    kind: ClassVar[str] = "adoption"
    run_id: str | None
    database: str
    server_version: str
    dry_run: bool
    committed: bool
    started_at: str
    duration_seconds: float
    catalog: str
    migrations: list[AdoptionEntry]
    verified: list[str]
