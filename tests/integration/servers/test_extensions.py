# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extensions of a local project: what is there from the start, and the stand-ins that postgres can make."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import uuid
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import libpq_environment
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import find_program
from ansible_collections.pgops.supabase.plugins.module_utils.servers.documents import LocalProject
from ansible_collections.pgops.supabase.plugins.module_utils.servers.extensions import MARK, STAND_INS
from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import (
    ensure_absent,
    ensure_started,
    ensure_stopped,
)
from tests.integration.conftest import FAST_SETTINGS
from tests.integration.live import LiveProject, RunModule

MAKE_ALL = """
create extension if not exists "uuid-ossp";
create extension if not exists pgcrypto with schema extensions;
create extension if not exists pgjwt with schema extensions;
create extension if not exists moddatetime with schema extensions;
create extension if not exists pg_net with schema extensions;
create extension if not exists pg_cron;
create extension if not exists supabase_vault with schema vault;
create extension if not exists pg_graphql;
"""


def test_a_new_project_has_the_platforms_extensions(project: LiveProject) -> None:
    there = project.psql(
        "select extname, nspname from pg_extension join pg_namespace n on n.oid = extnamespace order by extname"
    )
    assert there.splitlines() == [
        "pg_graphql|graphql",
        "pg_stat_statements|extensions",
        "pgcrypto|extensions",
        "plpgsql|pg_catalog",
        "supabase_vault|vault",
        "uuid-ossp|extensions",
    ]


def test_postgres_makes_them_and_drops_them_and_each_says_what_it_is(project: LiveProject) -> None:
    project.psql(MAKE_ALL)
    said = project.psql("select obj_description(oid, 'pg_extension') from pg_extension")
    assert sum(line.startswith(f"{MARK}: ") for line in said.splitlines()) == len(STAND_INS)
    project.psql(
        "drop extension pg_net; drop extension pg_cron; drop extension pgjwt; drop extension moddatetime; drop extension pg_graphql"
    )
    assert "already exists" in project.psql_error('create extension "uuid-ossp"')


def test_uuids_are_those_of_the_extension(project: LiveProject) -> None:
    for name in ("", "a", "www.example.com", "é" * 40, "x" * 39, "x" * 40, "x" * 47, "x" * 48, "x" * 300):
        for version, expected in ((3, uuid.uuid3), (5, uuid.uuid5)):
            made = project.psql(f"select uuid_generate_v{version}(uuid_ns_url(), '{name}')")
            assert made == str(expected(uuid.NAMESPACE_URL, name))
    fixed = project.psql("select uuid_nil(), uuid_ns_dns(), uuid_ns_oid(), uuid_ns_x500()").split("|")
    names = (uuid.UUID(int=0), uuid.NAMESPACE_DNS, uuid.NAMESPACE_OID, uuid.NAMESPACE_X500)
    assert fixed == [str(name) for name in names]
    now = float(project.psql("select extract(epoch from now())"))
    for name, version in (("v1", 1), ("v1mc", 1), ("v4", 4)):
        one, two = (uuid.UUID(project.psql(f"select uuid_generate_{name}()")) for dummy in range(2))
        assert one != two and one.version == two.version == version and one.variant == uuid.RFC_4122
        if version == 1:
            assert abs((one.time - 0x01B21DD213814000) / 1e7 - now) < 60 and one.node >> 40 & 1


def test_tokens_are_signed_and_verified(project: LiveProject) -> None:
    project.psql(MAKE_ALL)
    token = project.psql("select sign('{\"sub\":\"1\"}', 'secret')")
    head, body, signature = token.split(".")
    expected = hmac.new(b"secret", f"{head}.{body}".encode(), hashlib.sha256).digest()
    assert signature == base64.urlsafe_b64encode(expected).decode().rstrip("=")
    assert json.loads(base64.urlsafe_b64decode(head + "==")) == {"alg": "HS256", "typ": "JWT"}
    assert project.psql(f"select payload, valid from verify('{token}', 'secret')") == '{"sub":"1"}|t'
    assert project.psql(f"select valid from verify('{token}', 'other')") == "f"


