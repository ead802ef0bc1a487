# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is applied while faults are made: one migration applied before, three pending ones, and checks before COMMIT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.integration.application import TABLES

BEFORE = "20260101000000_before"
FIRST, SECOND, THIRD = "20260102000000_first", "20260103000000_second", "20260104000000_third"

VALIDATION = "select case when count(*) = 3 then 'PASS: clients' else 'FAIL: clients' end from public.clients;\n"

_BEFORE_SQL = "create table public.settings (name text primary key, value text);\n"
_FIRST_SQL = """
create table public.invoices (id int primary key, client int not null references public.clients (id));
insert into public.invoices select i, i % 3 + 1 from generate_series(1, 50) i;
"""
_SECOND_SQL = """
alter table public.orders add column note text not null default '';
update public.orders set note = 'order ' || id;
create index orders_note_idx on public.orders (note);
"""
_THIRD_SQL = """
alter table public.invoices enable row level security;
create policy invoices_are_read on public.invoices for select to authenticated using (true);
"""
_OUTSIDE_SQL = """
set search_path = public, extensions;
update orders set client = 1 where id = 1;
create index concurrently orders_client_idx on orders (client);
update settings set value = value || '.' where name = 'steps';
vacuum orders;
drop index concurrently settings_value_idx;
"""


@dataclass(frozen=True)
class Subject:
    """What is applied in one scope. ``states`` is through how many committed states an undisturbed run goes."""

    name: str
    transaction_scope: str
    files: Mapping[str, str]
    states: int
    start: str = TABLES

    def write(self, directory: Path) -> None:
        """Write the migrations and the validation script."""
        (directory / "migrations").mkdir(parents=True)
        for name, content in {BEFORE: _BEFORE_SQL, **self.files}.items():
            (directory / "migrations" / f"{name}.sql").write_text(content.lstrip(), encoding="utf-8")
        (directory / "VALIDATION_SQL.sql").write_text(VALIDATION, encoding="utf-8")


_FILES = {FIRST: _FIRST_SQL, SECOND: _SECOND_SQL, THIRD: _THIRD_SQL}
_STEPS = (
    "-- pgops: rows public.settings +1\n"
    "insert into public.settings values ('steps', '');\n"
    "create index settings_value_idx on public.settings (value);\n"
)

SUBJECTS: Sequence[Subject] = (
    # All or nothing.
    Subject("batch", "batch", _FILES, states=2),
    # Each file.
    Subject("file", "file", _FILES, states=4),
    # The first file; the log, with the catalog from before; of each of the three statements in a transaction, its end; of each of
    # the three outside, that it begins, what it did (a VACUUM changes nothing), and its end; the records; the last file.
    Subject("outside", "batch", {FIRST: _FIRST_SQL + _STEPS, SECOND: _OUTSIDE_SQL, THIRD: _THIRD_SQL}, states=15),
)
