# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pending migrations, read and checked, and how they are cut into transactions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    MigrationFileError,
    PgopsError,
    SqlScriptError,
)
from ansible_collections.pgops.supabase.plugins.module_utils.counts.declarations import read_declarations
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowDeclaration
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.documents import MigrationEntry
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import (
    MigrationFile,
    raise_together,
    read_script,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.effects import adds_enum_value
from ansible_collections.pgops.supabase.plugins.module_utils.sql.locks import entries_in_the_lock_table
from ansible_collections.pgops.supabase.plugins.module_utils.sql.runnable import RunnableScript, runnable

TransactionScope = Literal["batch", "file"]


@dataclass(frozen=True)
class PendingMigration:
    """A migration that is to be applied, with its statements and what it declares of the rows it writes."""

    file: MigrationFile
    script: RunnableScript
    declarations: Sequence[RowDeclaration] = ()


@dataclass(frozen=True)
class Batch:
    """Migrations that are applied together: in one transaction, or, one file alone, statement by statement outside of one."""

    items: tuple[PendingMigration, ...]
    outside_transaction: bool = False

    @property
    def versions(self) -> list[str]:
        """The versions, in order."""
        return [item.file.version for item in self.items]

    @property
    def labels(self) -> str:
        """The migrations in words."""
        return ", ".join(item.file.label for item in self.items)


def load_pending(
    files: Sequence[MigrationFile], entries: Sequence[MigrationEntry], begun: Collection[str] = ()
) -> list[PendingMigration]:
    """Read and check the files of the entries, in their order.

    :param begun: versions that an earlier run began outside a transaction. They are gone on with there, whatever the file holds
        now: in a transaction they would begin anew, and do twice what is done.

    :raises SqlScriptError: when one of them cannot be run.
    :raises MigrationFileError: when one of them is being changed, or several cannot be run: all are named at once.
    """
    by_version = {file.version: file for file in files}
    pending = []
    problems: list[PgopsError] = []
    for file in (by_version[entry.version] for entry in entries):
        try:
            script = runnable(read_script(file.path), outside_transaction=True)
            declarations = read_declarations(script.script)
        except SqlScriptError as problem:
            problems.append(problem)
            continue
        if script.script.sha256 != file.sha256:
            raise MigrationFileError(
                f"{file.path.name} was changed while it was read",
                where=str(file.path),
                next_step="Run again when nobody is editing the migrations.",
            )
        if file.version in begun:
            script = replace(script, outside_transaction=True)
        pending.append(PendingMigration(file, script, declarations))
    raise_together(problems)
    return pending


def cut_batches(pending: Sequence[PendingMigration], scope: TransactionScope, *, lock_capacity: int) -> list[Batch]:
    """Cut the pending migrations into transactions; pure.

    A file that cannot be one transaction stands alone; what comes before it is committed before it, what comes after it
    follows in a transaction of its own. A batch that would outgrow the server's lock table is cut between files, and one is cut
    after a file that adds a value to an enum.
    """
    batches: list[Batch] = []
    together: list[PendingMigration] = []
    entries = 0
    for item in pending:
        needed = entries_in_the_lock_table(item.script.script)
        if together and entries + needed > lock_capacity:
            batches.append(Batch(tuple(together)))
            together, entries = [], 0
        if item.script.outside_transaction or scope == "file":
            batches += [Batch(tuple(together))] if together else []
            together, entries = [], 0
            batches.append(Batch((item,), item.script.outside_transaction))
        else:
            together.append(item)
            entries += needed
            if adds_enum_value(item.script.script):
                # PostgreSQL lets nobody use the value before it is committed ("ALTER TYPE").
                batches.append(Batch(tuple(together)))
                together, entries = [], 0
    return batches + ([Batch(tuple(together))] if together else [])
