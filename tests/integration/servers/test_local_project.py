# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The local project: its life from made to removed, and the shape that psql sees."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import LocalProjectError
from ansible_collections.pgops.supabase.plugins.module_utils.servers.account import PASSING_IDS
from ansible_collections.pgops.supabase.plugins.module_utils.servers.documents import LocalProject
from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import (
    create_database,
    ensure_absent,
    ensure_started,
    ensure_stopped,
    read_project,
)
from ansible_collections.pgops.supabase.plugins.module_utils.servers.server import running_pid
from tests.integration.conftest import FAST_SETTINGS
from tests.integration.live import CLONE, MODULES, LiveProject, RunModule, module_environment

PRIVILEGE_MISSING = "permission denied"


@pytest.fixture
def state_dir(server_state: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A state directory of the test's own; whatever the test leaves running in it is removed."""
    directory = server_state / request.node.name.split("[")[0]
    yield directory
    for entry in directory.glob("[!.]*"):
        ensure_absent(directory, entry.name)
    shutil.rmtree(directory, ignore_errors=True)


def started(state_dir: Path, name: str = "one", **options: Any) -> LocalProject:
    project = ensure_started(state_dir, name, **{"settings": FAST_SETTINGS, **options}).project
    assert project is not None
    return project


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "this took too long"
        time.sleep(0.01)


def the_database(project: LocalProject) -> LiveProject:
    return LiveProject(project, "postgres")


def test_its_life_through_the_module(state_dir: Path, run_module: RunModule) -> None:
    same: dict[str, Any] = {"name": "one", "state_dir": str(state_dir)}

    predicted = run_module("local_project", check=True, diff=True, **same, settings=FAST_SETTINGS)
    assert predicted["changed"] and predicted["diff"]["before"] == {"state": "absent"}
    assert not state_dir.exists()

    made = run_module("local_project", **same, settings=FAST_SETTINGS)
    assert made["changed"] and made["state"] == "started"
    project = read_project(state_dir, "one")
    assert project is not None
    assert made["uri"] == f"postgresql://postgres@127.0.0.1:{project.port}/postgres"
    assert not any(password in json.dumps(made) for password in project.passwords.values())
    assert stat.S_IMODE(Path(made["project_file"]).stat().st_mode) == 0o600
    the_database(project).psql("create table kept (id int); insert into kept values (7)")

    for check in (False, True):
        assert not run_module("local_project", check=check, **same)["changed"]

    assert run_module("local_project", check=True, **same, state="stopped")["changed"]
    assert running_pid(project.server)
    stopped = run_module("local_project", **same, state="stopped")
    assert stopped["changed"] and not running_pid(project.server)
    assert not run_module("local_project", **same, state="stopped")["changed"]

    again = run_module("local_project", **same)
    assert again["changed"] and again["project"] == made["project"]
    assert the_database(project).psql("select id from kept") == "7"

    assert run_module("local_project", check=True, **same, state="absent")["changed"]
    assert running_pid(project.server)
    assert run_module("local_project", **same, state="absent")["changed"]
    assert not run_module("local_project", **same, state="absent")["changed"]
    assert list(state_dir.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", project.port))


def test_the_server_listens_on_loopback_only_and_wants_the_password(state_dir: Path) -> None:
    project = started(state_dir)
    assert the_database(project).psql("show listen_addresses; show unix_socket_directories") == "127.0.0.1\n"
    project.passwords["postgres"] = "wrong"
    assert "password authentication failed" in the_database(project).psql_error("select 1")


def test_two_at_once_and_the_same_one_twice_at_once(state_dir: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        one, two, one_again = pool.map(lambda name: ensure_started(state_dir, name), ["one", "two", "one"])
    assert one.changed != one_again.changed and two.changed
    assert one.project and two.project and one.project.port != two.project.port
    the_database(one.project).psql("create table only_here ()")
    assert "does not exist" in the_database(two.project).psql_error("select * from only_here")


def test_a_killed_server_is_started_again_with_its_data(state_dir: Path) -> None:
    project = started(state_dir, settings={"fsync": False})
    the_database(project).psql("create table kept (id int); insert into kept values (7)")
    pid = running_pid(project.server)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: running_pid(project.server) is None)
    again = ensure_started(state_dir, "one")
    assert again.changed and again.project is not None and again.project.port == project.port
    assert the_database(again.project).psql("select id from kept") == "7"
    assert not ensure_started(state_dir, "one").changed


def test_a_pid_file_with_the_number_of_another_program_is_not_taken_for_a_running_server(state_dir: Path) -> None:
    project = started(state_dir)
    pid_file = project.server.data / "postmaster.pid"
    content = pid_file.read_text()
    ensure_stopped(state_dir, "one")
    pid_file.write_text(str(os.getppid()) + content[content.index("\n") :])
    assert not ensure_stopped(state_dir, "one").changed
    assert ensure_started(state_dir, "one").changed
    assert the_database(project).psql("select 1") == "1"


def test_a_port_taken_meanwhile_is_given_up_unless_it_was_asked_for(state_dir: Path, run_module: RunModule) -> None:
    project = started(state_dir)
    ensure_stopped(state_dir, "one")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", project.port))
        other.listen()
        for dummy in range(2):
            refused = run_module("local_project", name="one", state_dir=str(state_dir), port=project.port)
            assert refused["failed"]
            assert f"Port {project.port} of 127.0.0.1 is taken by another program" in refused["msg"]
            assert "State: the server is stopped, its data is untouched." in refused["msg"]
            assert "Next: Choose another port" in refused["msg"]
        moved = ensure_started(state_dir, "one").project
        assert moved is not None and moved.port != project.port
        assert the_database(moved).psql("select 1") == "1"


def test_a_port_that_is_asked_for_moves_a_running_server(state_dir: Path) -> None:
    project = started(state_dir)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        wanted = probe.getsockname()[1]
    for changed in (True, False):
        moved = ensure_started(state_dir, "one", port=wanted)
        assert moved.changed is changed and moved.project is not None and moved.project.port == wanted
    assert project.port != wanted
    assert moved.project is not None and the_database(moved.project).psql("show port") == str(wanted)


def test_settings_are_kept_changed_and_refused(state_dir: Path, run_module: RunModule) -> None:
    same: dict[str, Any] = {"name": "one", "state_dir": str(state_dir)}
    project = started(state_dir)
    pid = running_pid(project.server)
    assert the_database(project).psql("show fsync; show statement_timeout") == "off\n2min"
    for bad, complaint in (
        ({"max_connections": "many"}, "max_connections"),
        ({"no_such_setting": 1}, "no_such_setting"),
        ({"listen_addresses": "*"}, "listen_addresses is not a setting that can be chosen"),
    ):
        refused = run_module("local_project", **same, settings=bad)
        assert refused["failed"] and complaint in refused["msg"] and "nothing was changed" in refused["msg"]
    assert running_pid(project.server) == pid
    assert not run_module("local_project", **same)["changed"]
    for changed in (True, False):
        result = run_module("local_project", **same, settings={**FAST_SETTINGS, "cluster_name": "it's \\ fine"})
        assert result["changed"] is changed
    assert "it's \\ fine" in the_database(project).psql("show cluster_name")


def test_an_interrupted_making_is_made_anew(state_dir: Path) -> None:
    state_dir.mkdir(mode=0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", f"{MODULES}.local_project"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=module_environment(),
    )
    assert process.stdin is not None
    with process:
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": {"name": "one", "state_dir": str(state_dir)}}).encode())
        process.stdin.close()
        wait_until(lambda: any(state_dir.glob("one/making-*/data/base")))
        process.kill()
    assert any(state_dir.glob("one/making-*")) and read_project(state_dir, "one") is None
    project = started(state_dir)
    assert the_database(project).psql("select 1") == "1"
    assert sorted(entry.name for entry in (state_dir / "one").iterdir()) == ["project.json", "server"]
    assert not ensure_started(state_dir, "one").changed


def test_an_interrupted_removal_is_finished(state_dir: Path) -> None:
    started(state_dir)
    ensure_stopped(state_dir, "one")
    (state_dir / "one").rename(state_dir / ".one.removing-1234")
    assert [ensure_absent(state_dir, "one").changed for dummy in range(2)] == [True, False]
    assert list(state_dir.iterdir()) == []


def test_a_directory_with_other_files_is_neither_taken_over_nor_removed(state_dir: Path, run_module: RunModule) -> None:
    (state_dir / "one").mkdir(parents=True)
    precious = state_dir / "one" / "thesis.txt"
    precious.write_text("years of work")
    for state in ("started", "absent", "absent"):
        refused = run_module("local_project", name="one", state_dir=str(state_dir), state=state)
        assert refused["failed"] and "thesis.txt" in refused["msg"] and "nothing was changed" in refused["msg"]
    assert precious.read_text() == "years of work"
    precious.unlink()


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"name": "../one"}, "is not a name for a local project"),
        ({"name": "one", "pg_bin": "/nowhere"}, "There is no program postgres in /nowhere"),
        ({"name": "one", "state": "stopped"}, "There is no local project one that could be stopped"),
        ({"name": "one", "port": 70000}, "70000 is not a port"),
        ({"name": "one", "state_dir": "/etc/hostname/projects"}, "cannot be worked on: Not a directory"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(
    state_dir: Path, run_module: RunModule, params: dict[str, Any], complaint: str
) -> None:
    for dummy in range(2):
        refused = run_module("local_project", **{"state_dir": str(state_dir), **params})
        assert refused["failed"] and complaint in refused["msg"] and "Next:" in refused["msg"]
        assert not (state_dir / "one").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else or reach root's directories")
def test_a_normal_user_can_do_it_too(state_dir: Path) -> None:
    state_dir.mkdir(mode=0o755)
    os.chown(state_dir, 65534, 65534)
    reachable = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", "import psycopg2"],
        check=False,
        capture_output=True,
    )
    if reachable.returncode != 0 or not os.access(CLONE, os.R_OK):
        pytest.skip("the clone or the interpreter is not reachable for a normal user")
    script = (
        "import sys; from pathlib import Path; "
        "from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import *; "
        "answers = [ensure_started(Path(sys.argv[1]), 'one').changed for dummy in range(2)]; "
        "answers += [f(Path(sys.argv[1]), 'one').changed for f in (ensure_stopped, ensure_stopped)]; "
        "answers += [ensure_started(Path(sys.argv[1]), 'one').changed]; "
        "print(*answers)"
    )
    done = subprocess.run(
        [*reachable.args[:4], sys.executable, "-c", script, str(state_dir)],
        env=module_environment(),
        cwd="/",
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stdout.split() == ["True", "False", "True", "False", "True"], done.stderr
    project = read_project(state_dir, "one")
    assert project is not None and the_database(project).psql("select current_user") == "postgres"
    # Root looks after what a user has made, as that user.
    assert not ensure_started(state_dir, "one").changed
    assert ensure_stopped(state_dir, "one").changed
    assert ensure_started(state_dir, "one").changed
    assert project.server.data.stat().st_uid == 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_roots_servers_share_no_user_with_another_service(state_dir: Path) -> None:
    owners = set()
    for name in ("one", "two"):
        project = started(state_dir, name)
        server = project.server
        pid = int((server.data / "postmaster.pid").read_text().splitlines()[0])
        owner = Path(f"/proc/{pid}").stat().st_uid
        assert owner in PASSING_IDS and owner not in {entry.pw_uid for entry in pwd.getpwall()}
        assert {path.lstat().st_uid for path in server.data.rglob("*")} == {owner}
        # Whoever runs as nobody is told nothing.
        peeks = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", str(server.data / "PG_VERSION")],
            check=False,
            capture_output=True,
        )
        assert peeks.returncode != 0 and peeks.stdout == b""
        owners.add(owner)
    assert len(owners) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else or reach root's directories")
