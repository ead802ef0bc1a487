# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: two Supabase-shaped projects on this machine go through the runbook with the playbooks that users type.

up        migrate development, then production; leave both running
failure   the same with a third migration whose validation fails on production after COMMIT
way-back  take production back, rehearse, migrate again, have an accident, restore the backup
down      stop the servers and remove their data
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import example_api
import example_app
from clone import BIN, CLONE, LOCAL, environment, say, write_private

INVENTORY = CLONE / "inventory" / "demo"
DEMO = LOCAL / "demo"
SERVERS = DEMO / "servers"
RUNS = DEMO / "runs"
URIS = LOCAL / "demo.json"
API = DEMO / "api"
APP = DEMO / "app"
TYPES = DEMO / "types.json"
SERVICES = LOCAL / "demo.pg_service.conf"
PSQL = DEMO / "psql"
EXAMPLE = CLONE / "examples" / "ready_set"
APP_WITH_THIRD = DEMO / "app-with-third-migration"
OVERLAY = APP_WITH_THIRD / "supabase"
DEV, PROD = "ready_set_dev", "ready_set_prod"
THIRD = "20251021090000_normalise_contact_numbers"


def main() -> int:
    """Run the step that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["up", "failure", "way-back", "down"])
    step = parser.parse_args().step
    started = time.monotonic()
    try:
        {"up": up, "failure": failure, "way-back": way_back, "down": down}[step]()
    except DemoFailed as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    if step == "up":
        look_around(time.monotonic() - started)
    else:
        print(f"\nTook {time.monotonic() - started:.0f} s.")
    return 0


class DemoFailed(Exception):
    """Something went otherwise than the demo shows."""


def up() -> None:
    """Have both projects at the end of the runbook."""
    prepare()
    for host, group in ((DEV, "dev"), (PROD, "prod")):
        say(f"Migrate {host}: ansible-playbook pgops.supabase.migrate -l {group}")
        playbook("playbooks/migrate.yml", "-l", group)


def prepare() -> None:
    """Start the servers and bring them to where the story begins."""
    example_app.have(APP, EXAMPLE / "supabase")
    say(f"The example is a git repository of its own in {APP.relative_to(CLONE)}, with a remote beside it")
    if missing := example_app.have_generator(TYPES, LOCAL / "types"):
        say(f"No TypeScript types in this demo: {missing.splitlines()[0]}")
    say("Start two local projects, shaped like Supabase's: ansible-playbook pgops.supabase.local_project")
    playbook("playbooks/local_project.yml")
    for host in (DEV, PROD):
        example_api.start(API / f"{host}.json", SERVERS / host / "project.json")
    say("Apply the earlier migrations and fill in the rows, where that is not done yet")
    playbook("examples/ready_set/prepare.yml")
    write_connections()
    try:
        urls = {host: example_api.wait(API / f"{host}.json") for host in (DEV, PROD)}
    except TimeoutError as error:
        raise DemoFailed(str(error)) from error
    say("The example's HTTP API answers: " + ", ".join(f"{host} {url}" for host, url in urls.items()))


def failure() -> None:
    """A migration that is fine on development and wrong on production's older rows: found after COMMIT, taken back."""
    prepare()
    say("Have the first two migrations on both projects")
    playbook("playbooks/migrate.yml", "-l", "all")
    example_app.branched(APP, APP_WITH_THIRD, "normalised-contact-numbers", EXAMPLE / "failing" / "supabase")
    with_third = json.dumps(
        {
            "project_supabase_dir": str(OVERLAY),
            "project_validations": [
                str(OVERLAY / "VALIDATION_SQL.sql"),
                str(OVERLAY / "validations/CONTACT_NUMBERS.sql"),
            ],
            # The checks run after COMMIT, as they do where they take too long to hold locks for them.
            "migrate_verify_before_commit": False,
            # The branch is tried out, and not published.
            "project_publish": {},
            "project_types": {},
        }
    )
    before = observed(PROD)
    say(f"Migrate {DEV} with the third migration, {THIRD}: its rows are all as the migration expects")
    playbook("playbooks/migrate.yml", "-l", "dev", "-e", with_third)
    say(f"Migrate {PROD} with it: older rows there are not, and the validation finds out after COMMIT")
    if playbook("playbooks/migrate.yml", "-l", "prod", "-e", with_third, may_fail=True) == 0:
        raise DemoFailed("the migration of production was meant to fail, and did not")
    after = observed(PROD)
    say(f"Take it back on {DEV} too, so that both are alike again")
    reason = json.dumps({"rollback_reason": "production's older contact numbers cannot be normalised yet"})
    playbook("playbooks/rollback.yml", "-l", "dev", "-e", with_third, "-e", reason)
    compare("before the failed migration", before, after)
    print(f"\n{PROD} failed, was rolled back by itself, and is exactly what it was: the same schema, the same rows.")
    print(f"The report of the run: {(newest_run(PROD, 'rolled_back') / 'report.html').relative_to(CLONE)}")


