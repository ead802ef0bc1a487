# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backing up a large database: ours with its counts, hashes and full read, beside what only dumps."""

from __future__ import annotations

import dataclasses
import shutil

from bench.measure import Contender, Sample, compare, run_measured, size_of
from bench.server import Bench

ROWS_PER_GIGABYTE = 5_700_000
TABLES = 8
DATABASE = "large"


def fill(bench: Bench, gigabytes: float) -> None:
    """Have a database of about this size, of tables with a key, an index and text that compresses as text does."""
    bench.new_database(DATABASE)
    rows = int(gigabytes * ROWS_PER_GIGABYTE / TABLES)
    for number in range(TABLES):
        bench.statement(
            DATABASE,
            f"create table public.large_{number} (id bigint primary key, client int not null, amount numeric(12, 2), note text, "
            "at timestamptz not null default now())",
        )
        bench.statement(
            DATABASE,
            f"insert into public.large_{number} (id, client, amount, note) select i, i % 10007, (i % 100003) / 7.0, "
            f"'order ' || i || ' of ' || md5((i / 3)::text) || ' and ' || repeat('word ', i % 13) from generate_series(1, {rows}) i",
        )
        bench.statement(DATABASE, f"create index on public.large_{number} (client)")
    bench.statement(DATABASE, "vacuum analyze")


def measure(bench: Bench, *, rounds: int) -> None:
    """Each contender backs the same database up; ours reads its archive back whole before it calls itself done."""

    def ours(backup_format: str) -> Sample:
        target = bench.emptied("ours")
        sample = bench.module(
            "backup", database=DATABASE, project="bench", path=str(target), format=backup_format, jobs=2
        )
        return dataclasses.replace(sample, size_bytes=size_of(target))

    def pg_dump(*options: str) -> Sample:
        target = bench.emptied("dump")
        sample = run_measured([bench.program("pg_dump"), *options, "-f", target], bench.environment(DATABASE))
        return dataclasses.replace(sample, size_bytes=size_of(target))

    def three_passes() -> Sample:
        """What C(supabase db dump) runs in its container: roles, schema, data, each in a snapshot of its own."""
        roles, schema, data = (bench.emptied(name) for name in ("roles.sql", "schema.sql", "data.sql"))
        environment = bench.environment(DATABASE)
        samples = [
            run_measured(
                [bench.program("pg_dumpall"), "--roles-only", "--no-role-passwords", "-f", roles], environment
            ),
            run_measured([bench.program("pg_dump"), "--schema-only", "-f", schema], environment),
            run_measured([bench.program("pg_dump"), "--data-only", "-f", data], environment),
        ]
        return Sample(
            sum(sample.seconds for sample in samples),
            max(sample.peak_bytes for sample in samples),
            sum(map(size_of, (roles, schema, data))),
        )

    gigabytes = (
        int(str(bench.answer("select pg_catalog.pg_database_size(current_database())", database=DATABASE))) / 1e9
    )
    compare(
        f"Back up {gigabytes:.2f} GB",
        [
            Contender("pgops.supabase.backup, directory, verified", lambda: ours("directory")),
            Contender("pgops.supabase.backup, custom, verified", lambda: ours("custom")),
            # The very same options as ours.
            Contender("pg_dump -Fd -j2 -Z zstd:1", lambda: pg_dump("-Fd", "-j2", "-Z", "zstd:1")),
            Contender("pg_dump -Fc -Z zstd:1", lambda: pg_dump("-Fc", "-Z", "zstd:1")),
            Contender("pg_dump -Fd -j2 -Z zstd", lambda: pg_dump("-Fd", "-j2", "-Z", "zstd")),
            Contender("pg_dump -Fd -j2 (gzip)", lambda: pg_dump("-Fd", "-j2")),
            Contender("pg_dump -Fc -Z zstd", lambda: pg_dump("-Fc", "-Z", "zstd")),
            Contender("pg_dump -Fc (gzip)", lambda: pg_dump("-Fc")),
            Contender("pg_dump, plain", lambda: pg_dump("-Fp")),
            Contender("roles, schema and data in three passes", three_passes),
        ],
        base="pg_dump -Fd -j2 -Z zstd:1",
        rounds=rounds,
    )
    shutil.rmtree(bench.emptied("dump"), ignore_errors=True)
