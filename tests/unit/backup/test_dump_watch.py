# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pg_dump's words say of how far it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.backup.dump_watch import DumpWatch

SIZES = {("public", "big"): 900, ("public", 'od"d name'): 90, ("auth", "big"): 10}


def watch(tmp_path: Path, *, parallel: bool, heard: list[dict[str, Any]] | None = None) -> DumpWatch:
    reports = heard if heard is not None else []
    return DumpWatch(SIZES, tmp_path / "none", parallel=parallel, report=lambda **figures: reports.append(figures))


def progress(watched: DumpWatch) -> tuple[int, int, list[str]]:
    figures = watched.figures()
    assert (figures["tables_total"], figures["bytes_total"]) == (3, 1000)
    return figures["tables_done"], figures["bytes_done"], figures["tables_running"]


def test_with_several_connections_a_table_is_done_when_it_is_said_to_be(tmp_path: Path) -> None:
    watched = watch(tmp_path, parallel=True)
    assert watched.takes('pg_dump: dumping contents of table "public.big"')
    assert watched.takes('pg_dump: dumping contents of table "public.od"d name"')
    assert progress(watched) == (0, 0, ["public.big", 'public.od"d name'])
    assert watched.takes('pg_dump: finished item 4711 TABLE DATA od"d name')
    assert progress(watched) == (1, 90, ["public.big"])
    assert watched.takes("pg_dump: finished item 4712 TABLE DATA big")
    assert watched.takes('pg_dump: dumping contents of table "auth.big"')
    assert progress(watched) == (2, 990, ["auth.big"])
    watched.finished()
    assert progress(watched) == (3, 1000, [])


def test_with_one_connection_a_table_is_done_when_the_next_begins(tmp_path: Path) -> None:
    watched = watch(tmp_path, parallel=False)
    assert watched.takes('pg_dump: dumping contents of table "auth.big"')
    assert progress(watched) == (0, 0, ["auth.big"])
    assert watched.takes('pg_dump: dumping contents of table "public.big"')
    assert progress(watched) == (1, 10, ["public.big"])


def test_a_table_nobody_counted_does_not_count(tmp_path: Path) -> None:
    watched = watch(tmp_path, parallel=False)
    assert watched.takes('pg_dump: dumping contents of table "extensions.config"')
    assert watched.takes('pg_dump: dumping contents of table "public.big"')
    assert progress(watched) == (0, 0, ["public.big"])


@pytest.mark.parametrize(
    "line",
    [
        'pg_dump: error: query failed: ERROR:  permission denied for table "x"',
        "pg_dump: warning: there are circular foreign-key constraints",
        "pg_dump: detail: Query was: LOCK TABLE public.x IN ACCESS SHARE MODE",
        "pg_dump: hint: Consider",
        "        DETAIL: something",
    ],
)
def test_a_complaint_is_left_to_be_shown(tmp_path: Path, line: str) -> None:
    assert not watch(tmp_path, parallel=True).takes(line)


def test_it_reports_about_twice_a_second_and_not_more(tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    watched = watch(tmp_path, parallel=True, heard=heard)
    for dummy in range(1000):
        watched.tick()
    assert len(heard) == 1
