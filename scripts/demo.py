# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: two Supabase-shaped projects on this machine go through the runbook with the playbooks that users type.

up        migrate development, then production; leave both running
failure   the same with a third migration whose validation fails on production after COMMIT
down      stop the servers and remove their data
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from clone import BIN, CLONE, LOCAL, environment, say, write_private

INVENTORY = CLONE / "inventory" / "demo"
DEMO = LOCAL / "demo"
SERVERS = DEMO / "servers"
RUNS = DEMO / "runs"
URIS = LOCAL / "demo.json"
SERVICES = LOCAL / "demo.pg_service.conf"
EXAMPLE = CLONE / "examples" / "ready_set"
OVERLAY = DEMO / "supabase-with-third-migration"
DEV, PROD = "ready_set_dev", "ready_set_prod"
THIRD = "20251021090000_normalise_contact_numbers"


def main() -> int:
    """Run the step that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["up", "failure", "down"])
    step = parser.parse_args().step
    started = time.monotonic()
    try:
        {"up": up, "failure": failure, "down": down}[step]()
    except DemoFailed as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    print(f"\nTook {time.monotonic() - started:.0f} s.")
    return 0


class DemoFailed(Exception):
    """Something went otherwise than the demo shows."""


def up() -> None:
    """Have both projects at the end of the runbook."""
    prepare()
    for host, group in ((DEV, "dev"), (PROD, "prod")):
        say(f"Migrate {host}: ansible-playbook pgops.supabase.migrate -i inventory/demo -l {group}")
        playbook("playbooks/migrate.yml", "-l", group)
    look_around()


def prepare() -> None:
    """Start the servers and bring them to where the story begins."""
    say("Start two local projects, shaped like Supabase's (playbook local_project)")
    playbook("playbooks/local_project.yml")
    say("Apply the earlier migrations and fill in the rows, where that is not done yet")
    playbook("examples/ready_set/prepare.yml")
    write_connections()


def failure() -> None:
    """A migration that is fine on development and wrong on production's older rows: found after COMMIT, taken back."""
    prepare()
    say("Have the first two migrations on both projects")
    playbook("playbooks/migrate.yml")
    merge_third_migration()
    with_third = json.dumps(
        {
            "project_supabase_dir": str(OVERLAY),
            "project_validations": [
                str(OVERLAY / "VALIDATION_SQL.sql"),
                str(OVERLAY / "validations/CONTACT_NUMBERS.sql"),
            ],
            # The checks run after COMMIT, as they do where they take too long to hold locks for them.
            "migrate_verify_before_commit": False,
            "preflight_waivers": {"git": "the third migration is laid over the example on the spot"},
        }
    )
    before = {"catalog": catalog_hash(PROD), "rows": exact_rows(PROD)}
    say(f"Migrate {DEV} with the third migration, {THIRD}: its rows are all as the migration expects")
    playbook("playbooks/migrate.yml", "-l", "dev", "-e", with_third)
    say(f"Migrate {PROD} with it: older rows there are not, and the validation finds out after COMMIT")
    if playbook("playbooks/migrate.yml", "-l", "prod", "-e", with_third, may_fail=True) == 0:
        raise DemoFailed("the migration of production was meant to fail, and did not")
    after = {"catalog": catalog_hash(PROD), "rows": exact_rows(PROD)}
    say(f"Take it back on {DEV} too, so that both are alike again")
    reason = json.dumps({"rollback_reason": "production's older contact numbers cannot be normalised yet"})
    playbook("playbooks/rollback.yml", "-l", "dev", "-e", with_third, "-e", reason)
    compare(before, after)


def merge_third_migration() -> None:
    """The example's folder with the third migration laid over it, as the branch that adds it would look."""
    shutil.rmtree(OVERLAY, ignore_errors=True)
    shutil.copytree(EXAMPLE / "supabase", OVERLAY)
    shutil.copytree(EXAMPLE / "failing" / "supabase", OVERLAY, dirs_exist_ok=True)


