# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's floors: a file imports only from floors below it, and only the edge knows Ansible."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[2] / "plugins" / "module_utils"
PACKAGE = "ansible_collections.pgops.supabase.plugins.module_utils"

# From the ground up. On floor 2 a file may also use those that stand before it.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "files", "documents", "background"),
    (
        "connection",
        "sql_script",
        "pg_tools",
        "validation_verdicts",
        "claimed_directory",
        "progress",
        "progress_text",
        "channels",
        "message_forms",
    ),
    (
        "catalog_queries",
        "canonical_text",
        "catalog",
        "catalog_selection",
        "migration_files",
        "table_counts",
        "parallel_counts",
        "count_comparison",
        "own_schema",
        "history",
        "record_check",
        "statement_log",
        "migration_state",
        "transactions",
        "script_runner",
        "expected_locks",
        "migration_batches",
        "plan_identity",
        "promotion",
        "crash_recovery",
        "outside_transaction",
        "sql_tree",
        "sql_effects",
        "receipt",
        "violations",
        "dry_run",
        "receipt_tables",
        "validation_reader",
        "validation_session",
        "validation_script",
        "verification",
        "apply_state",
        "apply_requirements",
        "adoption",
        "rollback_choice",
        "dropped_data_script",
        "dropped_data",
        "run_records",
        "gate_facts",
        "project_marker",
        "dump_watch",
        "backup_encryption",
        "backup_archive",
        "backup_place",
        "backup_source",
        "backup_retention",
        "backup_request",
        "backup_snapshot",
        "archive_content",
        "archive_selection",
        "archive_stream",
        "privileges",
        "draft_names",
        "draft_privileges",
        "draft_objects",
        "draft_changes",
        "draft_rollback",
        "draft_text",
        "restore_target",
        "restore_surroundings",
        "archive_restore",
        "restore_proof",
        "local_directory",
        "local_server",
        "supabase_shape",
        "scratch_server",
        "backup_proof",
        "squawk",
        "rehearsal_records",
        "rehearsal_estimate",
        "lease",
        "gate_evidence",
        "gate_rules",
        "git_evidence",
        "lint_gate",
        "approvals",
        "approval_rules",
        "gate_table",
        "rehearsal_gate",
        "table_changes",
        "lint_batch",
        "lint_facts",
        "lint_rollback",
        "lint_rules",
        "lint_squawk",
        "lint_tables",
        "lint_waivers",
        "restore_loss",
        "restore_records",
        "restore_checks",
        "report_backup",
        "report_restore",
        "message",
    ),
    (
        "migrate",
        "plan",
        "migration_status",
        "gates",
        "verified",
        "adopt",
        "rollback",
        "rollback_drafts",
        "rehearsal",
        "backup",
        "restore",
        "restore_rows",
        "validation",
        "row_counts",
        "schema",
        "local_project",
        "report",
        "notification",
        "lint",
    ),
    ("module",),
)
SHARED_KNOWLEDGE = 2
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
FILES = sorted(path.stem for path in ENGINE.glob("*.py") if path.stem != "__init__")


def imports_of(name: str) -> set[str]:
    """Every module that the file imports, also inside functions and for types only; Python's dotted names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ENGINE / f"{name}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import at line {node.lineno}"
            module = node.module or ""
            found.update(f"{module}.{alias.name}" for alias in node.names) if module == PACKAGE else found.add(module)
    return found


def allowed_for(name: str) -> set[str]:
    """The files that a file may import."""
    floor = FLOOR_OF[name]
    below = {other for other, others in FLOOR_OF.items() if others < floor}
    names = FLOORS[floor]
    return below | set(names[: names.index(name)]) if floor == SHARED_KNOWLEDGE else below


def test_every_file_has_its_floor() -> None:
    assert set(FILES) == set(FLOOR_OF), "say in FLOORS where each file of the engine stands"


@pytest.mark.parametrize("name", FLOOR_OF)
def test_imports_only_point_down(name: str) -> None:
    inside = {found.removeprefix(f"{PACKAGE}.") for found in imports_of(name) if found.startswith(PACKAGE)}
    assert inside - allowed_for(name) == set()


@pytest.mark.parametrize("name", [name for name in FLOOR_OF if name != "module"])
def test_only_the_edge_knows_ansible(name: str) -> None:
    outside = {found for found in imports_of(name) if not found.startswith(PACKAGE)}
    assert {found for found in outside if found.split(".")[0] in ("ansible", "ansible_collections")} == set()