def way_back() -> None:
    """Both ways back on production: by the rollback files, and, after an accident that they know nothing of, by the backup."""
    prepare()
    say("Have the migrations on both projects")
    playbook("playbooks/migrate.yml", "-l", "all")
    # Named, because after `make demo-failure` it is not the last one: that was taken back by itself.
    migrated, run = observed(PROD), run_that_stands(PROD)
    words = {"rollback_reason": "the release is postponed", "rollback_of_run": run.name}

    say(f"Take {PROD} back: ansible-playbook pgops.supabase.rollback -l prod -e rollback_reason=...")
    playbook("playbooks/rollback.yml", "-l", "prod", "-e", json.dumps(words))
    taken_back, backed_up = observed(PROD), in_backup(run / "backup")
    compare("in the backup from before the migrations", backed_up, {what: taken_back[what] for what in backed_up})

    say(f"Back up {PROD} as it is now, because a rehearsal takes the newest backup (playbook backup)")
    playbook("playbooks/backup.yml", "-l", "prod")
    say("Rehearse what is pending again, on the restored backup: ansible-playbook pgops.supabase.rehearse -l prod")
    playbook("playbooks/rehearse.yml", "-l", "prod")
    say(f"Migrate {PROD} again")
    playbook("playbooks/migrate.yml", "-l", "prod")
    compare("before the rollback", migrated, observed(PROD))

    say(f"An accident on {PROD}, typed by hand in the wrong window: examples/ready_set/accident.sql")
    client(PROD, "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={EXAMPLE / 'accident.sql'}")
    consent = f"{PROD} {read(run_that_stands(PROD) / 'backup' / 'manifest.json')['backup_id']}"
    words = {"restore_consent": consent, "restore_reason": "somebody worked in the wrong window"}
    say(f"Restore: ansible-playbook pgops.supabase.restore -l prod -e restore_consent='{consent}'")
    playbook("playbooks/restore.yml", "-l", "prod", "-e", json.dumps(words))
    compare("before the migrations and the accident", less_parentheses(taken_back), less_parentheses(observed(PROD)))

    say(f"Migrate {PROD} again, so that the demo is as it was")
    playbook("playbooks/migrate.yml", "-l", "prod")
    compare("before all this", less_parentheses(migrated), less_parentheses(observed(PROD)))
    print(
        f"\n{PROD} was taken back and restored, and was exactly what it was each time: the same schema, the same rows."
    )
    print(f"The report of the restore: {(newest_run(PROD, 'restored') / 'report.html').relative_to(CLONE)}")


def compare(when: str, before: dict[str, str], after: dict[str, str]) -> None:
    """Say what PostgreSQL's own programs, which know nothing of us, found on production then and now."""
    say(f"What pg_dump and psql see on {PROD}, {when} and now")
    for what in before | after:
        then, now = before.get(what, "not there"), after.get(what, "not there")
        print(f"  {what:<41}  {then:>24}  {now:>24}{'' if then == now else '  DIFFERS'}")
    if before != after:
        raise DemoFailed(f"production is not what it was {when}")


