# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks that decide, in the very transaction that made the changes, whether it may commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import VerificationFailed
from ansible_collections.pgops.supabase.plugins.module_utils.counts.comparison import (
    CountContract,
    compare_counts,
    parse_table_name,
)
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import (
    CountComparison,
    RowDeclaration,
    TableCount,
)
from ansible_collections.pgops.supabase.plugins.module_utils.counts.own import OwnWork
from ansible_collections.pgops.supabase.plugins.module_utils.counts.tables import count_in_transaction, existing_tables
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import Table
from ansible_collections.pgops.supabase.plugins.module_utils.validation.documents import Stage, ValidationReport
from ansible_collections.pgops.supabase.plugins.module_utils.validation.script import ValidationScript, run_validation
from ansible_collections.pgops.supabase.plugins.module_utils.validation.verdicts import failing_checks

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


@dataclass(frozen=True)
class Checks:
    """What has to hold before a transaction commits.

    :param baseline: the counts from before; None leaves counting out.
    :param contract: by how many rows a table may differ by the work that is judged, beside what the files declare.
    :param scripts: validation scripts to run.
    """

    baseline: Sequence[TableCount] | None = None
    contract: CountContract = field(default_factory=dict)
    scripts: Sequence[ValidationScript] = ()
    warnings_as_failures: bool = False


@dataclass(frozen=True)
class Verification:
    """What the checks found."""

    counts: CountComparison | None
    validation: ValidationReport | None
    warnings_as_failures: bool = False


def verify(
    connection: PgConnection,
    checks: Checks,
    *,
    stage: Stage,
    own: OwnWork | None,
    declarations: Sequence[RowDeclaration] = (),
) -> Verification:
    """Count and validate on the open transaction; what the checks write is rolled back to a savepoint.

    Locks are held meanwhile, so only what was touched is counted.

    :param own: what was done since the baseline by those who are judged; None where that is not known: then every table of the
        baseline is counted, and none may have fewer rows.
    """
    counts = None
    if checks.baseline is not None:
        before = list(checks.baseline)
        if own is not None:
            before = [count for count in before if _is_touched(own, (count.schema, count.table))]
        wanted = {own.renamed.get(table, table) if own else table for table in map(_table, before)}
        wanted |= {parse_table_name(name) for name in checks.contract}
        wanted |= {(item.schema, item.table) for item in declarations}
        after = count_in_transaction(connection, existing_tables(connection, sorted(wanted)))
        known = {_table(count) for count in before}
        before += [c for c in checks.baseline if _table(c) in wanted and _table(c) not in known]
        counts = compare_counts(
            before, after, own=own, contract=checks.contract, declarations=declarations, may_grow=own is None
        )
    validation = None
    if checks.scripts:
        validation = run_validation(
            connection, checks.scripts, stage=stage, warnings_as_failures=checks.warnings_as_failures
        )
    return Verification(counts, validation, checks.warnings_as_failures)


def _table(count: TableCount) -> Table:
    return count.schema, count.table


def _is_touched(own: OwnWork, table: Table) -> bool:
    return table in own.renamed or table in own.touched


def require_verified(verification: Verification, *, state: str) -> None:
    """Turn a failed verification into an error that names each failure.

    :raises VerificationFailed: when a count or a check failed.
    """
    failures = failed_checks(verification)
    if failures:
        listed = "; ".join(f"{where}: {message}" for where, message in failures)
        raise VerificationFailed(
            f"The verification failed ({len(failures)}): {listed}",
            where=failures[0][0],
            state=state,
            next_step="Correct the migration or the check, try it on the development project, and run again.",
            details={"failures": [{"where": where, "message": message} for where, message in failures]},
        )


def failed_checks(verification: Verification) -> list[tuple[str, str]]:
    """Where and what, for each failed count and check."""
    failures: list[tuple[str, str]] = []
    if verification.counts is not None:
        failures += [
            (f"table {change.schema}.{change.table}", change.message)
            for change in verification.counts.tables
            if change.verdict == "FAIL"
        ]
    if verification.validation is not None:
        report = verification.validation
        failures += [
            (check.where, check.name if check.message in ("", check.name) else f"{check.name}: {check.message}")
            for check in failing_checks(report.checks, report.stage, verification.warnings_as_failures)
        ]
    return failures
