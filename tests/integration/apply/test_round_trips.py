# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often an apply asks the server: over a network that is what a run with many files takes its time for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.apply.job import apply
from ansible_collections.pgops.supabase.plugins.module_utils.apply.options import ApplyOptions
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import list_history, read_ledger
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import SessionSettings, session
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.choice import choose_versions
from tests.faults.proxy import Moment, Phase, Proxy, Then
from tests.integration.live import LiveProject, NewProject

STATEMENTS = 2
# The end of a file: whether it is still the same transaction; then the reset, with its row in the history.
AT_ITS_END = 2


@pytest.fixture
def proxy(project: LiveProject) -> Iterator[Proxy]:
    """A proxy in front of the server, which numbers what it is asked."""
    proxy = Proxy(project.server.port)
    yield proxy
    proxy.close()


def questions_of(proxy: Proxy, project: LiveProject, supabase: Path) -> int:
    """How many questions an apply of what is pending asks."""
    asked: list[int] = []

    def count(moment: Moment) -> Then | None:
        if moment.phase is Phase.BEFORE:
            asked.append(moment.question.number)
        return None

    proxy.next_run(count)
    options = replace(project.options, login_host="127.0.0.1", login_port=proxy.port)
    how = ApplyOptions(supabase_dir=supabase, operator="a test", settings=SessionSettings(lock_timeout_ms=5000))
    assert len(apply(options, how).migrations) == len(list((supabase / "migrations").iterdir()))
    return len(asked)


def files(supabase: Path, number: int) -> Path:
    """So many migrations, each with a table and an index."""
    directory = supabase / "migrations"
    directory.mkdir(parents=True)
    for n in range(number):
        table = f"create table public.t{n} (id bigint primary key, name text);"
        (directory / f"{20260101000000 + n}_t{n}.sql").write_text(f"{table}\ncreate index on public.t{n} (name);\n")
    return supabase


def test_a_file_costs_its_statements_and_two_questions(proxy: Proxy, new_project: NewProject, tmp_path: Path) -> None:
    few, many = 60, 100
    less = questions_of(proxy, new_project(), files(tmp_path / "few", few))
    project = new_project()
    more = questions_of(proxy, project, files(tmp_path / "many", many))
    assert more - less == (many - few) * (STATEMENTS + AT_ITS_END)
    assert project.psql("select count(*) from pgops.ledger where event = 'applied'") == str(many)
    # Only the last event names every file of the transaction.
    lengths = "select distinct jsonb_array_length(details -> 'batch') from pgops.ledger order by 1"
    assert project.psql(lengths).split() == ["2", str(many)]


def test_the_last_run_is_known_where_runs_have_no_id(new_project: NewProject, tmp_path: Path) -> None:
    """What the playbook rollback takes back by itself: every file of the last transaction."""
    project, supabase = new_project(), files(tmp_path / "supabase", 60)
    how = ApplyOptions(supabase_dir=supabase, operator="a test", settings=SessionSettings(lock_timeout_ms=5000))
    apply(project.options, how)
    with session(project.options, SessionSettings(read_only=True)) as connection:
        history, ledger = [row.version for row in list_history(connection)], read_ledger(connection)
    chosen = choose_versions(history, ledger, of_run=None, to_version=None)
    assert chosen == sorted(history, reverse=True) and len(chosen) == 60
