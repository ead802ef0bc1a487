# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The psql script that brings exported data back, once what held it is there again. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.archive.encryption import SUFFIX
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.identifiers import always_quoted, literal
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import Table

SCRIPT_NAME = "bring-back.sql"
_IDENTITY = "AGE_IDENTITY=<file> "
_ENCRYPTED = (
    "-- The files are encrypted. AGE_IDENTITY is the file with a private key of age that fits; to read one by hand:",
    "-- age --decrypt --identity=<file> <name>.csv.age",
)
_TRIGGERS_OFF = (
    "-- These rows had their effect when they were first written: no trigger of the tables fires again. Nobody else sees them off.",
    "create temporary table pgops_triggers on commit drop as",
    "with recursive held(relid) as (",
    "    select pg_catalog.unnest(array[{tables}])::pg_catalog.oid",
    "    union select i.inhrelid from pg_catalog.pg_inherits i join held on i.inhparent = held.relid)",
    "select t.tgrelid, t.tgname, t.tgenabled, pg_catalog.pg_has_role(c.relowner, 'usage') as owned",
    "from pg_catalog.pg_trigger t join held on held.relid = t.tgrelid join pg_catalog.pg_class c on c.oid = t.tgrelid",
    "where not t.tgisinternal and t.tgenabled in ('O', 'A');",
    """do $$
declare t record;
begin
    for t in select * from pg_temp.pgops_triggers loop
        if t.owned then
            execute pg_catalog.format('alter table only %s disable trigger %I', t.tgrelid::pg_catalog.regclass, t.tgname);
        else
            raise warning 'trigger % on % fires: its table is another role''s', t.tgname, t.tgrelid::pg_catalog.regclass;
        end if;
    end loop;
end $$;""",
)
_TRIGGERS_ON = """-- What is checked at the end is checked now: a table with checks to come cannot be altered.
set constraints all immediate;
do $$
declare t record;
begin
    for t in select * from pg_temp.pgops_triggers where owned loop
        execute pg_catalog.format('alter table only %s enable %s trigger %I', t.tgrelid::pg_catalog.regclass,
            case t.tgenabled when 'A' then 'always' else '' end, t.tgname);
    end loop;
end $$;"""


@dataclass(frozen=True)
class ExportedFile:
    """One CSV file and what is in it.

    :param columns: those that come back.
    :param parts_by: the columns that find a row when only ``columns`` of it were exported; empty for whole rows.
    :param rows_by: the primary key of whole rows of a table that was not dropped: some of them may be there again.
    """

    path: Path
    schema: str
    table: str
    columns: tuple[str, ...]
    parts_by: tuple[str, ...] = ()
    rows_by: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """What C(\\copy) reads: the file, or what age decrypts it to, without a copy in the clear."""
        if self.path.suffix != SUFFIX:
            return literal(str(self.path))
        command = f'age --decrypt --identity="$AGE_IDENTITY" {shlex.quote(str(self.path))}'
        return f"program {literal(command)}"


@dataclass(frozen=True)
class SequenceValue:
    """Where a sequence stood: the last value it gave, or, not called yet, the first one that it will give."""

    schema: str
    sequence: str
    last: int
    called: bool
    ascending: bool