def test_root_can_do_it_below_a_directory_that_only_root_can_enter(server_state: Path) -> None:
    closed = server_state / "closed"
    closed.mkdir(mode=0o700)
    namespace = subprocess.run(["unshare", "--user", "--map-user=65534", "true"], check=False, capture_output=True)
    if namespace.returncode != 0:
        pytest.skip("this machine does not let root make user namespaces")
    try:
        project = started(closed)
        assert the_database(project).psql("select 1") == "1"
        assert not ensure_started(closed, "one").changed
        assert ensure_stopped(closed, "one").changed
        assert ensure_started(closed, "one").changed
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    finally:
        ensure_absent(closed, "one")
        closed.rmdir()


def test_the_roles_have_the_platforms_attributes(project: LiveProject) -> None:
    attributes = project.psql(
        "select rolname, rolsuper, rolcanlogin, rolinherit, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls "
        "from pg_roles where rolname !~ '^pg_' order by rolname collate \"C\""
    )
    assert attributes.splitlines() == [
        "anon|f|f|t|f|f|f|f",
        "authenticated|f|f|t|f|f|f|f",
        "authenticator|f|t|f|f|f|f|f",
        "dashboard_user|f|f|t|t|t|t|f",
        "pgbouncer|f|f|t|f|f|f|f",
        "postgres|f|t|t|t|t|t|t",
        "service_role|f|f|t|f|f|f|t",
        "supabase_admin|t|t|t|t|t|t|t",
        "supabase_auth_admin|f|f|f|f|t|f|f",
        "supabase_functions_admin|f|f|f|f|t|f|f",
        "supabase_read_only_user|f|f|t|f|f|f|t",
        "supabase_realtime_admin|f|f|f|f|f|f|f",
        "supabase_replication_admin|f|f|t|f|f|t|f",
        "supabase_storage_admin|f|f|f|f|t|f|f",
    ]
    timeouts = project.psql("select rolname, rolconfig from pg_roles where rolname ~ '^(anon|auth)' order by 1")
    assert timeouts.splitlines() == [
        "anon|{statement_timeout=3s}",
        "authenticated|{statement_timeout=8s}",
        "authenticator|{statement_timeout=8s,lock_timeout=8s}",
    ]


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role", "authenticator"])
def test_postgres_can_become_the_roles_of_the_api_and_choose_their_settings(project: LiveProject, role: str) -> None:
    assert project.psql(f"set role {role}; select current_user") == role
    project.psql(f"begin; alter role {role} set pgrst.db_schemas = 'public, api'; rollback")


