# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A team used the Supabase CLI until today: one module takes over what it applied, or refuses and changes nothing."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.application import Application
from tests.integration.live import CLONE, LiveProject, NewProject, module_environment, run_module
from tests.integration.supabase_cli import SupabaseCli

NOTES, LABELS, LATER = "20260101000000_notes", "20260102000000_labels", "20260103000000_later"
FILES = {
    NOTES: "-- notes\ncreate table public.notes (id int primary key);\n\ninsert into public.notes values (1);\n",
    LABELS: "begin;\ncreate table public.labels (id int);\ncomment on table public.labels is 'é; ü';\ncommit;\n",
}
LEDGER = "select event, version, name, sha256, details from pgops.ledger order by event_id"
# As the CLI leaves them, without the CLI: what it records is shown elsewhere.
HISTORY = """
create schema supabase_migrations;
create table supabase_migrations.schema_migrations (version text not null primary key, statements text[], name text);
"""


@pytest.fixture
def dev(project: LiveProject, tmp_path: Path) -> Application:
    """A project and its folder with two migrations, of which nothing is applied."""
    application = Application(project, tmp_path / "app" / "supabase")
    for name, text in FILES.items():
        application.migration(name, text)
    return application


@pytest.fixture
def pushed(dev: Application) -> Application:
    """The same, applied and recorded by another tool."""
    statements = {
        NOTES: ["-- notes\ncreate table public.notes (id int primary key)", "insert into public.notes values (1)"],
        LABELS: [
            "begin",
            "create table public.labels (id int)",
            "comment on table public.labels is 'é; ü'",
            "commit",
        ],
    }
    dev.project.psql(HISTORY)
    for name, texts in statements.items():
        dev.project.psql(";\n".join(texts))
        quoted = ", ".join("$q$" + text + "$q$" for text in texts)
        dev.project.psql(
            f"insert into supabase_migrations.schema_migrations values ('{name[:14]}', array[{quoted}], '{name[15:]}')"
        )
    return dev


def adopt(application: Application, **params: Any) -> dict[str, Any]:
    """Run the module."""
    quick = {"lock_timeout_seconds": 0.3, "lock_wait_seconds": 0.2, "retries": 0}
    return run_module(
        "migration_adopt",
        **{"supabase_dir": str(application.directory), **quick, **application.project.login, **params},
    )


def everything(application: Application) -> tuple[Any, str]:
    """The project as it is now, and its ledger, as PostgreSQL's own programs see them."""
    there = application.project.psql("select to_regclass('pgops.ledger') is not null") == "t"
    return application.snapshot(), application.project.psql(LEDGER) if there else ""


def refuses(application: Application, *texts: str, code: str = "history", **params: Any) -> dict[str, Any]:
    """Adopt two times: each fails with those texts, and nothing is different after it."""
    before = everything(application)
    for _twice in range(2):
        result = adopt(application, **params)
        assert result.get("failed") and not result["changed"], result
        assert result["error"]["code"] == code, result["msg"]
        for text in (*texts, "State: nothing was changed.", "Next: "):
            assert text in result["msg"], result["msg"]
        assert everything(application) == before
    return result


def sha256(application: Application, name: str) -> str:
    return hashlib.sha256((application.directory / "migrations" / f"{name}.sql").read_bytes()).hexdigest()