def bring_back_script(
    files: Sequence[ExportedFile],
    references: Collection[tuple[Table, Table]],
    sequences: Sequence[SequenceValue] = (),
) -> str:
    """One transaction for C(psql -f): rows of tables first, those that others refer to before them, then columns.

    :param references: foreign keys among the tables, as referring and referred table.
    :param sequences: are set on to where they stood, and never back.
    """
    whole = _referred_first([file for file in files if not file.parts_by], references)
    parts = [file for file in files if file.parts_by]
    encrypted = any(file.path.suffix == SUFFIX for file in files)
    lines = [
        "-- Brings back the rows and columns that a rollback exported before it deleted them or dropped what held them.",
        f"-- Apply the migrations again, then: {_IDENTITY if encrypted else ''}psql -d <connection> -f {SCRIPT_NAME}",
        *(_ENCRYPTED if encrypted else ()),
        "\\set ON_ERROR_STOP on",
        "begin;",
        *_triggers_off(files),
    ]
    for number, file in enumerate(whole):
        columns = ", ".join(map(always_quoted, file.columns))
        if file.rows_by:
            lines += _rows_again(file, f"pgops_deleted_{number}", columns)
        else:
            lines.append(f"\\copy {_table(file)} ({columns}) from {file.source} with (format csv, header)")
    for number, file in enumerate(parts):
        held = f"pgops_exported_{number}"
        columns = ", ".join(map(always_quoted, (*file.parts_by, *file.columns)))
        changes = ", ".join(f"{always_quoted(column)} = held.{always_quoted(column)}" for column in file.columns)
        same = " and ".join(
            f"there.{always_quoted(column)} is not distinct from held.{always_quoted(column)}"
            for column in file.parts_by
        )
        lines += [
            f"create temporary table {held} on commit drop as select {columns} from {_table(file)} with no data;",
            f"\\copy {held} from {file.source} with (format csv, header)",
            f"update {_table(file)} as there set {changes} from {held} as held where {same};",
        ]
    lines += [_set_on(sequence) for sequence in sequences]
    return "\n".join([*lines, _TRIGGERS_ON, "commit;", ""])


def _triggers_off(files: Sequence[ExportedFile]) -> list[str]:
    """Set off the triggers of the tables and of what inherits from them, and remember which fire and how.

    Those that a session of an application fires are C(O) and C(A) (PostgreSQL, "pg_trigger": C(tgenabled)). Only a table's owner may
    set them off; foreign keys are checked all the same, which a session_replication_role would not do.
    """
    tables = ", ".join(f"{literal(name)}::pg_catalog.regclass" for name in dict.fromkeys(map(_table, files)))
    return [line.replace("{tables}", tables) for line in _TRIGGERS_OFF]


def _rows_again(file: ExportedFile, held: str, columns: str) -> list[str]:
    """Rows that the migrations may have written again get back what was in them when they were deleted."""
    others = [always_quoted(column) for column in file.columns if column not in file.rows_by]
    changes = (
        f"do update set {', '.join(f'{column} = excluded.{column}' for column in others)}" if others else "do nothing"
    )
    return [
        f"create temporary table {held} on commit drop as select {columns} from {_table(file)} with no data;",
        f"\\copy {held} from {file.source} with (format csv, header)",
        f"insert into {_table(file)} ({columns}) overriding system value select {columns} from {held} "
        f"on conflict ({', '.join(map(always_quoted, file.rows_by))}) {changes};",
    ]


def _set_on(sequence: SequenceValue) -> str:
    name = f"{always_quoted(sequence.schema)}.{always_quoted(sequence.sequence)}"
    called, sign = str(sequence.called).lower(), "" if sequence.ascending else "-"
    return (
        f"select pg_catalog.setval({literal(name)}, {sequence.last}, {called}) from {name} "
        f"where ({sign}last_value, is_called) < ({sign}({sequence.last}), {called});"
    )


def _referred_first(
    files: Sequence[ExportedFile], references: Collection[tuple[Table, Table]]
) -> Sequence[ExportedFile]:
    by_table = {(file.schema, file.table): file for file in files}
    graph: TopologicalSorter[Table] = TopologicalSorter({table: () for table in by_table})
    for referring, referred in references:
        if referring in by_table and referred in by_table and referring != referred:
            graph.add(referring, referred)
    try:
        return [by_table[table] for table in graph.static_order()]
    except CycleError:
        # Tables that refer to each other have no order; where their keys are not deferrable a person has to load them.
        return files


def _table(file: ExportedFile) -> str:
    return f"{always_quoted(file.schema)}.{always_quoted(file.table)}"