@pytest.mark.parametrize("role", ["supabase_auth_admin", "supabase_storage_admin", "dashboard_user"])
def test_postgres_cannot_alter_the_platforms_own_roles(project: LiveProject, role: str) -> None:
    if int(project.server.server_version.split(".")[0]) >= 16:
        for statement in (f"alter role {role} nologin", f"alter role {role} set statement_timeout = 0"):
            assert PRIVILEGE_MISSING in project.psql_error(statement)


def test_postgres_owns_its_database_and_nothing_of_the_platform(project: LiveProject) -> None:
    assert project.psql("show is_superuser; show search_path") == 'off\n"$user", public, extensions'
    assert (
        project.psql("select pg_get_userbyid(datdba) from pg_database where datname = current_database()") == "postgres"
    )
    owners = project.psql(
        "select nspname, pg_get_userbyid(nspowner) from pg_namespace where nspname !~ '^pg_' order by nspname"
    )
    assert owners.splitlines() == [
        "auth|supabase_admin",
        "extensions|supabase_admin",
        "graphql|supabase_admin",
        "graphql_public|supabase_admin",
        "information_schema|supabase_admin",
        "public|pg_database_owner",
        "realtime|supabase_admin",
        "storage|supabase_admin",
        "supabase_functions|supabase_admin",
        "vault|supabase_admin",
    ]
    assert PRIVILEGE_MISSING in project.psql_error("create table auth.mine ()")
    assert PRIVILEGE_MISSING in project.psql_error("drop schema auth cascade") or "must be owner" in project.psql_error(
        "drop schema auth cascade"
    )


