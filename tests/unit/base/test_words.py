# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts in sentences, and that nothing hides the function that writes them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number

CLONE = Path(__file__).resolve().parents[3]
SOURCES = sorted(CLONE.glob("plugins/**/*.py"))


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [
        (1, "migration", "1 migration"),
        (0, "table", "0 tables"),
        (2, "policy", "2 policies"),
        (12000, "index", "12,000 indexes"),
        (3, "foreign key", "3 foreign keys"),
        (2, "check", "2 checks"),
    ],
)
def test_a_count_has_its_noun(count: int, noun: str, said: str) -> None:
    assert number(count, noun) == said


def test_no_function_hides_it_by_a_variable_of_its_own() -> None:
    hidden = []
    for source in SOURCES:
        for function in ast.walk(ast.parse(source.read_text("utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            # A comprehension's variables are its own.
            inner = {
                id(name)
                for node in ast.walk(function)
                if isinstance(node, ast.comprehension)
                for name in ast.walk(node.target)
            }
            names = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == "number"]
            calls = any(
                isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "number"
                for n in ast.walk(function)
            )
            if calls and any(isinstance(name.ctx, ast.Store) and id(name) not in inner for name in names):
                hidden.append(f"{source.relative_to(CLONE)}: {function.name}")
    assert not hidden
