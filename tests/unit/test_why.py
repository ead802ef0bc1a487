# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page that compares with others says nothing that no test shows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]


def test_each_row_of_the_page_is_a_test_of_its_own() -> None:
    page = (CLONE / "docs" / "why.md").read_text("utf-8")
    rows = [f"test_{name}" for name in re.findall(r"\| `(\w+)` \|$", page, re.MULTILINE)]
    source = ast.parse((CLONE / "tests" / "integration" / "test_silent_failures.py").read_text("utf-8"))
    tests = [node.name for node in source.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert rows == tests
    assert len(tests) == 16
