# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a bridge: migrations in the order in which they apply, with what destroys commented out. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.names import ROUTINES
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.order import Step
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.steps import NotCovered
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.whole_columns import (
    INDEXES,
    MAIN,
    VALIDATION,
    VALUES,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import DRAFT_MARK
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.bridge_documents import BridgeFile

_ENDINGS = {VALUES: "_values", MAIN: "", INDEXES: "_indexes", VALIDATION: "_validation"}
_WHY = {
    VALUES: "Values of enums that later files use: they can be used only once they are committed.",
    MAIN: "All that needs no transaction of its own.",
    INDEXES: "Indexes of tables in use: made CONCURRENTLY, so each statement is committed by itself.",
    VALIDATION: "Constraints that were added NOT VALID are validated, without a lock that stops writing.",
}
_VERSION = "%Y%m%d%H%M%S"
_NO_BODIES = "set check_function_bodies = off;"


@dataclass(frozen=True)
class DraftedFile:
    """One migration of the draft, with its steps."""

    version: str
    name: str
    phase: int
    steps: Sequence[Step]

    @property
    def label(self) -> str:
        """The name of its file, without C(.sql)."""
        return f"{self.version}_{self.name}"

    @property
    def outside_transaction(self) -> bool:
        """Whether PostgreSQL refuses it in a transaction."""
        # Elsewhere it is a word in a body or a comment.
        return self.phase == INDEXES and any("CONCURRENTLY" in text for step in self.steps for text in step.statements)

    def statements(self, *, in_full: bool) -> list[str]:
        """What it runs; with what is commented out too, or without."""
        active = [step for step in self.steps if in_full or not step.destroys]
        bodies = [_NO_BODIES] if _has_bodies(active) else []
        return bodies + [statement for step in active for statement in step.statements]


def drafted_files(phases: Mapping[int, Sequence[Step]], name: str, version: str) -> list[DraftedFile]:
    """A file for each phase that has something to do, a second apart."""
    first = datetime.strptime(version, _VERSION)
    wanted = [phase for phase in sorted(phases) if phases[phase]]
    return [
        DraftedFile((first + timedelta(seconds=place)).strftime(_VERSION), name + _ENDINGS[phase], phase, phases[phase])
        for place, phase in enumerate(wanted)
    ]


def migration_text(file: DraftedFile, head: Sequence[str], rows: Mapping[str, int | None]) -> str:
    """The whole migration: what it is, then each step; what destroys as comments, with the reason and the rows.

    :param rows: how many rows lose something, by the key of a step that destroys.
    """
    lines = [DRAFT_MARK, *(f"-- {line}" for line in (*head, _WHY[file.phase])), ""]
    lines += [_NO_BODIES] if _has_bodies([step for step in file.steps if not step.destroys]) else []
    for step in file.steps:
        lines += list(_destroying(step, rows.get(step.key))) if step.destroys else step.statements
    return "\n".join([*lines, ""])


def rollback_text(file: DraftedFile, statements: Sequence[str], left: Sequence[NotCovered], head: Sequence[str]) -> str:
    """The whole rollback of one migration of the draft."""
    lines = [DRAFT_MARK, f"-- Rollback of {file.label}.", *(f"-- {line}" for line in head)]
    lines += [f"-- Not covered: {line}" for item in left for line in f"{item.key}: {item.reason}".splitlines()]
    return "\n".join([*lines, "", *statements, ""])


def rollback_statements(steps: Sequence[Step]) -> list[str]:
    """What a rollback runs, all of it."""
    return ([_NO_BODIES] if _has_bodies(steps) else []) + [line for step in steps for line in step.statements]


def copying(files: Sequence[BridgeFile]) -> str:
    """The command that copies these files, and none of an earlier draft beside them, into the application's repository."""
    folders = {
        "migrations": [file.path for file in files],
        "rollbacks": [file.rollback for file in files if file.rollback],
    }
    return " && ".join(
        f"cp {' '.join(map(shlex.quote, paths))} supabase/{folder}/" for folder, paths in folders.items() if paths
    )


def told_rows(reason: str, rows: int | None) -> str:
    """A reason with the number of rows, where that says something."""
    if rows is None or re.match(r"\d", reason):
        return reason
    return f"{reason} ({rows} row{'' if rows == 1 else 's'})"


def _destroying(step: Step, rows: int | None) -> Iterator[str]:
    yield ""
    yield from (f"-- {line}" for line in f"{step.key}: {told_rows(step.destroys, rows)}".splitlines())
    for statement in step.statements:
        yield from (f"-- {line}" for line in statement.splitlines())
    yield ""


def _has_bodies(steps: Sequence[Step]) -> bool:
    """Whether a function is made, whose body may speak of what comes after it."""
    return any(step.action != "drop" and CatalogKey.parse(step.key).kind in ROUTINES for step in steps)