def test_one_call_takes_over_what_the_cli_applied(cli: SupabaseCli, dev: Application) -> None:
    project = dev.project
    assert cli.push(project, dev.directory)
    before = dev.snapshot()
    foreseen = run_module("migration_adopt", check=True, diff=True, supabase_dir=str(dev.directory), **project.login)
    assert foreseen["changed"] and not foreseen["adoption"]["committed"]
    assert foreseen["diff"]["prepared"].splitlines() == [
        f"+ adopted {name}  sha256 {sha256(dev, name)[:16]}, identical" for name in FILES
    ]
    assert project.psql("select to_regnamespace('pgops') is null") == "t"
    for changed in (True, False):
        result = adopt(dev)
        assert result.get("changed") is changed, result
        assert dev.snapshot() == before
        rows = [line.split("|", 4) for line in project.psql(LEDGER).splitlines()]
        assert [row[:4] for row in rows] == [["adopted", n[:14], n[15:], sha256(dev, n)] for n in FILES]
        for row in rows:
            details = json.loads(row[4])
            assert (details["compared"], details["verified"]) == ("identical", False)
            assert details["catalog"] == result["adoption"]["catalog"]
    for role in ("anon", "authenticated", "service_role"):
        assert project.psql(f"select has_schema_privilege('{role}', 'pgops', 'usage')") == "f"
        assert project.psql(f"select has_table_privilege('{role}', 'pgops.ledger', 'select')") == "f"

    info = dev.info()["migration_info"]
    assert (info["applied"], info["problems"]) == ([name[:14] for name in FILES], [])
    assert [(e["applied_by"], e["applied_at"], e["run_id"]) for e in info["migrations"]] == [("other", None, None)] * 2
    assert all(entry["adopted_at"] for entry in info["migrations"])
    assert cli.pending(project, dev.directory) == []
    # Both go on from here, and what the CLI pushes later is adopted by the same call.
    dev.migration(LATER, "create table public.later (id int);\n")
    dev.applies()
    dev.migration("20260104000000_theirs", "create table public.theirs (id int);\n")
    assert cli.push(project, dev.directory) == ["20260104000000_theirs.sql"]
    assert [adopt(dev).get("changed") for _twice in range(2)] == [True, False]
    assert dev.events()[-2:] == ["applied 20260103000000", "adopted 20260104000000"]


def test_an_edit_after_it_is_found_by_the_hash(pushed: Application) -> None:
    assert adopt(pushed)["changed"]
    pushed.migration(NOTES, f"-- only a comment more\n{FILES[NOTES]}")
    for _twice in range(2):
        assert pushed.info()["migration_info"]["edited"] == [NOTES[:14]]
    pushed.refuses("history", f"{NOTES} is applied, but its file is not the one that was applied")
    refuses(pushed, f"{NOTES} is in the ledger, but its file is not the one that was")
    refuses(pushed, f"{NOTES} is in the ledger", trust_files={NOTES[:14]: "no trust helps here"})


def test_what_differs_is_named_with_place_and_difference_and_nothing_is_adopted(pushed: Application) -> None:
    notes = pushed.migration(NOTES, FILES[NOTES].replace("(1)", "(2)"))
    (pushed.directory / "migrations" / f"{LABELS}.sql").unlink()
    refuses(
        pushed,
        f"{NOTES} has a file that is not what was applied: ",
        'the file has "(2)", the history has "(1)"',
        f"{notes}:4:34",
        f"{LABELS} is applied, but there is no file for it",
        "git log -- <file>",
        "supabase migration fetch",
    )
    # Other statements are not a question of trust.
    pushed.migration(LABELS, FILES[LABELS])
    result = refuses(pushed, "not what was applied", trust_files={NOTES[:14]: "it is nearly the same"})
    verdicts = {entry["version"]: entry["verdict"] for entry in result["adoption"]["migrations"]}
    assert verdicts == {NOTES[:14]: "refused"}, "a failure shows only what is not in order"
    pushed.migration(NOTES, FILES[NOTES])
    assert adopt(pushed)["changed"]


def test_rows_without_statements_need_trust_with_a_reason(pushed: Application) -> None:
    project = pushed.project
    project.psql(f"update supabase_migrations.schema_migrations set statements = null where version = '{NOTES[:14]}'")
    refuses(pushed, f"{NOTES} was recorded without its statements", "trust_files")
    refuses(pushed, "There is no reason", code="input", trust_files={NOTES[:14]: " "})
    refuses(pushed, "Version 20250101000000 is not in the history", code="input", trust_files={"20250101000000": "x"})
    reason = "compared with the schema by hand"
    for changed in (True, False):
        assert adopt(pushed, trust_files={NOTES[:14]: reason}, verified=True).get("changed") is changed
    query = "select details ->> 'compared' is null, details ->> 'trusted' from pgops.ledger order by event_id"
    assert project.psql(query).splitlines() == [f"t|{reason}", "f|"]
    # Trust is no proof for the project that promotes from here.
    proofs = run_module(
        "promotion_info",
        supabase_dir=str(pushed.directory),
        versions=[name[:14] for name in FILES],
        origin="dev",
        **project.login,
    )["proofs"]
    assert [proof["problem"] is None for proof in proofs] == [False, True]
    assert reason in proofs[0]["problem"]