def compare(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Say what pg_dump and psql, which know nothing of us, found on production before and after."""
    say(f"What pg_dump and psql see on {PROD}, before the failed migration and now")
    print(f"  schema, sha256 of pg_dump --schema-only   {before['catalog'][:16]}   {after['catalog'][:16]}")
    for table, rows in before["rows"].items():
        print(f"  rows of {table:<33} {rows:>16}   {after['rows'].get(table, 'gone'):>16}")
    if before != after:
        raise DemoFailed("production is not what it was before the failed migration")
    print(f"\n{PROD} failed, was rolled back by itself, and is exactly what it was: the same schema, the same rows.")
    print(f"The report of the run: {(newest_run(PROD, 'rolled_back') / 'report.md').relative_to(CLONE)}")


def down() -> None:
    """Stop the servers and remove their data; the documents of the runs go too."""
    say("Stop the demo's servers and remove their data")
    if SERVERS.is_dir():
        playbook("playbooks/local_project.yml", "-e", "local_project_state=absent")
    shutil.rmtree(DEMO, ignore_errors=True)
    URIS.unlink(missing_ok=True)
    SERVICES.unlink(missing_ok=True)


def look_around() -> None:
    """Say where everything lies, and how to see for oneself."""
    say("Both projects are migrated, and both servers are running")
    for host in (DEV, PROD):
        print("\n" + "\n".join(in_short(run_that_stands(host))))
    psql = os.path.relpath(Path(project(PROD)["pg_bin"]) / "psql", CLONE)
    print("\nLook around:\n")
    print(f'  psql() {{ PGSERVICEFILE={SERVICES.relative_to(CLONE)} PGSERVICE={PROD} {psql} "$@"; }}')
    for query in (
        "select version, name from supabase_migrations.schema_migrations order by version",
        "select recorded_at, event, version, operator from pgops.ledger order by event_id",
        "select action, count(*) from public.user_audits group by action",
    ):
        print(f'  psql -c "{query}"')
    print("\nThe status at any time:  .venv/bin/ansible-playbook playbooks/status.yml -i inventory/demo")
    print("Stop the servers:        make demo-down")


def playbook(path: str, *arguments: str, may_fail: bool = False) -> int:
    """Run a playbook of ours on the demo's inventory as a user would, with its output as it comes."""
    command = [str(BIN / "ansible-playbook"), "-i", str(INVENTORY), str(CLONE / path), *arguments]
    code = subprocess.run(command, cwd=CLONE, env=environment(), check=False).returncode
    if code and not may_fail:
        raise DemoFailed(f"{path} {' '.join(arguments[:2])} failed; what it says is above")
    return code


def project(host: str) -> dict[str, Any]:
    """What the playbook local_project wrote of a project; its owner only can read it."""
    document: dict[str, Any] = json.loads((SERVERS / host / "project.json").read_text())
    return document


def write_connections() -> None:
    """Write how to connect, passwords included, for the owner of the clone only: as URIs, and for psql as services."""
    uris, services = {}, []
    for host in (DEV, PROD):
        settings = libpq_settings(host)
        user, password = settings["user"], quote(settings["password"], safe="")
        uris[host] = f"postgresql://{user}:{password}@{settings['host']}:{settings['port']}/{settings['dbname']}"
        services += [f"[{host}]", *(f"{name}={value}" for name, value in settings.items()), ""]
    write_private(URIS, json.dumps(uris, indent=2) + "\n")
    write_private(SERVICES, "\n".join(services))


def libpq_settings(host: str) -> dict[str, str]:
    """How libpq connects to a project."""
    found = project(host)
    return {
        "host": found["host"],
        "port": str(found["port"]),
        "user": found["user"],
        "password": found["passwords"][found["user"]],
        "dbname": found["database"],
    }


def client(host: str, program: str, *arguments: str) -> str:
    """The output of psql or pg_dump, connected to a project."""
    connection = {"PGSERVICEFILE": str(SERVICES), "PGSERVICE": host}
    command = [str(Path(project(host)["pg_bin"]) / program), *arguments]
    return subprocess.run(command, env={**os.environ, **connection}, check=True, capture_output=True, text=True).stdout


def catalog_hash(host: str) -> str:
    """The schema as pg_dump writes it, less the key of \\restrict, which differs each time."""
    dump = client(host, "pg_dump", "--schema-only", "--exclude-schema=pgops")
    lines = [line for line in dump.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def exact_rows(host: str) -> dict[str, int]:
    """The rows of every table in public, counted by psql."""
    query = (
        "select c.relname, (xpath('/row/c/text()', query_to_xml(format('select count(*) as c from %I.%I', n.nspname, "
        "c.relname), false, true, '')))[1]::text from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = 'public' and c.relkind = 'r' order by 1"
    )
    lines = client(host, "psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", query).splitlines()
    return {f"public.{table}": int(rows) for table, rows in (line.split("|") for line in lines)}


def newest_run(host: str, verdict: str) -> Path:
    """The directory of the project's last run that ended so."""
    ended = [run for run in sorted((RUNS / host).glob("*/run.json")) if read(run)["verdict"] == verdict]
    if not ended:
        raise DemoFailed(f"no run of {host} ended as {verdict}; the runs are in {(RUNS / host).relative_to(CLONE)}")
    return ended[-1].parent


def run_that_stands(host: str) -> Path:
    """The last run of a project whose migrations are still applied: one that was taken back later is history."""
    query = "select version from supabase_migrations.schema_migrations"
    applied = set(client(host, "psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", query).split())
    for run in sorted((RUNS / host).glob("*/migration.json"), reverse=True):
        if {done["version"] for done in read(run)["migrations"]} <= applied and read(run)["committed"]:
            return run.parent
    raise DemoFailed(f"no run of {host} stands; the runs are in {(RUNS / host).relative_to(CLONE)}")


def in_short(run: Path) -> list[str]:
    """A run in six lines, from its documents."""
    record, manifest, migration = (read(run / name) for name in ("run.json", "backup/manifest.json", "migration.json"))
    before, after, checks = (
        read(run / f"{name}.json") for name in ("counts-before", "counts-after", "validation-after")
    )
    rows_before = {(count["schema"], count["table"]): count["rows"] for count in before["tables"]}
    rows_after = {(count["schema"], count["table"]): count["rows"] for count in after["tables"]}
    kept = sum(rows_after.get(table) == rows for table, rows in rows_before.items())
    new = [f"{schema}.{table}" for schema, table in rows_after if (schema, table) not in rows_before]
    return [
        f"{record['project']}: {record['verdict']} in {record['duration_seconds']:.1f} s, of which {migration['duration_seconds']:.2f} s "
        f"to apply, check and commit",
        f"  migrations  {', '.join(done['version'] + '_' + done['name'] for done in migration['migrations'])}",
        f"  backup      {manifest['total_bytes'] / 1e6:.1f} MB of {manifest['counts']['total']} rows, counted in the dump's own snapshot; "
        f"read back whole ({manifest['verification']['entries']} entries)",
        f"  rows        {before['total']} before, {after['total']} after; {kept} of {len(rows_before)} tables equal; "
        f"new: {', '.join(new) or 'none'}",
        f"  checks      {checks['passed']} passed, {checks['failed']} failed, {checks['warnings']} warnings, {checks['skipped']} skipped, "
        f"before COMMIT and after it",
        f"  report      {(run / 'report.md').relative_to(CLONE)}",
    ]


def read(path: Path) -> Any:
    """A document of a run."""
    return json.loads(path.read_text())


if __name__ == "__main__":
    sys.exit(main())
