# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents that phases hand on: the shape of the JSON files of a run and of what the modules return.

Each document is one dataclass with a version. Times are UTC in ISO 8601, durations are seconds, sizes are bytes.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, ClassVar, Literal, TypeVar

Verdict = Literal["PASS", "WARNING", "SKIP", "FAIL"]
Stage = Literal["before", "dry_run", "after"]


def utc_now() -> str:
    """The present moment as documents write it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


@dataclass(kw_only=True)
class Document:
    """What all documents share: their kind and the version of their shape."""

    kind: ClassVar[str]
    document_version: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON and ``exit_json``."""
        return {"document": self.kind, **dataclasses.asdict(self)}


@dataclass(kw_only=True)
class TableCount:
    """The exact number of rows of one table."""

    schema: str
    table: str
    rows: int


@dataclass(kw_only=True)
class RowCounts(Document):
    """counts-before.json, counts-after.json: exact counts of one snapshot."""

    kind: ClassVar[str] = "row_counts"
    taken_at: str
    server_version: str
    tables: list[TableCount]
    total: int
    duration_seconds: float


@dataclass(kw_only=True)
class CountChange:
    """One table before and after. ``own_change`` is what the deciding transaction itself inserted less deleted."""

    schema: str
    table: str
    before: int | None
    after: int | None
    own_change: int | None
    verdict: Verdict
    message: str


@dataclass(kw_only=True)
class CountComparison(Document):
    """Counts after against the baseline, under the contract of what may change."""

    kind: ClassVar[str] = "count_comparison"
    tables: list[CountChange]
    verdict: Verdict


@dataclass(kw_only=True)
class Check:
    """One verdict of a validation script, or of a declared check."""

    name: str
    verdict: Verdict
    message: str
    where: str
    section: str
    source: Literal["cell", "notice", "error", "declared"]
    always: bool = False


@dataclass(kw_only=True)
class ValidationReport(Document):
    """validation-before.json, validation-after.json."""

    kind: ClassVar[str] = "validation"
    stage: Stage
    files: list[str]
    started_at: str
    duration_seconds: float
    checks: list[Check]
    verdict: Verdict
    passed: int
    failed: int
    warnings: int
    skipped: int


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
class Lease(Document):
    """Who may work on a project now, and until when; times are the server's. ``expired``: anybody may take it over."""

    kind: ClassVar[str] = "lease"
    owner: str
    run_id: str | None
    operator: str
    host: str
    acquired_at: str
    renewed_at: str
    expires_at: str
    expired: bool
    taken_over_from: dict[str, Any] | None = None


@dataclass(kw_only=True)
class HalfDoneMigration:
    """A file that runs outside a transaction and was cut short: the next apply goes on with it.

    ``finished``: how many of its statements are done. ``begun``: the statement that was not seen to end, None between two.
    """

    version: str
    finished: int
    begun: str | None
    run_id: str | None
    recorded_at: str


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


@dataclass(kw_only=True)
class ExpectedLock:
    """A lock that a statement will take, told from its text."""

    relation: str
    mode: str
    where: str


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
    made for; None when somebody's exclusive lock kept it from being read.
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


@dataclass(kw_only=True)
class PromotionProof:
    """What the project that is promoted from has proven of one file; ``problem`` says why that is not enough.

    ``evidence`` says in words what is proven, and what is going to be compared when the file runs here.
    """

    version: str
    name: str
    sha256: str
    catalog_change: str | None
    described: list[str]
    problem: str | None
    evidence: str = ""


@dataclass(kw_only=True)
class AppliedMigration:
    """One migration that a run applied (or, in a dry run, executed)."""

    version: str
    name: str
    file: str
    sha256: str
    statements: int
    duration_seconds: float


@dataclass(kw_only=True)
class CatalogChange:
    """One object that differs between two catalogs."""

    change: Literal["created", "changed", "dropped"]
    object_type: str
    object_name: str
    detail: str


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
class RowChange:
    """How many rows a transaction itself inserted less deleted in one table; PostgreSQL leaves TRUNCATE out."""

    schema: str
    table: str
    change: int


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
    receipt: Receipt | None = None
    counts: CountComparison | None
    validation: ValidationReport | None
    notices: list[str]


@dataclass(kw_only=True)
class UncoveredObject:
    """An object that a draft leaves to a person, and why."""

    object_name: str
    reason: str


@dataclass(kw_only=True)
class RollbackDraft:
    """A draft of one migration's rollback, and what became of it when it was tried.

    ``exact``: up and the draft returned the catalog as it was. ``rows_written``: what no draft takes back.
    ``outcome``: V(kept) means that another draft was there and was left alone.
    """

    version: str
    name: str
    sha256: str
    file: str
    outcome: Literal["written", "unchanged", "kept", "not_needed"]
    statements: int
    exact: bool
    failure: str | None
    differences: list[CatalogChange]
    not_covered: list[UncoveredObject]
    not_executed: list[UnexecutedStatement]
    rows_written: list[TouchedRows]