def test_postgres_makes_triggers_and_policies_on_the_platforms_tables_and_drops_them(project: LiveProject) -> None:
    project.psql("""
        create table profiles (id uuid primary key references auth.users on delete cascade, email text);
        create function welcome() returns trigger language plpgsql security definer as
            $$ begin insert into public.profiles values (new.id, new.email); return new; end $$;
        create trigger on_auth_user_created after insert on auth.users for each row execute function welcome();
        create policy "own files" on storage.objects for select to authenticated using (owner = auth.uid());
        insert into auth.users (id, email) values ('00000000-0000-0000-0000-000000000001', 'a@example.org');
        insert into storage.buckets (id, name) values ('files', 'files');
        insert into storage.objects (bucket_id, name, owner)
            values ('files', 'a/b/c.txt', '00000000-0000-0000-0000-000000000001'), ('files', 'd.txt', null);
    """)
    assert project.psql("select email from profiles") == "a@example.org"
    assert project.psql("select storage.foldername('a/b/c.txt'), storage.filename('a/b/c.txt')") == "{a,b}|c.txt"
    as_user = """
        set role authenticated;
        set request.jwt.claims = '{"sub": "00000000-0000-0000-0000-000000000001", "role": "authenticated"}';
    """
    assert project.psql(as_user + "select name from storage.objects") == "a/b/c.txt"
    assert project.psql(as_user + "select auth.uid(), auth.role(), auth.jwt() ->> 'role'").endswith(
        "1|authenticated|authenticated"
    )
    assert PRIVILEGE_MISSING in project.psql_error(as_user + "select * from auth.users")
    project.psql('drop trigger on_auth_user_created on auth.users; drop policy "own files" on storage.objects')