def test_comments_that_changed_since_need_trust_and_line_ends_do_not(pushed: Application) -> None:
    notes = pushed.migration(NOTES, f"-- why\n{FILES[NOTES]}")
    refuses(pushed, "other comments or space around them", f"{notes}:1:4")
    pushed.project.psql(
        "update supabase_migrations.schema_migrations set statements = "
        f"array(select replace(s, E'\\n', E'\\r\\n') from unnest(statements) s) where version = '{LABELS[:14]}'"
    )
    assert adopt(pushed, trust_files={NOTES[:14]: "a comment was added in review"})["changed"]
    query = "select details ->> 'compared' from pgops.ledger order by event_id"
    assert pushed.project.psql(query).splitlines() == ["statements", "identical"]
    assert not adopt(pushed)["changed"]


def test_a_checkouts_line_ends_are_no_difference(pushed: Application) -> None:
    pushed.migration(NOTES, FILES[NOTES].replace("\n", "\r\n"))
    pushed.project.psql(
        "update supabase_migrations.schema_migrations set statements = array(select replace(s, E'\\n', E'\\r\\n') "
        f"from unnest(statements) s) where version = '{NOTES[:14]}'"
    )
    pushed.migration(NOTES, FILES[NOTES])
    assert adopt(pushed)["adoption"]["migrations"][0]["compared"] == "line_ends"


def test_versions_that_stand_there_twice_are_refused(pushed: Application) -> None:
    pushed.project.psql(
        "alter table supabase_migrations.schema_migrations drop constraint schema_migrations_pkey; "
        "insert into supabase_migrations.schema_migrations select * from supabase_migrations.schema_migrations limit 1"
    )
    refuses(pushed, f"{NOTES} stands in the history more than once")


def test_nothing_to_adopt_leaves_no_trace(dev: Application) -> None:
    for _twice in range(2):
        assert not adopt(dev)["changed"]
        assert dev.project.psql("select to_regnamespace('pgops') is null") == "t"


def test_it_waits_for_no_apply_and_no_apply_for_it(pushed: Application) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, psycopg2\nc = psycopg2.connect(sys.stdin.readline())\n"
            "c.cursor().execute('select pg_advisory_xact_lock(%d, 1)' % 0x70676F70)\nprint('held', flush=True)\n"
            "sys.stdin.readline()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert holder.stdin is not None and holder.stdout is not None
    login = pushed.project.options
    print(
        f"host={login.login_host} port={login.login_port} user={login.login_user} dbname={pushed.project.database} "
        f"password={login.login_password}",
        file=holder.stdin,
        flush=True,
    )
    assert holder.stdout.readline() == "held\n"
    refuses(pushed, "Another apply or rollback is under way", code="busy")
    holder.communicate("\n", timeout=10)
    assert adopt(pushed)["changed"]


def test_ten_at_once_adopt_once(pushed: Application) -> None:
    arguments = {"supabase_dir": str(pushed.directory), "lock_wait_seconds": 60, **pushed.project.login}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "ansible_collections.pgops.supabase.plugins.modules.migration_adopt"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=module_environment(),
            encoding="utf-8",
        )
        for _ten in range(10)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        process.stdin.close()
        process.stdin = None
    results = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert sorted(result["changed"] for result in results) == [False] * 9 + [True], results
    assert pushed.events() == [f"adopted {name[:14]}" for name in FILES]


def test_a_trigger_that_loses_the_events_is_found_before_commit(pushed: Application) -> None:
    assert adopt(pushed)["changed"]
    project = pushed.project
    project.psql(
        "create function public.lose() returns trigger language plpgsql as 'begin return null; end'; "
        "create trigger lose before insert on pgops.ledger for each row execute function public.lose()"
    )
    project.psql(
        "insert into supabase_migrations.schema_migrations values ('20260103000000', "
        "array['create table public.later (id int)'], 'later')"
    )
    pushed.migration(LATER, "create table public.later (id int);\n")
    before = everything(pushed)
    refused = adopt(pushed)
    assert refused["failed"] and "the ledger does not tell of 20260103000000" in refused["msg"]
    assert everything(pushed) == before