@dataclass(kw_only=True)
class RollbackDrafts(Document):
    """What the module rollback_draft made of the pending migrations that have no rollback file."""

    kind: ClassVar[str] = "rollback_drafts"
    drafts: list[RollbackDraft]


@dataclass(kw_only=True)
class RehearsedFile:
    """One migration of a rehearsal and how long it took, in seconds; None where it was not reached."""

    version: str
    name: str
    sha256: str
    rollback_sha256: str | None
    up_seconds: float | None
    down_seconds: float | None
    again_seconds: float | None


@dataclass(kw_only=True)
class EstimatedStatement:
    """One statement as it was timed in the rehearsal, and what that makes with the project's rows.

    ``tables``: what it names of the tables that were counted; their rows in the rehearsal and in the project now make the
    ``factor``. It is 1 where it names none of them.
    """

    where: str
    command: str
    seconds: float
    tables: list[str]
    rehearsed_rows: int
    project_rows: int
    factor: float
    estimated_seconds: float


@dataclass(kw_only=True)
class Rehearsal(Document):
    """rehearsal.json: the pending migrations up, down and up again on a restored backup, and what that says of the project.

    ``key``: the hash of the files and their rollbacks; a rehearsal counts for exactly these. ``reasons``: why it did not pass.
    """

    kind: ClassVar[str] = "rehearsal"
    rehearsal_id: str
    project: str
    key: str | None
    started_at: str
    finished_at: str | None
    duration_seconds: float | None
    backup_id: str
    backup_path: str
    backup_taken_at: str
    backup_bytes: int
    server_version: str | None
    project_server_version: str
    files: list[RehearsedFile]
    statements: list[EstimatedStatement]
    rehearsed_seconds: float
    estimated_seconds: float
    locks: list[HeldLock]
    rewritten_tables: list[RewrittenTable]
    rows: list[TouchedRows]
    differences: list[CatalogChange]
    verdict: Literal["running", "passed", "failed"]
    reasons: list[str]
    # As in the receipt of the dry run; None where it was not reached.
    database_bytes_before: int | None = None
    database_bytes_after: int | None = None


@dataclass(kw_only=True)
class PlainFile:
    """What an encrypted file was before."""

    bytes: int
    sha256: str


@dataclass(kw_only=True)
class BackupFile:
    """One file of a backup, path relative to the backup's directory; ``plain`` is what an encrypted one decrypts to."""

    path: str
    bytes: int
    sha256: str
    plain: PlainFile | None = None


@dataclass(kw_only=True)
class BackupEncryption:
    """With what a backup's files are encrypted, and to whose public keys."""

    tool: str
    recipients: list[str]


@dataclass(kw_only=True)
class BackupVerification:
    """How a backup was proven.

    ``read``: the whole archive was read by pg_restore. ``restore``: it was restored besides, to a server of version
    ``restored_with``, and all counts and the catalog were those of the manifest.
    """

    method: Literal["read", "restore"]
    verified_at: str
    entries: int
    duration_seconds: float
    restored_with: str | None = None
    restored_rows: int | None = None
    notes: list[str] = dataclasses.field(default_factory=list)


@dataclass(kw_only=True)
class UsedBackup(Document):
    """backup-used.json: the young backup of another run that a run made do with instead of making its own."""

    kind: ClassVar[str] = "used_backup"
    backup_id: str
    path: str
    started_at: str


@dataclass(kw_only=True)
class RemovedBackup:
    """A backup that retention removed, and the newer one that it made room for."""

    backup_id: str
    path: str
    started_at: str
    total_bytes: int
    removed_at: str
    reason: str
    newer_backup: str


@dataclass(kw_only=True)
class BackupManifest(Document):
    """backup/manifest.json: what was backed up, from which snapshot, and how it was verified.

    ``own_schemas`` are those that the catalog's fingerprint covers, ``left_out_schemas`` the user's that were there and were
    not to be backed up; ``snapshot`` is PostgreSQL's text of the dump's snapshot. ``timings`` are the phases' seconds.
    """

    kind: ClassVar[str] = "backup_manifest"
    backup_id: str
    run_id: str | None
    project: str
    database: str
    host: str
    system_identifier: str
    server_version: str
    client_version: str
    format: Literal["custom", "directory"]
    compression: str
    schemas: list[str]
    own_schemas: list[str]
    left_out_schemas: list[str]
    reason: str | None = None
    started_at: str
    finished_at: str
    duration_seconds: float
    lsn: str
    snapshot: str
    catalog_fingerprint: str
    counts: RowCounts
    files: list[BackupFile]
    total_bytes: int
    verification: BackupVerification | None
    encryption: BackupEncryption | None = None
    timings: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclass(kw_only=True)