def test_rows_of_storage_are_deleted_only_where_the_session_says_that_it_is_meant(project: LiveProject) -> None:
    project.psql("""
        insert into storage.buckets (id, name) values ('files', 'files');
        insert into storage.objects (bucket_id, name) values ('files', 'a.txt');
    """)
    for table in ("objects", "buckets"):
        assert "Direct deletion from storage tables is not allowed" in project.psql_error(
            f"delete from storage.{table}"
        )
    project.psql("set storage.allow_delete_query = true; delete from storage.objects; delete from storage.buckets")
    assert project.psql("select count(*) from storage.buckets") == "0"
    assert "is too long" in project.psql_error(f"insert into storage.buckets (id, name) values ('b', '{'b' * 101}')")


def test_realtime_and_webhooks_are_there_to_be_named(project: LiveProject) -> None:
    project.psql("""
        create extension pg_net;
        create policy rooms on realtime.messages for select to authenticated using (realtime.topic() like 'room:%');
        create table things (id int);
        create function tell() returns trigger language plpgsql security definer as $$ begin
            perform realtime.broadcast_changes('room:1', tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
            perform realtime.send('{}', 'made', 'room:1', false);
            return null;
        end $$;
        create trigger tell after insert or delete on things for each row execute function tell();
        create trigger hook after insert on things for each row execute function
            supabase_functions.http_request('http://a/b', 'POST', '{"X": "1"}', '{}', '5000');
        insert into things values (7);
        delete from things;
    """)
    queued = project.psql(
        "select method, url, convert_from(body, 'UTF8')::jsonb -> 'record' from net.http_request_queue"
    )
    assert queued == 'POST|http://a/b|{"id": 7}'


def test_the_api_is_told_of_changes_of_the_schema(project: LiveProject) -> None:
    for change in ("create table public.things ()", "drop table public.things"):
        told = project.psql_result(f"listen pgrst; {change}; select 1").stdout
        assert 'Asynchronous notification "pgrst" with payload "reload schema" received' in told
    told = project.psql_result("listen pgrst; create temporary table things (); drop table things; select 1").stdout
    assert "notification" not in told


def test_the_api_roles_may_use_what_postgres_makes_in_public(project: LiveProject) -> None:
    project.psql("create table things (id bigint generated always as identity, name text default uuid_generate_v4())")
    for role in ("anon", "authenticated", "service_role"):
        privileges = "select,insert,update,delete,truncate,references,trigger".split(",")
        answers = {project.psql(f"select has_table_privilege('{role}', 'things', '{p}')") for p in privileges[:2]}
        assert answers == {"t"}
        assert (
            project.psql(f"set role {role}; insert into things default values; select count(*) > 0 from things") == "t"
        )
    assert project.psql("set role authenticator; show role") == "authenticator"


def test_a_database_that_is_there_is_not_made_again(project: LiveProject) -> None:
    project.psql("create table kept ()")
    for dummy in range(2):
        with pytest.raises(LocalProjectError, match="already exists"):
            create_database(project.server, project.database)
    assert project.psql("select to_regclass('public.kept')") == "kept"


def test_each_new_database_is_its_own_and_has_the_shape(project: LiveProject, local_server: LocalProject) -> None:
    catalog = (
        "select count(*) from pg_class as c join pg_namespace as n on n.oid = relnamespace "
        "where nspname in ('auth', 'storage', 'extensions')"
    )
    main = the_database(local_server)
    assert project.psql(catalog) == main.psql(catalog) != "0"
    assert project.psql("show search_path") == main.psql("show search_path")
    # Row level security and pg_dump pass over objects with the numbers of built-in ones.
    assert (
        project.psql("select count(*) from pg_class where oid < 16384 and relnamespace = 'auth'::regnamespace") == "0"
    )
    project.psql("create table only_here ()")
    assert main.psql("select to_regclass('public.only_here') is null") == "t"
