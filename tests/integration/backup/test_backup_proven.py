# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that are restored to prove them, encrypted, told about while they run, and removed when newer ones will do."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.backup.source import require_own_database
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.marker import write_marker
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, session
from tests.integration import age_program
from tests.integration.backups import SEQUENCE, archive_of, content_of, wait_for_process
from tests.integration.live import LiveProject, RunModule

Backup = Callable[..., dict[str, Any]]
SECRET = "nobody-else-reads-this"

TABLES = f"""
create type public.mood as enum ('low', 'high');
create table public.profiles (
    id uuid primary key references auth.users on delete cascade, note text not null, mood public.mood default 'low');
alter table public.profiles enable row level security;
create policy own on public.profiles for select to authenticated using (auth.uid() = id);
create function public.on_user() returns trigger language plpgsql security definer as
  $$ begin insert into public.profiles values (new.id, '{SECRET}'); return new; end $$;
create trigger on_user after insert on auth.users for each row execute function public.on_user();
insert into auth.users (id, email) select extensions.gen_random_uuid(), 'u' || i from generate_series(1, 50) i;
insert into storage.buckets (id, name) values ('pictures', 'pictures');
create policy pictures on storage.objects for select to anon using (bucket_id = 'pictures');
create table public.filler as select i, md5(i::text) as text from generate_series(1, 30000) i;
create materialized view public.counted as select count(*) from public.filler;
alter default privileges for role postgres in schema public revoke all on tables from anon;
comment on table public.profiles is 'one for each user';
"""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A short path that a server's account may pass."""
    directory = Path(tempfile.mkdtemp(prefix="pgops-tests-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def backup(project: LiveProject, run_module: RunModule, runs: Path, scratch: Path) -> Backup:
    """Run the module on the project, by default into a run of this name."""

    def run(name: str = "run1", **params: Any) -> dict[str, Any]:
        defaults = {**project.login, "project": "p", "run_dir": str(runs / name), "run_id": name}
        return run_module("backup", **{**defaults, "scratch_dir": str(scratch), **params})

    project.psql(TABLES)
    return run


def test_a_backup_is_restored_to_a_server_of_its_own_and_found_equal(
    backup: Backup, project: LiveProject, scratch: Path
) -> None:
    for name in ("run1", "run2"):
        result = backup(name, verify="restore")
        assert result["changed"], result
        proof = result["manifest"]["verification"]
        assert proof["method"] == "restore"
        assert proof["restored_with"].split(".")[0] == result["manifest"]["server_version"].split(".")[0]
        assert proof["restored_rows"] >= 30101
        assert proof["notes"] == []
        assert "restored to a scratch server" in result["summary"]
        assert list(scratch.iterdir()) == []
    again = backup("run3", verify="restore", max_age_seconds=600)
    assert not again["changed"], again


def test_one_that_was_only_read_will_not_do_where_a_restored_one_is_asked_for(backup: Backup) -> None:
    assert backup("run1")["manifest"]["verification"]["method"] == "read"
    assert backup("run2", verify="restore", max_age_seconds=600)["changed"]
    assert not backup("run3", max_age_seconds=600)["changed"]


def test_the_platform_is_in_it_as_data_and_its_internals_are_not(backup: Backup, project: LiveProject) -> None:
    result = backup()
    tables = {(c["schema"], c["table"]): c["rows"] for c in result["manifest"]["counts"]["tables"]}
    assert tables[("auth", "users")] == 50
    assert tables[("storage", "buckets")] == 1
    listing = subprocess.run(
        [Path(project.server.pg_bin) / "pg_restore", "--list", archive_of(Path(result["path"]))],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    held = {line.split(" ")[5] for line in listing.splitlines() if " TABLE DATA " in line}
    assert held <= {"public", "auth", "storage", "supabase_migrations", "pgops"}
    assert "TABLE DATA auth schema_migrations" not in listing


@pytest.mark.parametrize("archive_format", ["directory", "custom"])
def test_only_an_identity_reads_an_encrypted_backup(
    backup: Backup, run_module: RunModule, runs: Path, tmp_path: Path, archive_format: str, monkeypatch: Any
) -> None:
    monkeypatch.setenv("PATH", f"{age_program.directory()}{os.pathsep}{os.environ['PATH']}")
    identity, recipient = age_program.new_identity(tmp_path / "identity")
    other, _recipient = age_program.new_identity(tmp_path / "other")
    for name in ("run1", "run2"):
        result = backup(name, recipients=[recipient], format=archive_format, compression="none")
        assert result["changed"], result
        path = Path(result["path"])
        assert result["manifest"]["encryption"]["recipients"] == [recipient]
        names = {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}
        assert {n for n in names if not n.endswith(".age")} == {"manifest.json", "manifest.json.sha256"}
        held = b"".join(p.read_bytes() for p in path.rglob("*") if p.is_file())
        assert SECRET.encode() not in held
        assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []

    info: dict[str, Any] = {"project_dir": str(runs), "verify": "read"}
    for identity_file, sound, checked in ((None, True, "checksums"), (identity, True, "read"), (other, False, "read")):
        info.update({"identity_file": str(identity_file)} if identity_file else {})
        found = run_module("backup_info", **info)["backups"]
        assert [(b["sound"], b["checked"]) for b in found] == [(sound, checked)] * 2, found
    assert "cannot be decrypted" in found[0]["problems"][0]
    assert not list(Path(tempfile.gettempdir()).glob("pgops-opened-*"))
    # age alone, by hand, gives back the archive.
    for file in result["manifest"]["files"]:
        plain = subprocess.run(
            [age_program.directory() / "age", "-d", "-i", identity, path / file["path"]],
            check=True,
            capture_output=True,
        ).stdout
        assert len(plain) == file["plain"]["bytes"]


def test_a_recipient_that_is_none_is_refused_beforehand(backup: Backup, runs: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", f"{age_program.directory()}{os.pathsep}{os.environ['PATH']}")
    for dummy in range(2):
        refused = backup(recipients=["age1nonsense"])
        assert refused["failed"] and "is not a recipient" in refused["msg"], refused
        assert not runs.exists()


def test_old_backups_go_when_a_new_one_is_verified_and_not_before(backup: Backup, runs: Path) -> None:
    for name in ("run1", "run2", "run3"):
        assert backup(name)["removed"] == []
    before = content_of(runs)
    failed = backup("run4", retention_count=1, compression="brotli")
    assert failed["failed"]
    assert content_of(runs) == before

    # run1 never recorded that it migrated: nobody needs its backup but as the newest. run2 is what run5 would go back to.
    (runs / "run2" / "run.json").write_text(json.dumps(run_record("run2", "migrated")))
    (runs / "run1" / "run.json").write_text(json.dumps(run_record("run1", "rolled_back")))
    result = backup("run5", retention_count=2)
    assert [Path(r["path"]).parent.name for r in result["removed"]] == ["run1"]
    assert "2 are kept" in result["removed"][0]["reason"]
    assert sorted(p.parent.name for p in runs.glob("*/backup")) == ["run2", "run3", "run5"]
    record = json.loads((runs / "run1" / "backup-removed.json").read_text())
    assert record == result["removed"][0]
    events = [json.loads(line) for line in (runs / "run5" / "events.jsonl").read_text().splitlines()]
    assert [e["path"] for e in events if e["event"] == "removed"] == [record["path"]]

    result = backup("run6", retention_max_age_seconds=0)
    assert sorted(p.parent.name for p in runs.glob("*/backup")) == ["run2", "run6"]
    assert len(result["removed"]) == 2
    assert list(runs.glob("*/.*")) == []


def run_record(run_id: str, verdict: str) -> dict[str, Any]:
    return {
        "document": "run",
        "run_id": run_id,
        "project": "p",
        "operation": "migrate",
        "operator": "somebody",
        "started_at": "2026-01-01T00:00:00.000+00:00",
        "verdict": verdict,
    }


def test_what_a_killed_backup_left_goes_with_the_next(
    backup: Backup, project: LiveProject, run_module: RunModule, runs: Path
) -> None:
    leftover = runs / "run0" / ".incomplete-20260101T000000Z-beef-x"
    leftover.mkdir(parents=True)
    (leftover / "database.dump").write_text(SECRET)
    assert "the next backup removes it" in run_module("backup_info", project_dir=str(runs))["backups"][0]["problems"][0]
    assert backup()["changed"]
    assert not leftover.exists()


def test_it_tells_how_far_it_is(backup: Backup, runs: Path, tmp_path: Path, monkeypatch: Any) -> None:
    # A socket's path may not be long, and that of the test's own directory is.
    place = Path(tempfile.mkdtemp(prefix="pgops-"))
    address = str(place / "progress.socket")
    heard: list[dict[str, Any]] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(0.2)
        stop = threading.Event()

        def listen() -> None:
            while True:
                try:
                    heard.append(json.loads(listener.recv(65536)))
                except TimeoutError:
                    # What was sent last may be there still when the work has ended.
                    if stop.is_set():
                        return

        thread = threading.Thread(target=listen)
        thread.start()
        monkeypatch.setenv("PGOPS_PROGRESS_SOCKET", address)
        try:
            result = backup()
        finally:
            stop.set()
            thread.join()
            shutil.rmtree(place)
    assert result["changed"], result
    lines = [json.loads(line) for line in (runs / "run1" / "events.jsonl").read_text().splitlines()]
    spans = [(e["phase"], e["event"]) for e in lines if e["event"] in ("begin", "end")]
    assert spans[:2] == [("catalog", "begin"), ("catalog", "end")]
    # The rows are counted while they are dumped, and the archive is read while its files are sealed.
    assert sorted(spans[2:6]) == [(phase, event) for phase in ("count", "dump") for event in ("begin", "end")]
    assert sorted(spans[6:-2]) == [(phase, event) for phase in ("read", "seal") for event in ("begin", "end")]
    assert spans[-2:] == [("retention", "begin"), ("retention", "end")]
    dumped = next(e for e in lines if e["event"] == "dumped")
    tables = len(result["manifest"]["counts"]["tables"])
    assert (dumped["tables_done"], dumped["tables_total"]) == (tables, tables)
    assert dumped["bytes_done"] == dumped["bytes_total"] > 0
    assert dumped["archive_bytes"] > 0
    assert {(e["phase"], e["event"]) for e in heard} >= {(e["phase"], e["event"]) for e in lines}
    assert {(e["job"], e["subject"]) for e in heard} == {("backup", "p")}
    # A listener that is gone is no reason to fail.
    assert backup("run2")["changed"]


def test_what_can_be_read_but_not_restored_is_no_backup(backup: Backup, project: LiveProject, runs: Path) -> None:
    # A check that looks something up without saying where: it holds today, and fails every restore.
    project.psql("""
        create function public.known(n int) returns boolean language plpgsql as
          $$ begin return exists (select from filler where i = n); end $$;
        create table public.checked (n int check (public.known(n)));
        insert into public.checked values (1);
    """)
    assert backup("run1")["changed"]
    before = content_of(runs / "run1")
    for dummy in range(2):
        refused = backup("run2", verify="restore", retention_count=1)
        assert refused["failed"], refused
        assert 'relation "filler" does not exist' in refused["msg"]
        assert "the unfinished backup was removed" in refused["msg"]
        assert [p.name for p in (runs / "run2").iterdir()] == ["events.jsonl"]
        assert content_of(runs / "run1") == before


def test_an_encrypted_backup_comes_back_with_its_identity_only(
    backup: Backup, project: LiveProject, run_module: RunModule, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("PATH", f"{age_program.directory()}{os.pathsep}{os.environ['PATH']}")
    identity, recipient = age_program.new_identity(tmp_path / "identity")
    made = backup(recipients=[recipient], verify="restore")
    assert made["manifest"]["verification"]["method"] == "restore", made
    project.psql("delete from auth.users; drop table public.filler cascade;")
    wanted = {
        **project.login,
        "project": "p",
        "backup": made["path"],
        "aside": str(tmp_path / "aside"),
        "consent": f"p {made['manifest']['backup_id']}",
        "recipients": [recipient],
    }
    refused = run_module("restore", **wanted)
    assert refused["failed"] and "there is no identity" in refused["msg"], refused
    restored = run_module("restore", **wanted, identity_file=str(identity))
    assert restored["changed"], restored
    assert project.psql("select count(*) from public.profiles").strip() == "50"
    assert project.psql("select count(*) from public.filler").strip() == "30000"
    assert SECRET.encode() not in b"".join(p.read_bytes() for p in (tmp_path / "aside").rglob("*") if p.is_file())
    assert not list(Path(tempfile.gettempdir()).glob("pgops-opened-*"))


MAKE = """
import json, sys
from pathlib import Path
from ansible_collections.pgops.supabase.plugins.module_utils.backup.job import back_up
from ansible_collections.pgops.supabase.plugins.module_utils.backup.request import BackupRequest
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import ConnectionOptions
asked = json.load(sys.stdin)
back_up(ConnectionOptions(**asked["login"]), BackupRequest(
    path=Path(asked["path"]), project="p", format="custom", compression="none", recipients=(asked["recipient"],)))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_no_plaintext_stays_however_it_ends(
    backup: Backup, project: LiveProject, runs: Path, tmp_path: Path, number: int, monkeypatch: Any
) -> None:
    monkeypatch.setenv("PATH", f"{age_program.directory()}{os.pathsep}{os.environ['PATH']}")
    identity, recipient = age_program.new_identity(tmp_path / "identity")
    project.psql(SEQUENCE)
    path = runs / "run1" / "backup"
    asked = {"login": project.login, "path": str(path), "recipient": recipient}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with session(project.options) as connection:
        # pg_dump has dumped nothing yet and waits for the sequence that is being dropped.
        execute(connection, "drop sequence public.waited_for")
        with subprocess.Popen([sys.executable, "-c", MAKE], stdin=subprocess.PIPE, env=environment, text=True) as maker:
            try:
                assert maker.stdin is not None
                maker.stdin.write(json.dumps(asked))
                maker.stdin.close()
                wait_for_process("pg_dump", str(path.parent))
                next(path.parent.glob(".incomplete-*")).joinpath("database.dump").write_text(SECRET)
                maker.send_signal(number)
                assert maker.wait(60) != 0
            finally:
                maker.kill()
    left = list(path.parent.glob(".incomplete-*"))
    assert bool(left) == (number == signal.SIGKILL)
    assert backup("run2", recipients=[recipient])["changed"]
    assert not list(runs.glob("*/.incomplete-*"))
    assert SECRET.encode() not in b"".join(p.read_bytes() for p in runs.rglob("*") if p.is_file())


def test_another_projects_database_is_refused(backup: Backup, project: LiveProject, runs: Path) -> None:
    with session(project.options) as connection:
        write_marker(connection, project="q", ref=None, environment="dev", system_identifier=None)
        connection.commit()
    for dummy in range(2):
        refused = backup()
        assert (
            refused["failed"] and "The database is marked as q, and the backup is to be of p" in refused["msg"]
        ), refused
        assert not runs.exists()
    assert backup(project="q")["changed"]


def test_the_transaction_pooler_is_refused(project: LiveProject, runs: Path) -> None:
    options = dataclasses.replace(project.options, login_port=6543)
    with session(project.options) as connection, pytest.raises(InputError, match="keeps no session"):
        require_own_database(connection, options, "p")