class BackupEntry:
    """One backup as status shows it; ``sound`` is false when files are missing or differ from the manifest.

    ``checked`` is how far it was looked at: an encrypted backup is read only where its identity is given.
    """

    path: str
    manifest: BackupManifest | None
    age_seconds: float | None
    sound: bool
    problems: list[str]
    checked: Literal["none", "checksums", "read"] = "none"


@dataclass(kw_only=True)
class RollbackResult(Document):
    """rollback.json: what was reverted, and the proof."""

    kind: ClassVar[str] = "rollback"
    run_id: str | None
    reason: str
    dry_run: bool
    committed: bool
    started_at: str
    duration_seconds: float
    migrations: list[AppliedMigration]
    exported: list[str]
    catalog_before: str | None
    catalog_after: str | None
    catalog_expected: str | None
    catalog_changes: list[CatalogChange]
    counts: CountComparison | None
    notices: list[str]


@dataclass(kw_only=True)
class TableLoss:
    """What replacing one table by a backup's loses.

    :param in_backup: its rows in the backup, None when it came later; ``now``: its rows now, None when it is gone.
    :param written_since: rows there now that were inserted or updated since the backup, None when that cannot be told.
    :param gone_since: rows of the backup that were updated or deleted since: what the restore brings back as it was.
    """

    schema: str
    table: str
    in_backup: int | None
    now: int | None
    written_since: int | None
    gone_since: int | None


@dataclass(kw_only=True)
class RestoreResult(Document):
    """restore.json: what was restored into where, what that replaced and where that lies, and the proof."""

    kind: ClassVar[str] = "restore"
    run_id: str | None
    project: str
    backup_id: str
    backup_path: str
    backup_taken_at: str
    target: str
    elsewhere: bool
    reason: str | None
    dry_run: bool
    committed: bool
    started_at: str
    duration_seconds: float
    consent: str | None
    aside: str | None
    aside_id: str | None
    losses: list[TableLoss]
    schemas_dropped: list[str]
    migrations_removed: list[str]
    migrations_returned: list[str]
    rows: int
    counts: CountComparison | None
    catalog_expected: str
    catalog_found: str | None
    tolerated: list[CatalogChange]
    timings: dict[str, float]
    notes: list[str]


@dataclass(kw_only=True)
class RestoredTable:
    """One table whose rows were brought back, and where they are."""

    schema: str
    table: str
    into: str
    rows: int


@dataclass(kw_only=True)
class RestoredRows(Document):
    """Rows of single tables, brought back beside the tables themselves."""

    kind: ClassVar[str] = "restored_rows"
    project: str
    backup_id: str
    backup_taken_at: str
    target: str
    dry_run: bool
    committed: bool
    started_at: str
    duration_seconds: float
    tables: list[RestoredTable]


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


RunVerdict = Literal[
    "running",
    "migrated",
    "not_applied",
    "rolled_back",
    "adopted",
    "restored",
    "backed_up",
    "needs_attention",
    "dry_run",
    "nothing_to_do",
]


Operation = Literal["migrate", "rollback", "adopt", "restore", "backup"]


@dataclass(kw_only=True)
class RunRecord(Document):
    """run.json: the identity of one run, how it ended and, where it failed, in which phase and why."""

    kind: ClassVar[str] = "run"
    run_id: str
    project: str
    operation: Operation
    operator: str
    started_at: str
    finished_at: str | None = None
    duration_seconds: float | None = None
    verdict: RunVerdict = "running"
    reason: str | None = None
    failed_phase: str | None = None
    failure: str | None = None
    # How it ended, in one line.
    headline: str | None = None


@dataclass(kw_only=True)
class RunEntry:
    """One run as status shows it."""

    path: str
    run: RunRecord


@dataclass(kw_only=True)
class Message(Document):
    """What the team is told about a run that has ended."""

    kind: ClassVar[str] = "message"
    run_id: str
    project: str
    operation: Operation
    verdict: RunVerdict
    title: str
    reason: str | None
    # By their labels, in the order in which they are shown.
    facts: dict[str, str]
    next_steps: list[str]
    contacts: list[str]


@dataclass(kw_only=True)
class Delivery:
    """What became of a message on one channel."""

    channel: str
    status: Literal["delivered", "failed", "not_wanted", "not_sent"]
    at: str
    # Why it failed, or who of several recipients was refused.
    detail: str = ""


@dataclass(kw_only=True)
class Notification(Document):
    """notification.json: what the team was told, and where it arrived."""

    kind: ClassVar[str] = "notification"
    message: Message | None
    deliveries: list[Delivery]


