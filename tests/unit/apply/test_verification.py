# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which counts and checks fail a verification, and how that is said."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.apply.verification import (
    Verification,
    failed_checks,
    require_verified,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import VerificationFailed
from ansible_collections.pgops.supabase.plugins.module_utils.counts.comparison import compare_counts
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import TableCount
from ansible_collections.pgops.supabase.plugins.module_utils.counts.own import OwnWork
from ansible_collections.pgops.supabase.plugins.module_utils.validation.documents import (
    Check,
    Stage,
    ValidationReport,
    Verdict,
)


def report(*verdicts: Verdict, stage: Stage = "after") -> ValidationReport:
    checks = [
        Check(name=f"check {n}", verdict=verdict, message="said", where=f"v.sql:{n}:1", section="", source="cell")
        for n, verdict in enumerate(verdicts, start=1)
    ]
    return ValidationReport(
        stage=stage,
        files=["v.sql"],
        started_at="",
        duration_seconds=0,
        checks=checks,
        verdict="PASS",
        passed=0,
        failed=0,
        warnings=0,
        skipped=0,
    )


def counts(before: int, after: int, own: int) -> Any:
    tables = [[TableCount(schema="public", table="t", rows=rows)] for rows in (before, after)]
    return compare_counts(tables[0], tables[1], own=OwnWork({("public", "t"): own}))


def test_nothing_to_check_is_no_failure() -> None:
    require_verified(Verification(None, None), state="as it was")


def test_warnings_pass_unless_they_are_failures() -> None:
    validation = report("PASS", "WARNING", "SKIP")
    assert failed_checks(Verification(counts(1, 3, 0), validation)) == []
    assert failed_checks(Verification(None, validation, warnings_as_failures=True)) == [
        ("v.sql:2:1", "check 2: said"),
    ]


def test_every_failure_is_named() -> None:
    verification = Verification(counts(3, 1, -2), report("FAIL", "PASS", "FAIL"))
    with pytest.raises(VerificationFailed) as caught:
        require_verified(verification, state="rolled back")
    error = caught.value
    assert error.what.startswith("The verification failed (3): table public.t: -2 rows")
    assert "v.sql:1:1: check 1: said; v.sql:3:1: check 3: said" in error.what
    assert (error.where, error.state) == ("table public.t", "rolled back")
    assert [item["where"] for item in error.details["failures"]] == ["table public.t", "v.sql:1:1", "v.sql:3:1"]
