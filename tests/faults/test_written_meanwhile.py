# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a database that is written to all the while: what is counted is what is in the archive, to the row."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, session
from tests.faults.kept import FORMATS, Kept
from tests.integration.backups import from_archive, wait_until
from tests.integration.live import LiveProject

WRITERS = 2
TABLES = ("ordered", "billed", "filler")
# Both or neither, and the rows of another table come and go: only one moment of all tables agrees with itself.
WRITE = (
    "with o as (insert into public.ordered (writer) values (%s) returning id) insert into public.billed select id from o",
    "delete from public.filler where i = (select i from public.filler limit 1 for update skip locked)",
    "insert into public.filler select max(i) + 1, gen_random_uuid(), gen_random_uuid() from public.filler",
)
_COPY = re.compile(r"^COPY public\.(\w+) .*?FROM stdin;\n(.*?)^\\\.$", re.MULTILINE | re.DOTALL)


@contextmanager
def writers(project: LiveProject) -> Iterator[list[int]]:
    """Sessions that write, one transaction after the other; the list has an entry for each."""
    done: list[int] = []
    enough = threading.Event()

    def write(number: int) -> None:
        with session(project.options) as connection:
            while not enough.is_set():
                for statement in WRITE:
                    execute(connection, statement, [number] if "%s" in statement else None)
                connection.commit()
                done.append(number)

    threads = [threading.Thread(target=write, args=[number]) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(set(done)) == WRITERS, "the writers do not write")
        yield done
    finally:
        enough.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("archive_format", FORMATS)
def test_the_manifest_counts_what_the_archive_holds(
    kept: Kept, project: LiveProject, archive_format: str, tmp_path: Path
) -> None:
    with kept.applied.database() as source:
        source.psql("create table public.ordered (id serial primary key, writer int)")
        source.psql("create table public.billed (id int primary key references public.ordered)")
        for number in range(2):
            with writers(source) as done:
                before = len(done)
                made = kept.back_up(source, tmp_path / f"{number}", format=archive_format)
                during = len(done) - before
            assert made.get("changed") and during, made
            counted = {c["table"]: c["rows"] for c in made["manifest"]["counts"]["tables"] if c["schema"] == "public"}
            written = from_archive(source, tmp_path / f"{number}", "--data-only", "--schema=public")
            held = {table: rows.count("\n") for table, rows in _COPY.findall(written)}
            assert held == counted
            assert counted["ordered"] == counted["billed"] >= before
            assert counted["filler"] == 4000
        # The last of them, where nothing else is: every row, and the catalog as the manifest has it.
        restored = kept.restore(project, tmp_path / "1", made["manifest"]["backup_id"], tmp_path / "aside")
        assert restored.get("changed"), restored
        assert restored["restore"]["catalog_found"] == made["manifest"]["catalog_fingerprint"]
        for table in TABLES:
            assert project.psql(f"select count(*) from public.{table}") == str(counted[table])