@dataclass(kw_only=True)
class RehearsalEntry:
    """One rehearsal as status shows it."""

    path: str
    rehearsal: Rehearsal


@dataclass(kw_only=True)
class SchemaInfo(Document):
    """A live schema in figures: its fingerprint, and how many objects of each type it has."""

    kind: ClassVar[str] = "schema_info"
    database: str
    server_version: str
    taken_at: str
    schemas: list[str]
    fingerprint: str
    objects: dict[str, int]
    total: int


@dataclass(kw_only=True)
class SchemaSide:
    """One of two schemas that are compared; a file does not know the server's version."""

    source: str
    server_version: str | None
    fingerprint: str
    total: int


@dataclass(kw_only=True)
class ChangeCounts:
    """How many objects of one type differ, by what happened to them."""

    created: int = 0
    changed: int = 0
    dropped: int = 0


@dataclass(kw_only=True)
class SchemaDiff(Document):
    """What it takes to go from one schema to another."""

    kind: ClassVar[str] = "schema_diff"
    before: SchemaSide
    after: SchemaSide
    equal: bool
    changes: list[CatalogChange]
    counts: dict[str, ChangeCounts]
    ignored: int
    notes: list[str]


LintLevel = Literal["error", "warning", "notice"]
LINT_SEVERITY = {"error": 3, "warning": 2, "notice": 1}
# From which severity on a level to fail at closes; "never" is above all of them.
LINT_FAILS_FROM = {**LINT_SEVERITY, "never": 4}


@dataclass(kw_only=True)
class LintFinding:
    """One thing a linter has to say of a file, with its place, why it matters and what to do; waived or not."""

    code: str
    level: LintLevel
    file: str
    line: int
    column: int
    statement: str
    reason: str
    fix: str
    waived: bool = False
    waiver_reason: str | None = None


@dataclass(kw_only=True)
class LintReport(Document):
    """lint.json: what was found in migrations and rollbacks; ``database`` is None when none was looked at."""

    kind: ClassVar[str] = "lint"
    files: list[str]
    database: str | None
    server_major: int
    excluded: list[str]
    findings: list[LintFinding]
    errors: int
    warnings: int
    notices: int
    waived: int
    duration_seconds: float


GateVerdict = Literal["PASS", "WARNING", "SKIP", "WAIVED", "FAIL"]


@dataclass(kw_only=True)
class GateResult:
    """One gate: what was found, whether that is good enough, who let it pass all the same, and what to do next."""

    name: str
    verdict: GateVerdict
    evidence: str
    waiver: str | None = None
    next_step: str | None = None


@dataclass(kw_only=True)
class Approval:
    """One signature of the plan's hash that counts: whose, by which key, in which file."""

    principal: str
    key: str
    file: str


@dataclass(kw_only=True)
class LintWaiver:
    """One finding of the linter that a comment in its file accepts, with the reason."""

    code: str
    where: str
    reason: str


@dataclass(kw_only=True)
class PreflightReport(Document):
    """preflight.json: every gate before a run. ``waivers`` are the reasons given, also for gates that needed none."""

    kind: ClassVar[str] = "preflight"
    project: str
    project_ref: str | None
    environment: str | None
    database: str
    server_version: str
    checked_at: str
    duration_seconds: float
    gates: list[GateResult]
    waivers: dict[str, str]
    marked: bool
    verdict: Verdict
    plan_hash: str | None = None
    approvals: list[Approval] = dataclasses.field(default_factory=list)
    lint_waivers: list[LintWaiver] = dataclasses.field(default_factory=list)


_T = TypeVar("_T")


def from_dict(shape: type[_T], data: Any) -> _T:
    """Read plain data back into a dataclass; keys that the shape does not know are left out.

    :raises TypeError: when a required key is missing.
    :raises ValueError: when a value has the wrong shape or the document another kind.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{shape.__name__} has to be a mapping, not {type(data).__name__}")
    expected_kind = getattr(shape, "kind", None)
    if expected_kind and data.get("document", expected_kind) != expected_kind:
        raise ValueError(f"expected a document of kind {expected_kind}, found {data['document']}")
    hints = typing.get_type_hints(shape)
    names = {f.name for f in dataclasses.fields(shape)}  # type: ignore[arg-type]
    return shape(**{key: _read(hints[key], value) for key, value in data.items() if key in names})


def _read(hint: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        (hint,) = [a for a in arguments if a is not type(None)]
        return _read(hint, value)
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast("type[Any]", hint), value)
    if origin is list:
        if not isinstance(value, list):
            raise ValueError(f"expected a list, found {type(value).__name__}")
        return [_read(arguments[0], item) for item in value]
    return value
