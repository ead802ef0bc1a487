# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bridges between schemas made by chance: each is proven, and so is its way back.

The environment variable BRIDGE_SCHEMAS says how many, BRIDGE_FIRST with which number they begin.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.live import NewProject
from tests.integration.reconcile.bridges import bridge
from tests.integration.reconcile.generated_schemas import schemas

FIRST = int(os.environ.get("BRIDGE_FIRST", "100"))
COUNT = int(os.environ.get("BRIDGE_SCHEMAS", "2"))


@pytest.mark.parametrize("number", range(FIRST, FIRST + COUNT))
def test_a_bridge_between_random_schemas_is_proven(new_project: NewProject, tmp_path: Path, number: int) -> None:
    both, one, other = schemas(number)
    target, source = new_project(), new_project()
    for project, own in ((target, one), (source, other)):
        # PostgreSQL takes what it can of them.
        project.psql_result(f"\\set ON_ERROR_STOP 0\n{both}{own}")
    made = bridge(target, source, tmp_path)
    assert made.verdict == "proven", made.reasons
