# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which locks a statement is expected to take, by its text alone."""

from __future__ import annotations

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.sql.locks import expected_locks
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import parse_script


@pytest.mark.parametrize(
    ("statement", "relation", "mode"),
    [
        ("create index on s.t (a)", "s.t", "ShareLock"),
        ("create index concurrently on t (a)", "t", "ShareUpdateExclusiveLock"),
        ("create trigger g before insert on t for each row execute function f()", "t", "ShareRowExclusiveLock"),
        ("create policy p on t", "t", "AccessExclusiveLock"),
        ("alter policy p on t using (true)", "t", "AccessExclusiveLock"),
        ("alter table t rename column a to b", "t", "AccessExclusiveLock"),
        ("create rule r as on insert to t do nothing", "t", "AccessExclusiveLock"),
        ("create or replace view s.v as select 1", "s.v", "AccessExclusiveLock"),
        ("insert into t values (1)", "t", "RowExclusiveLock"),
        ("update t set a = 1", "t", "RowExclusiveLock"),
        ("delete from t", "t", "RowExclusiveLock"),
        ("merge into t using u on t.a = u.a when matched then delete", "t", "RowExclusiveLock"),
        ("reindex table s.t", "s.t", "ShareLock"),
        ("reindex index i", "i", "AccessExclusiveLock"),
        ("reindex table concurrently t", "t", "ShareUpdateExclusiveLock"),
        ("reindex schema s", "one after the other, the indexes of s", "AccessExclusiveLock"),
        ("cluster t using i", "t", "AccessExclusiveLock"),
        ("cluster", "one after the other, all tables that were clustered before", "AccessExclusiveLock"),
        ("vacuum s.t", "s.t", "ShareUpdateExclusiveLock"),
        ("vacuum (full) t", "t", "AccessExclusiveLock"),
        ("alter table t set schema s", "t", "AccessExclusiveLock"),
        ("create table c partition of t for values in (1)", "t", "AccessExclusiveLock"),
        ("create table c () inherits (t)", "t", "ShareUpdateExclusiveLock"),
        ("copy t from '/tmp/t.csv'", "t", "RowExclusiveLock"),
    ],
)
def test_a_statement_locks_the_relation_that_it_names(statement: str, relation: str, mode: str) -> None:
    (lock,) = expected_locks(parse_script("m.sql", statement))
    assert (lock.relation, lock.mode) == (relation, mode)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "alter table t add column u uuid references auth.users",
            {("auth.users", "ShareRowExclusiveLock"), ("t", "AccessExclusiveLock")},
        ),
        (
            "alter table t detach partition p",
            {("p", "AccessExclusiveLock"), ("t", "AccessExclusiveLock")},
        ),
        (
            "alter table t detach partition p concurrently",
            {("p", "ShareUpdateExclusiveLock"), ("t", "ShareUpdateExclusiveLock")},
        ),
        (
            "alter table t attach partition p for values in (1)",
            {("p", "AccessExclusiveLock"), ("t", "ShareUpdateExclusiveLock")},
        ),
    ],
)
def test_a_change_of_one_table_locks_the_other(statement: str, expected: set[tuple[str, str]]) -> None:
    assert {(lock.relation, lock.mode) for lock in expected_locks(parse_script("m.sql", statement))} == expected
