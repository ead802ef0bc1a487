# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dry run and the run after it say the same of hundreds of batches that nobody chose.

C(PGOPS_BATCHES) is how many, from the number C(PGOPS_FIRST_BATCH) on; the number in a failure makes the same batch again.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from tests.integration.application import Application
from tests.integration.apply.test_dry_run import dump
from tests.integration.generated_batches import START, batch
from tests.integration.live import NewProject

BATCHES = int(os.environ.get("PGOPS_BATCHES", "40"))
FIRST = int(os.environ.get("PGOPS_FIRST_BATCH", "1"))


def judged(tried: dict[str, Any], ran: dict[str, Any]) -> str:
    """How the two agree, in words; the words begin with C(contradiction) when they do not."""
    receipt = (tried.get("migration") or {}).get("receipt") or {}
    not_tried = {item["where"] for item in receipt.get("not_executed", [])}
    where = ran["error"]["where"] if ran.get("failed") else None
    if tried.get("failed"):
        same = where == tried["error"]["where"] and ran["error"]["code"] == tried["error"]["code"]
        if same:
            return "refused at the same place"
        return "refused at what it could not try" if where in not_tried else "contradiction: it refused"
    if where is None:
        return "passed" if not not_tried else "passed, but for what it could not try"
    return "refused at what it could not try" if where in not_tried else "contradiction: it passed"


def test_the_run_does_what_the_dry_run_said(new_project: NewProject, tmp_path: Path) -> None:
    found: Counter[str] = Counter()
    contradictions = []
    for number in range(FIRST, FIRST + BATCHES):
        fresh = new_project()
        fresh.psql(START)
        application = Application(fresh, tmp_path / str(number) / "supabase")
        for name, content in batch(number).items():
            application.migration(name, content)
        before = dump(fresh)
        tried = application.apply(check=True)
        after = dump(fresh)
        if before != after:
            contradictions.append(f"batch {number}: the dry run changed the database")
        ran = application.apply()
        verdict = judged(tried, ran)
        found[verdict] += 1
        if verdict.startswith("contradiction"):
            said, did = (result.get("msg", "passed") for result in (tried, ran))
            files = "\n".join(f"-- {name}\n{content}" for name, content in batch(number).items())
            contradictions.append(f"batch {number}: {verdict}\n{files}\nDry run: {said}\nRun: {did}")
            print(contradictions[-1])
    print(f"{BATCHES} batches from number {FIRST} on: {dict(found)}")
    assert not contradictions, "\n\n".join(contradictions)
    # Both have to be among them, or nothing was compared.
    assert found["refused at the same place"] > BATCHES / 4 and found["passed"] > 0