def test_jobs_requests_and_secrets_are_kept(project: LiveProject) -> None:
    project.psql(MAKE_ALL)
    job = project.psql("select cron.schedule('nightly', '0 3 * * *', 'select 1')")
    assert project.psql("select cron.schedule('nightly', '30 seconds', 'select 2')") == job
    assert project.psql("select schedule, command, username, active from cron.job") == "30 seconds|select 2|postgres|t"
    assert "invalid schedule" in project.psql_error("select cron.schedule('every day', 'select 1')")
    assert "permission denied" in project.psql_error("update cron.job set active = false")
    assert project.psql("select cron.unschedule('nightly'), (select count(*) from cron.job)").startswith("t|")
    assert "could not find valid entry" in project.psql_error("select cron.unschedule('nightly')")

    project.psql("select net.http_post('http://a/b', '{\"c\": 1}', '{\"d e\": \"f&\"}')")
    queued = project.psql("select method, url, convert_from(body, 'UTF8') from net.http_request_queue")
    assert queued == 'POST|http://a/b?d%20e=f%26|{"c": 1}'

    secret = project.psql("select vault.create_secret('s3cret', 'key', 'what for')")
    project.psql(f"select vault.update_secret('{secret}', 'n3w')")
    assert project.psql("select name, description, decrypted_secret from vault.decrypted_secrets") == "key|what for|n3w"
    assert "permission denied" in project.psql_error("set role anon; select * from vault.secrets")
    assert "stand-in" in project.psql("select graphql_public.graphql(query => '{ a }')")


def test_a_backup_with_them_is_proven_by_restoring_it(
    project: LiveProject, run_module: RunModule, tmp_path: Path
) -> None:
    project.psql(
        MAKE_ALL + "create table t (id uuid primary key default uuid_generate_v4()); insert into t default values"
    )
    # What the true extension says of itself.
    project.psql(
        "comment on extension \"uuid-ossp\" is 'generate universally unique identifiers (UUIDs)'", "supabase_admin"
    )
    made = run_module("backup", project="p", path=str(tmp_path / "backup"), verify="restore", **project.login)
    assert made.get("changed"), made
    notes = [note for note in made["manifest"]["verification"]["notes"] if MARK in note]
    assert len(notes) == 1 and 'extension "uuid-ossp" changed' in notes[0]


def test_a_dump_makes_them_again(project: LiveProject) -> None:
    project.psql(MAKE_ALL + "create table t (id uuid primary key default uuid_generate_v4())")
    command: list[Path | str] = [find_program("pg_dump"), "--schema-only", "--schema=public", "--extension=*"]
    dump = subprocess.run(
        command, env=libpq_environment(project.options), check=True, capture_output=True, encoding="utf-8"
    )
    assert 'CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA extensions;' in dump.stdout
    assert "CREATE EXTENSION IF NOT EXISTS pg_cron WITH SCHEMA pg_catalog;" in dump.stdout
    assert "DEFAULT extensions.uuid_generate_v4()" in dump.stdout


def test_an_installation_that_is_named_is_taken_as_it_is(server_state: Path) -> None:
    state_dir, pg_bin = server_state / "named", find_program("postgres").parent
    project = ensure_started(state_dir, "one", pg_bin=pg_bin, settings=FAST_SETTINGS).project
    try:
        assert project is not None
        database = LiveProject(project, "postgres")
        assert "pg_net" in database.psql_error("create extension pg_net")
        assert database.psql("select count(*) from pg_extension where extname = 'pg_graphql'") == "0"
        assert uuid.UUID(database.psql("select uuid_generate_v4()")).version == 4
    finally:
        ensure_absent(state_dir, "one")


def test_an_update_of_the_embedded_installation_is_followed(server_state: Path) -> None:
    state_dir = server_state / "updated"

    def started() -> LocalProject:
        project = ensure_started(state_dir, "one", settings=FAST_SETTINGS).project
        assert project is not None
        return project

    try:
        project = started()
        own = project.server.installation
        assert not own.is_symlink() and project.server.postgres == own / "bin" / "postgres"
        ensure_stopped(state_dir, "one")
        own = project.server.postgres
        # Processes of the server that has stopped may still end in it.
        own.unlink()
        own.write_bytes(b"another version's")
        project = started()
        assert LiveProject(project, "postgres").psql("select length(uuid_generate_v4()::text)") == "36"
    finally:
        ensure_absent(state_dir, "one")