def test_a_rollback_takes_back_ours_and_not_what_was_adopted_after_it(pushed: Application) -> None:
    pushed.migration(LATER, "create table public.later (id int);\n")
    assert pushed.apply(run_id="run-1")["changed"]
    # Adopted only now, so that the ledger tells of it after what was applied on top.
    assert adopt(pushed, run_id="run-2")["changed"]
    rollbacks = pushed.directory / "rollbacks"
    rollbacks.mkdir()
    (rollbacks / f"{LATER}.sql").write_text("drop table public.later;\n", "utf-8")
    for changed in (True, False):
        result = run_module(
            "rollback", supabase_dir=str(pushed.directory), reason="not needed yet", **pushed.project.login
        )
        assert result.get("changed") is changed, result
    assert pushed.versions() == [name[:14] for name in FILES]
    # What a run adopted it did not apply.
    result = run_module(
        "rollback", supabase_dir=str(pushed.directory), reason="x", of_run="run-2", **pushed.project.login
    )
    assert result.get("changed") is False, result
    assert pushed.project.psql("select count(*) from public.notes") == "1"


def test_from_the_cli_on_dev_to_a_migrated_prod_by_the_playbook(
    cli: SupabaseCli, dev: Application, new_project: NewProject, tmp_path: Path
) -> None:
    prod = Application(new_project(), dev.directory)
    dev.validation(
        "select case when to_regclass('public.notes') is null then 'FAIL: no notes' else 'PASS: notes' end;\n"
    )
    assert cli.push(dev.project, dev.directory)
    inventory = write_inventory(tmp_path, dev, prod)
    refused = playbook("migrate", inventory, "prod", fails=True)
    assert "is applied on dev by another tool, and was not adopted there" in refused
    assert "playbook pgops.supabase.adopt -l dev" in refused

    said = playbook("adopt", inventory, "dev", "--check", "--diff")
    assert f"+ adopted {NOTES}" in said and "2 migrations would be adopted, 2 verified; nothing was written" in said
    assert dev.project.psql("select to_regnamespace('pgops') is null") == "t"
    for headline in ("ADOPTED: 2 migrations, 2 verified", "NOTHING TO DO"):
        assert f"dev: {headline}" in playbook("adopt", inventory, "dev")
        assert dev.events() == [f"adopted {name[:14]}" for name in FILES]
    assert dev.project.psql("select count(*) from pgops.lease") == "0"

    plan = playbook("plan", inventory, "prod")
    assert "the file that another tool applied on dev, adopted and verified there" in plan
    assert "prod: MIGRATED: 2 migrations" in playbook("migrate", inventory, "prod")
    assert prod.versions() == [name[:14] for name in FILES]
    assert "nothing is pending" in playbook("migrate", inventory, "prod")
    assert cli.pending(prod.project, prod.directory) == []


def test_a_validation_that_fails_adopts_nothing(pushed: Application, tmp_path: Path) -> None:
    pushed.validation("select 'FAIL: not in order';\n")
    inventory = write_inventory(tmp_path, pushed, pushed)
    before = pushed.snapshot()
    for _twice in range(2):
        assert "NOT ADOPTED: nothing was changed" in playbook("adopt", inventory, "dev", fails=True)
        assert pushed.snapshot() == before
        assert pushed.project.psql("select to_regclass('pgops.ledger') is null") == "t"


def write_inventory(directory: Path, dev: Application, prod: Application) -> Path:
    """An inventory with both projects, prod behind dev."""

    def host(application: Application) -> dict[str, Any]:
        login = application.project.options
        return {
            "ansible_connection": "local",
            "project_db_host": login.login_host,
            "project_db_port": login.login_port,
            "project_db_name": application.project.database,
            "project_db_password": login.login_password,
            "project_ssl_mode": "disable",
            "project_supabase_dir": str(application.directory),
            "project_state_dir": str(directory / "runs"),
            "preflight_waivers": {"git": "a test has no repository"},
        }

    hosts = {"dev": host(dev), "prod": {**host(prod), "project_promotes_from": "dev"}}
    path = directory / "inventory.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": hosts}}), "utf-8")
    path.chmod(0o600)
    return path


def playbook(name: str, inventory: Path, limit: str, *arguments: str, fails: bool = False) -> str:
    """Run a playbook of the collection as an operator does; what it says, on one line."""
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            f"pgops.supabase.{name}",
            "-i",
            str(inventory),
            "-l",
            limit,
            *arguments,
        ],
        cwd=CLONE,
        env={**module_environment(), "ANSIBLE_HOME": str(CLONE / ".ansible"), "ANSIBLE_FORCE_COLOR": "0"},
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert bool(done.returncode) is fails, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())
