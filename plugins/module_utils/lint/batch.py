# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules of the linter judge: the files of a batch, what the database holds, and where a table is large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import Position
from ansible_collections.pgops.supabase.plugins.module_utils.lint.documents import LintFinding, LintLevel
from ansible_collections.pgops.supabase.plugins.module_utils.sql.effects import created_by
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Script, Statement
from ansible_collections.pgops.supabase.plugins.module_utils.sql.shown import shown
from ansible_collections.pgops.supabase.plugins.module_utils.sql.table_changes import TableChange
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import DatabaseObject

_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class LintFile:
    """One migration and its rollback; ``rollback_path`` is where that is, or where it should be.

    ``has_byte_order_mark``: the script's text is without it.
    """

    script: Script
    rollback: Script | None
    rollback_path: str
    has_byte_order_mark: bool = False


@dataclass(frozen=True)
class ColumnFacts:
    """A column as the database has it; ``modifiers`` are those of its type, as the 50 of varchar(50)."""

    type_name: str
    modifiers: tuple[int, ...] = ()


@dataclass(frozen=True)
class TableFacts:
    """A table as the database has it.

    :param rows: exact up to the threshold for large tables; one more than it stands for any number above.
    :param filled: the columns, of those a file drops, that hold anything but null.
    :param proven_not_null: the columns that a valid CHECK, or the column itself, says are not null.
    """

    rows: int
    size_bytes: int
    columns: Mapping[str, ColumnFacts] = field(default_factory=dict)
    filled: frozenset[str] = frozenset()
    proven_not_null: frozenset[str] = frozenset()


@dataclass(frozen=True)
class DataCheck:
    """What the rows of a table say of a change that not every row may obey.

    :param violations: rows, or groups of duplicates, against it; None when it could not be found out.
    :param at_least: counting stopped there.
    :param problem: why it could not be found out.
    """

    change: TableChange
    violations: int | None
    at_least: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Facts:
    """What was read from the database: the tables that the batch changes, and what their rows say.

    :param unknown: the tables that could not be looked at, and why.
    :param contained: for each schema, type and extension that the batch or a rollback drops and that is there: the tables, and the
        columns of others, that go with it and hold rows.
    :param overloaded: of the functions that the batch drops, schema and name of those that are there more than once.
    """

    tables: Mapping[DatabaseObject, TableFacts] = field(default_factory=dict)
    unknown: Mapping[DatabaseObject, str] = field(default_factory=dict)
    volatile_functions: frozenset[str] = frozenset()
    overloaded: frozenset[tuple[str, str]] = frozenset()
    contained: Mapping[DatabaseObject, Sequence[DatabaseObject]] = field(default_factory=dict)
    checks: Sequence[DataCheck] = ()


@dataclass(frozen=True)
class Limits:
    """From where on a table is large: rows, or bytes."""

    rows: int = 100_000
    size_bytes: int = 100 * _MEGABYTE

    def is_large(self, table: TableFacts) -> bool:
        """Whether holding a lock while going through the table is felt."""
        return table.rows > 0 and (table.rows > self.rows or table.size_bytes > self.size_bytes)

    def size_text(self, table: TableFacts) -> str:
        """The size in words."""
        rows = f"more than {self.rows}" if table.rows > self.rows else str(table.rows)
        return f"{rows} rows, {table.size_bytes / _MEGABYTE:.1f} MB"


@dataclass(frozen=True)
class LintBatch:
    """The files that are linted together, in the order in which they apply; ``facts`` is None without a database."""

    files: Sequence[LintFile]
    facts: Facts | None = None
    limits: Limits = field(default_factory=Limits)

    @cached_property
    def created(self) -> frozenset[DatabaseObject]:
        """All that the migrations of the batch create."""
        return frozenset(c.what for s in self.statements() for c in created_by(s))

    def statements(self) -> Iterator[Statement]:
        """The statements of all migrations."""
        for file in self.files:
            yield from file.script.statements

    def all_statements(self) -> Iterator[Statement]:
        """The statements of all migrations, and those of their rollbacks."""
        yield from self.statements()
        for file in self.files:
            if file.rollback:
                yield from file.rollback.statements

    def live(self, table: DatabaseObject) -> TableFacts | None:
        """What the database holds of a table; None when it is unknown or the batch itself makes the table."""
        return self.facts.tables.get(table) if self.facts and table not in self.created else None

    def holds_data(self, what: DatabaseObject) -> bool:
        """Whether the database was seen to hold data in a table, a column or a schema now."""
        if self.facts is None:
            return False
        if what.kind == "schema":
            return bool(self.facts.contained.get(what))
        table = self.facts.tables.get(what.owner or what)
        return table is not None and table.rows > 0 and (what.kind == "table" or what.name in table.filled)


def finding(
    code: str, level: LintLevel, place: Statement | Position, reason: str, fix: str, *, at: Position | None = None
) -> LintFinding:
    """A finding at a statement, or at a place of its own."""
    position = at or (place.position if isinstance(place, Statement) else place)
    return LintFinding(
        code=code,
        level=level,
        file=position.file,
        line=position.line,
        column=position.column,
        statement=shown(place.sql) if isinstance(place, Statement) else "",
        reason=reason,
        fix=fix,
    )
