# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes two plans the same: the hash that people sign, and in words what differs when it is another one. Pure but for files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict, given_document
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, VerificationFailed
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import (
    canonical_json,
    read_json,
    sha256_of_bytes,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.batches import Batch, PendingMigration
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.documents import (
    MigrationPlan,
    PlannedMigration,
    PlannedStep,
    PlannedValidation,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.locks import (
    entries_in_the_lock_table,
    expected_locks,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.runnable import alone_or_apart
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import (
    sha256_of_sql_file,
)

# Changes when the meaning of what is hashed does, so that no old signature is taken for a new plan.
HASH_FORMAT = 1
_CONDITIONS = (
    "project",
    "project_ref",
    "environment",
    "database",
    "transaction_scope",
    "verify_before_commit",
    "warnings_as_failures",
    "count_contract",
)


def plan_hash(plan: MigrationPlan) -> str:
    """What people who look at the same plan agree on, wherever they look at it.

    In it: the project's name, reference, environment and database; the fingerprint of the schema that the plan is made for; the
    files with their rollbacks and how they are cut into transactions; the validation scripts; and what decides whether the
    result is committed. Not in it: times, sizes, the server's minor version, locks (the files tell of them), paths of a machine.
    """
    return sha256_of_bytes(canonical_json(_basis(plan)))


def _basis(plan: MigrationPlan) -> dict[str, Any]:
    return {
        "format": HASH_FORMAT,
        **{name: getattr(plan, name) for name in _CONDITIONS},
        "catalog_before": plan.catalog_before,
        "validations": [[item.file, item.sha256] for item in plan.validations],
        "steps": [
            [step.outside_transaction, [[m.version, m.name, m.sha256, m.rollback_sha256] for m in step.migrations]]
            for step in plan.steps
        ],
    }


def differences(signed: MigrationPlan, now: MigrationPlan) -> list[str]:
    """What is different now, in sentences; empty when the hashes are equal."""
    return [
        *_condition_differences(signed, now),
        *_file_differences(signed, now),
        *_validation_differences(signed, now),
        *_cut_differences(signed, now),
    ]


def _condition_differences(signed: MigrationPlan, now: MigrationPlan) -> Iterator[str]:
    for name in _CONDITIONS:
        before, after = getattr(signed, name), getattr(now, name)
        if before != after:
            yield f"{name} was {before!r} and is {after!r}"
    if signed.catalog_before != now.catalog_before:
        before, after = (plan.catalog_before or "unknown" for plan in (signed, now))
        yield f"the schema was {before[:16]} and is {after[:16]}"


def _file_differences(signed: MigrationPlan, now: MigrationPlan) -> Iterator[str]:
    before, after = _migrations(signed), _migrations(now)
    for version in sorted(before.keys() | after.keys()):
        old, new = before.get(version), after.get(version)
        if old is not None and new is not None:
            yield from _changes_of_a_file(old, new)
        elif new is not None:
            yield f"{new.file} was not in it"
        elif old is not None:
            yield f"{old.file} is not pending any more"


def _changes_of_a_file(old: PlannedMigration, new: PlannedMigration) -> Iterator[str]:
    if (old.sha256, old.name) != (new.sha256, new.name):
        yield f"{new.file} was changed"
    if old.rollback_sha256 != new.rollback_sha256:
        what = "added" if old.rollback_file is None else "removed" if new.rollback_file is None else "changed"
        yield f"{new.rollback_file or old.rollback_file} was {what}"


def _validation_differences(signed: MigrationPlan, now: MigrationPlan) -> Iterator[str]:
    before, after = ({item.file: item.sha256 for item in plan.validations} for plan in (signed, now))
    for file in sorted(before.keys() | after.keys()):
        if before.get(file) != after.get(file):
            what = "added" if file not in before else "removed" if file not in after else "changed"
            yield f"the validation {file} was {what}"


def _cut_differences(signed: MigrationPlan, now: MigrationPlan) -> Iterator[str]:
    before, after = _cut(signed), _cut(now)
    if before != after and _migrations(signed).keys() == _migrations(now).keys():
        yield f"the transactions were cut as {before} and are cut as {after}"


def _migrations(plan: MigrationPlan) -> dict[str, PlannedMigration]:
    return {migration.version: migration for step in plan.steps for migration in step.migrations}


def _cut(plan: MigrationPlan) -> str:
    return " | ".join(
        "+".join(m.version for m in step.migrations) + (" (no transaction)" if step.outside_transaction else "")
        for step in plan.steps
    )


def load_plan(path: Path) -> MigrationPlan:
    """Read a plan that was kept under its hash.

    :raises InputError: when it is no plan, or not the one that its name says, so that nobody knows what was signed.
    """
    try:
        plan = from_dict(MigrationPlan, read_json(path))
        found = plan_hash(plan)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"This is no plan: {error}", where=str(path), next_step="Make it again: playbook pgops.supabase.plan"
        ) from error
    if found != path.stem:
        raise InputError(
            f"The plan was changed after it was made: its hash is {found[:16]}, and its name says {path.stem[:16]}",
            where=str(path),
            next_step="Remove it and make it again (playbook pgops.supabase.plan); trust no signature of it before.",
        )
    return plan


def given_plan(plan: Any, approved: str | None = None) -> MigrationPlan | None:
    """An option that holds what M(pgops.supabase.migration_plan) returned, or the path of its file.

    :param approved: the hash that it must have, where one was approved.
    :raises InputError: when it is something else.
    :raises VerificationFailed: when it is another plan than the one approved.
    """
    if not plan:
        if approved is not None:
            raise InputError("There is no plan to hold against plan_hash", where="plan", next_step="Give plan as well.")
        return None
    document = given_document(
        MigrationPlan,
        plan,
        option="plan",
        refusal="This is not a plan",
        next_step="Give what the module migration_plan returned as plan, or the path of its plan.json.",
    )
    if document.plan_hash != plan_hash(document):
        raise InputError(
            "The plan is not the one that its hash was made of",
            where=plan if isinstance(plan, str) else "plan",
            next_step="Give what the module migration_plan returned as plan, whole and unchanged.",
        )
    if approved not in (None, document.plan_hash):
        raise VerificationFailed(
            f"The plan is {document.plan_hash[:16]}, and {str(approved)[:16]} was approved: it was replaced meanwhile",
            where=plan if isinstance(plan, str) else "plan",
            next_step="Find out who writes there; then plan again (playbook pgops.supabase.plan), have it approved, and run again.",
        )
    return document


def planned_steps(batches: Sequence[Batch], supabase_dir: Path) -> list[PlannedStep]:
    """The transactions as a plan tells them."""
    return [
        PlannedStep(
            number=number,
            outside_transaction=batch.outside_transaction,
            lock_table_entries=sum(entries_in_the_lock_table(item.script.script) for item in batch.items),
            migrations=[_planned(item, supabase_dir) for item in batch.items],
        )
        for number, batch in enumerate(batches, 1)
    ]


def planned_validation(path: Path, supabase_dir: Path) -> PlannedValidation:
    """A validation script as a plan tells it.

    :raises InputError: when it cannot be read.
    """
    try:
        return PlannedValidation(file=_place(path, supabase_dir), sha256=sha256_of_sql_file(path))
    except OSError as error:
        raise InputError(
            f"The validation script cannot be read: {error.strerror}",
            where=str(path),
            next_step="Correct validations (project_validations).",
        ) from error


def require_planned(
    plan: MigrationPlan, steps: list[PlannedStep], validations: list[PlannedValidation], **conditions: Any
) -> None:
    """What is about to run is what the plan says.

    :param conditions: those of the plan's conditions that the caller knows.
    :raises VerificationFailed: naming what differs.
    """
    now = dataclasses.replace(plan, steps=steps, validations=validations, **conditions)
    if changed := differences(plan, now):
        raise VerificationFailed(
            f"What would run is not the plan {plan.plan_hash[:16]}: {'; '.join(changed)}",
            where=steps[0].migrations[0].file if steps else None,
            next_step="Plan again (playbook pgops.supabase.plan), have it approved if that is asked for, and run again.",
        )


def require_planned_catalog(plan: MigrationPlan, found: str, *, state: str) -> None:
    """The schema is still the one that the plan was made for.

    :raises VerificationFailed: when it is another one.
    """
    if plan.catalog_before not in (None, found):
        raise VerificationFailed(
            f"The schema is not the one that the plan {plan.plan_hash[:16]} was made for: somebody changed it meanwhile",
            where="pg_catalog",
            state=state,
            next_step="Find out what changed (module schema_diff), plan again (playbook pgops.supabase.plan), and run again.",
        )


def _planned(item: PendingMigration, supabase_dir: Path) -> PlannedMigration:
    file = item.file
    place = _place(file.path, supabase_dir)
    return PlannedMigration(
        version=file.version,
        name=file.name,
        file=place,
        sha256=file.sha256,
        statements=len(item.script.statements),
        outside_transaction=[
            f"{place}:{statement.position.line}:{statement.position.column}: {reason}"
            for statement, reason in alone_or_apart(item.script)
        ],
        locks=[
            dataclasses.replace(lock, where=f"{place}:{':'.join(lock.where.rsplit(':', 2)[1:])}")
            for lock in expected_locks(item.script.script)
        ],
        rollback_file=_place(file.rollback, supabase_dir) if file.rollback else None,
        rollback_sha256=sha256_of_sql_file(file.rollback) if file.rollback else None,
    )


def _place(path: Path, supabase_dir: Path) -> str:
    """The same on every machine: the place in the project's folder, or the bare name of what lies elsewhere."""
    return str(path.relative_to(supabase_dir)) if path.is_relative_to(supabase_dir) else path.name