def down() -> None:
    """Stop the servers and remove their data; the documents of the runs go too."""
    say("Stop the demo's servers and remove their data")
    for host in (DEV, PROD):
        example_api.stop(API / f"{host}.json")
    if SERVERS.is_dir():
        playbook("playbooks/local_project.yml", "-l", "all", "-e", "local_project_state=absent")
    shutil.rmtree(DEMO, ignore_errors=True)
    URIS.unlink(missing_ok=True)
    SERVICES.unlink(missing_ok=True)


def look_around(seconds: float) -> None:
    """Say where everything lies, and how to see for oneself."""
    say(f"Both projects are migrated, and both servers are running; it took {seconds:.0f} s")
    print("\nLook around:")
    for query in (
        "select version, name from supabase_migrations.schema_migrations order by version",
        "select recorded_at, event, version, operator from pgops.ledger order by event_id",
        "select action, count(*) from public.user_audits group by action",
    ):
        print(f'  {PSQL.relative_to(CLONE)} -c "{query}"')
    print(f"  git -C {APP.relative_to(CLONE)} log --stat")
    print("  .venv/bin/ansible-playbook pgops.supabase.status")
    print("  make demo-down    stops the servers and removes their data")
    print("\nThe reports of the two runs, for a browser:")
    for host in (DEV, PROD):
        print(f"  {(run_that_stands(host) / 'report.html').relative_to(CLONE)}")


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
    psql = shlex.quote(str(Path(project(PROD)["pg_bin"]) / "psql"))
    write_private(PSQL, f'#!/bin/sh\nPGSERVICEFILE={shlex.quote(str(SERVICES))} PGSERVICE={PROD} exec {psql} "$@"\n')
    PSQL.chmod(0o700)


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


def observed(host: str) -> dict[str, str]:
    """The schema as pg_dump writes it, and of each table in public how many rows psql counts and a digest of what they hold."""
    every_schema = client(host, "pg_dump", "--schema-only", "--exclude-schema=pgops")
    archive = DEMO / "observed.dump"
    client(host, "pg_dump", "--format=custom", "--schema=public", f"--file={archive}")
    words = every_schema.replace("(", "").replace(")", "")
    return {
        "all schemas": schema_digest(every_schema),
        "all schemas, less parentheses": schema_digest(words),
        **in_archive(archive, exact_rows(host)),
    }


def less_parentheses(seen: dict[str, str]) -> dict[str, str]:
    """What a restore leaves alike: PostgreSQL sets those of a condition of several ANDs anew when it reads it again."""
    return {what: value for what, value in seen.items() if what not in ("all schemas", "schema public")}


def in_backup(backup: Path) -> dict[str, str]:
    """The same of the schema public in a backup; the numbers of rows are those of its manifest."""
    counts = read(backup / "manifest.json")["counts"]["tables"]
    rows = {f"public.{count['table']}": count["rows"] for count in counts if count["schema"] == "public"}
    return in_archive(backup / "database", rows)


def in_archive(archive: Path, rows: dict[str, int]) -> dict[str, str]:
    """Digests of the schema public and of each table's rows as pg_restore writes them, the rows in whatever order they lie."""
    pg_restore = str(Path(project(PROD)["pg_bin"]) / "pg_restore")
    written = subprocess.run(
        [pg_restore, "--schema=public", "--file=-", str(archive)], check=True, capture_output=True, text=True
    ).stdout
    schema, *copied = re.split(r"^COPY ", written, flags=re.MULTILINE)
    contents = {}
    for table in copied:
        data, schema_after = table.split("\n\\.\n", 1)
        heading, *lines = data.split("\n")
        contents[heading.split(" ")[0]] = digest(sorted(lines))
        schema += schema_after
    tables = {f"rows of {table}": f"{number} {contents[table]}" for table, number in rows.items()}
    return {"schema public": schema_digest(schema), **tables}


def schema_digest(dump: str) -> str:
    """A digest of a dumped schema, less the key of \\restrict, which differs each time."""
    return digest(line for line in dump.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def digest(lines: Iterable[str]) -> str:
    """The beginning of the lines' SHA-256."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


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


def read(path: Path) -> Any:
    """A document of a run."""
    return json.loads(path.read_text())


if __name__ == "__main__":
    sys.exit(main())
