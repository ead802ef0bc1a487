# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring a large backup into an empty database: ours with its proof before COMMIT, beside pg_restore in one transaction."""

from __future__ import annotations

from bench.backup import DATABASE, TABLES
from bench.measure import Contender, Sample, compare, run_measured
from bench.server import Bench

TARGET = "restored"


def measure(bench: Bench, *, rounds: int) -> None:
    """Both restore the same archive; at the end the tables have to hold the same number of rows as those that were backed up."""
    backup = bench.emptied("backup")
    bench.module("backup", database=DATABASE, project="bench", path=str(backup), format="directory", jobs=2)

    def ours() -> Sample:
        aside = bench.emptied("aside")
        arguments = {
            "project": "bench",
            "backup": str(backup),
            "aside": str(aside),
            "elsewhere": True,
            "analyze": False,
        }
        return bench.module("restore", database=TARGET, **arguments)

    def pg_restore() -> Sample:
        # What a project has from the start is in the archive too, and some of it only a superuser may restore: without privileges.
        only = ("--schema", "public", "--no-privileges")
        transaction = (bench.program("pg_restore"), "--single-transaction", *only, "-d", TARGET, backup / "database")
        return run_measured(transaction, bench.environment(TARGET))

    def prepare() -> None:
        bench.new_database(TARGET)

    def check() -> None:
        rows = " + ".join(f"(select count(*) from public.large_{number})" for number in range(TABLES))
        count = f"select {rows}"
        found, expected = (bench.answer(count, database=name) for name in (TARGET, DATABASE))
        if found != expected:
            raise SystemExit(f"{found} rows were restored of {expected}")

    compare(
        "Restore",
        [
            Contender("pgops.supabase.restore, proven before COMMIT", ours, prepare, check),
            Contender("pg_restore --single-transaction", pg_restore, prepare, check),
        ],
        base="pg_restore --single-transaction",
        rounds=rounds,
    )
