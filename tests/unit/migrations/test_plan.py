# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How pending migrations are cut into transactions, and which locks their text tells of."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.migrations.batches import (
    Batch,
    PendingMigration,
    cut_batches,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import MigrationFile
from ansible_collections.pgops.supabase.plugins.module_utils.sql.locks import (
    entries_in_the_lock_table,
    expected_locks,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.runnable import runnable
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import parse_script

TABLE = "create table t (id int primary key, name text unique);"
CONCURRENTLY = "create index concurrently i on t (a);"


def pending(*texts: str) -> list[PendingMigration]:
    """Migrations with these texts, of the versions 1, 2, 3 ..."""
    return [
        PendingMigration(
            MigrationFile(str(number), "m", Path(f"{number}_m.sql"), "hash", None),
            runnable(parse_script(f"{number}_m.sql", text), outside_transaction=True),
        )
        for number, text in enumerate(texts, 1)
    ]


def cut(items: list[PendingMigration], scope: str = "batch", *, capacity: int = 1000) -> list[str]:
    """The versions of each transaction; a star marks a file that runs outside of any."""
    batches: list[Batch] = cut_batches(items, "file" if scope == "file" else "batch", lock_capacity=capacity)
    return [" ".join(batch.versions) + ("*" if batch.outside_transaction else "") for batch in batches]


def test_all_files_are_one_transaction() -> None:
    assert cut(pending(TABLE, TABLE, TABLE)) == ["1 2 3"]
    assert cut([]) == []


def test_each_file_is_one_when_asked_for() -> None:
    assert cut(pending(TABLE, CONCURRENTLY, TABLE), "file") == ["1", "2*", "3"]


@pytest.mark.parametrize(
    ("texts", "batches"),
    [
        ((TABLE, CONCURRENTLY, TABLE, TABLE), ["1", "2*", "3 4"]),
        ((CONCURRENTLY, CONCURRENTLY), ["1*", "2*"]),
        ((TABLE, TABLE, CONCURRENTLY), ["1 2", "3*"]),
    ],
)
def test_a_file_that_cannot_be_in_a_transaction_stands_alone(texts: tuple[str, ...], batches: list[str]) -> None:
    assert cut(pending(*texts)) == batches


def test_what_would_outgrow_the_lock_table_is_cut_between_files() -> None:
    assert entries_in_the_lock_table(pending(TABLE)[0].script.script) == 7
    assert cut(pending(*[TABLE] * 5), capacity=14) == ["1 2", "3 4", "5"]
    assert cut(pending(TABLE + TABLE + TABLE, TABLE), capacity=14) == ["1", "2"]


@pytest.mark.parametrize(
    ("sql", "locks"),
    [
        ("alter table public.t add column a int", ["public.t AccessExclusiveLock"]),
        ("alter table t validate constraint c", ["t ShareUpdateExclusiveLock"]),
        ("alter table t validate constraint c, alter column a type text", ["t AccessExclusiveLock"]),
        (
            "alter table t add foreign key (a) references s.u (id)",
            ["s.u ShareRowExclusiveLock", "t ShareRowExclusiveLock"],
        ),
        ("create table n (a int references u (id))", ["u ShareRowExclusiveLock"]),
        ("create index i on t (a)", ["t ShareLock"]),
        (CONCURRENTLY, ["t ShareUpdateExclusiveLock"]),
        ("drop table a, s.b", ["a AccessExclusiveLock", "s.b AccessExclusiveLock"]),
        ("drop trigger g on s.t", ["s.t AccessExclusiveLock"]),
        ("create policy p on t", ["t AccessExclusiveLock"]),
        ("create trigger g before insert on t for each row execute function f()", ["t ShareRowExclusiveLock"]),
        ("truncate a, b", ["a AccessExclusiveLock", "b AccessExclusiveLock"]),
        ("update t set a = 1; update t set a = 2", ["t RowExclusiveLock"]),
        ("refresh materialized view concurrently v", ["v ExclusiveLock"]),
        ("do $$ begin null; end $$", ["whatever a DO block touches known when it runs"]),
        ("create table n (a int)", []),
        ("select 1; comment on schema s is 'x'", []),
    ],
)
def test_the_text_tells_of_the_locks(sql: str, locks: list[str]) -> None:
    assert [f"{lock.relation} {lock.mode}" for lock in expected_locks(parse_script("f.sql", sql))] == locks
