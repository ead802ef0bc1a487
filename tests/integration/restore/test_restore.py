# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores on real servers: all comes back, nothing else changes, and a refusal changes nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, session
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import server_error
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.integration import snapshots
from tests.integration.live import LiveProject, NewProject, RunModule

# Whatever a project may have in and around its schemas.
PROJECT = r"""
create extension citext schema public;
create extension pg_trgm schema public;
create schema billing;
comment on schema billing is 'Invoices';
grant usage on schema billing to authenticated;
create type public.mood as enum ('ok', 'bad');
create domain public.email as citext check (value ~ '@');
create table public.profiles (
    id uuid primary key references auth.users on delete cascade, name text not null, mail public.email,
    mood public.mood default 'ok', number int generated always as identity);
comment on table public.profiles is 'People';
comment on column public.profiles.name is 'Full name -- TOC entry 5 (class 1 OID 2)';
alter table public.profiles enable row level security;
create policy "own; row" on public.profiles for select to authenticated using (auth.uid() = id);
create index profiles_name on public.profiles using gin (name gin_trgm_ops);
revoke all on public.profiles from anon;
create table billing.invoices (
    id bigserial primary key, profile uuid references public.profiles, amount numeric(12, 2) check (amount >= 0), note text);
alter table billing.invoices enable row level security, force row level security;
grant select on billing.invoices to authenticated;
create view billing.totals with (security_invoker) as select profile, sum(amount) as total from billing.invoices group by 1;
create materialized view billing.cached as select count(*) as n from billing.invoices;
create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    -- TOC entry 1 (class 1 OID 1)
    insert into public.profiles (id, name) values (new.id, coalesce(new.email, '?'));
    return new;
end $$;
create trigger on_auth_user_created after insert on auth.users for each row execute function public.handle_new_user();
comment on trigger on_auth_user_created on auth.users is 'Makes a profile';
create policy "avatars are public" on storage.objects for select to anon, authenticated using (bucket_id = 'avatars');
create function public.touch() returns trigger language plpgsql as $$ begin new.note := 'touched'; return new; end $$;
create trigger touch before insert or update on billing.invoices for each row execute function public.touch();
alter default privileges in schema billing grant select on tables to authenticated;
alter default privileges in schema public revoke execute on functions from anon;
create table public.a (id int primary key);
create table public.b (id int primary key, a int references public.a deferrable initially deferred);
alter table public.a add b int references public.b deferrable;
create table public.parted (id int, at date) partition by range (at);
create table public.parted_2026 partition of public.parted for values from ('2026-01-01') to ('2027-01-01');
create sequence public.counter;
alter publication supabase_realtime add table public.profiles;
create table public."Odd ""table.name" (a int, "b c" text);
create table public.empty (a int);
create rule never as on insert to public.empty where new.a < 0 do instead nothing;
create table public.worked_by_another (a int);
grant create on schema public to supabase_storage_admin;
alter table public.worked_by_another owner to supabase_storage_admin;
revoke create on schema public from supabase_storage_admin;
do $$ begin perform setval('public.counter', 42); perform lo_create(4711); perform lo_put(4711, 0, 'hello'); end $$;
insert into auth.users (id, email) select gen_random_uuid(), i || '@x.y' from generate_series(1, 500) as i;
insert into auth.identities (provider_id, user_id, identity_data, provider)
    select id::text, id, '{"email": "A@b"}', 'email' from auth.users;
insert into storage.buckets (id, name) values ('avatars', 'avatars');
insert into storage.objects (bucket_id, name) select 'avatars', 'x/' || i from generate_series(1, 50) as i;
insert into billing.invoices (profile, amount) select id, 12.5 from public.profiles;
refresh materialized view billing.cached;
insert into public.a values (1, null);
insert into public.b values (1, 1);
update public.a set b = 1;
insert into public.parted select i, '2026-03-01' from generate_series(1, 10) as i;
insert into public."Odd ""table.name" values (1, E'\\.\n\\.\nx'), (2, E'tab\there\\N'), (3, '');
"""

# Something of each kind, made, changed and dropped.
MESS = r"""
create schema newer;
create table newer.t (id int);
create table public.added (id int);
create extension hstore schema public;
drop table public.a cascade;
alter table billing.invoices no force row level security;
alter table billing.invoices add extra int;
drop trigger on_auth_user_created on auth.users;
create function public.other() returns trigger language plpgsql as 'begin return null; end';
create trigger on_auth_user_other after insert or delete on auth.users for each row execute function public.other();
drop policy "avatars are public" on storage.objects;
create policy "by accident" on storage.objects for all using (true);
grant all on schema billing to anon;
revoke usage on schema public from anon;
comment on schema billing is 'changed';
alter default privileges in schema public revoke select on tables from anon;
alter default privileges grant select on tables to anon;
alter default privileges in schema billing revoke all on tables from authenticated;
drop index public.profiles_name;
drop extension pg_trgm;
create publication mine for table public.profiles;
alter publication supabase_realtime set (publish = 'insert');
alter table public.worked_by_another owner to postgres;
comment on table public.profiles is 'changed';
do $$ begin perform lo_unlink(4711); perform lo_create(99); perform setval('public.counter', 1); end $$;
delete from billing.invoices where id <= 10;
update billing.invoices set amount = 1 where id <= 30;
insert into billing.invoices (amount) values (1), (2), (3);
delete from auth.identities;
insert into auth.users (id, email) values (gen_random_uuid(), 'new@x');
insert into storage.objects (bucket_id, name) values ('avatars', 'new');
"""

# The rows of every table, in no order, and where every sequence is.
CONTENT = """
select n.nspname, c.relname, query_to_xml(format('select %s from %I.%I as t',
    case c.relkind when 'r' then 'md5(string_agg(md5(t::text), '','' order by md5(t::text)))' else 't.last_value, t.is_called' end,
    n.nspname, c.relname), true, true, '')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'S') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgops') order by 1, 2;
select lo_get(oid) from pg_largeobject_metadata order by oid;
"""


# PostgreSQL writes these otherwise once it has read its own writing, as a dump and its restore do.
WRITTEN_OTHERWISE = """
create table public.written_otherwise (
    status varchar(10) check (status in ('a', 'b, c', 'd''e')), x int, y int,
    check (x between 1 and 2 and y between 3 and 4 and (x > 0 or y > 0 or x + y > 2)));
create index written_otherwise_some on public.written_otherwise (x) where status in ('a', 'd''e') and x between 1 and 2 and y > 3;
create policy otherwise on public.written_otherwise using (status not in ('a', 'b') and (x between 1 and 2 and y > 3));
create view public.written_view as select * from public.written_otherwise where status in ('a') and x between 1 and 2 and y = 1;
create function public.written_atomic(x int, y int) returns bool language sql begin atomic
    select x between 1 and 2 and y > 3; select x between 3 and 4 and (y > 5 or x > 6 or y > 7); end;
create function public.written_return(x int, status varchar) returns bool language sql
    return x between 1 and 2 and x > 3 and status in ('a', 'b');
"""


# What some minor releases write into a column's options by themselves; they, too, let no user set it.
COUNTED_VERSIONS = """
set allow_system_table_mods = on;
alter table billing.invoices alter column note set (n_distinct = 7);
update pg_attribute set attoptions = case attname when 'note' then array['n_distinct=7', 'pg_attver=3'] else array['pg_attver=1'] end
where attrelid = 'billing.invoices'::regclass and attname in ('amount', 'note')
   or attrelid = 'billing.cached'::regclass and attname = 'n';
"""


# What a hosted project has of the platform's: an extension that no other server knows, one in a version that is not to be had,
# an event trigger in a schema that no backup holds, and tables that postgres may only read.
OF_THE_PLATFORM = """
create extension hstore schema extensions;
set allow_system_table_mods = on;
update pg_extension set extname = 'wrappers' where extname = 'hstore';
update pg_extension set extversion = '0.9' where extname = 'pgcrypto';
create function extensions.watch() returns event_trigger language plpgsql as 'begin end';
create table public.with_uuids (id uuid default extensions.uuid_generate_v4());
alter table public.with_uuids owner to postgres;
create event trigger platform_watch on ddl_command_end execute function extensions.watch();
create table storage.table_to_come (id text primary key);
revoke all on storage.table_to_come from postgres;
grant select on storage.table_to_come to postgres;
"""


# In tables of extensions, and of schemas, that no backup holds.
NOT_HELD = """
create schema cron; create schema pgmq;
create view cron.job as select jobid from generate_series(1, 1) as jobid where 1 / (jobid - 1) = 1;
create table pgmq.meta (queue_name text); insert into pgmq.meta values ('q');
select vault.create_secret('x', 'one');
grant usage on schema cron, pgmq to postgres; grant select on cron.job, pgmq.meta to postgres;
create table public.configured (id int); grant select on public.configured to postgres;
insert into public.configured values (1), (2); alter extension citext add table public.configured;
"""


@pytest.fixture
def filled(project: LiveProject) -> LiveProject:
    project.psql(PROJECT)
    return project


class Restores:
    """Backups and restores of one project, each in a run's directory of its own."""

    def __init__(self, project: LiveProject, run_module: RunModule, directory: Path) -> None:
        self.project, self._run_module, self._directory = project, run_module, directory
        self._runs = 0

    def run_dir(self) -> Path:
        self._runs += 1
        return self._directory / f"run{self._runs}"

    def backup(self, **params: Any) -> tuple[Path, dict[str, Any]]:
        run_dir = self.run_dir()
        done = self._run_module("backup", **self.project.login, project="p", run_dir=str(run_dir), **params)
        assert done["changed"], done
        return run_dir / "backup", done["manifest"]

    def restore(
        self, backup: Path, *, check: bool = False, into: LiveProject | None = None, **params: Any
    ) -> dict[str, Any]:
        target = into or self.project
        defaults = {**target.login, "project": "p", "run_dir": str(self.run_dir()), "backup": str(backup)}
        if "consent" not in params and into is None:
            params["consent"] = f"p {json.loads((backup / 'manifest.json').read_text())['backup_id']}"
        return self._run_module("restore", check=check, **{**defaults, **params})

    def state(self, project: LiveProject | None = None) -> tuple[snapshots.Snapshot, str]:
        """All there is: the catalog by pg_dump, without the order in which rights were granted, and the rows by their hash."""
        of = project or self.project
        taken = snapshots.take(of, self._directory / "nothing")
        in_no_order = "\n".join(sorted(taken.catalog.splitlines()))
        return dataclasses.replace(taken, catalog=in_no_order), of.psql(CONTENT, SUPERUSER)


@pytest.fixture
def restores(filled: LiveProject, run_module: RunModule, tmp_path: Path) -> Restores:
    return Restores(filled, run_module, tmp_path)


def test_everything_comes_back_as_it_was_and_twice(restores: Restores) -> None:
    backup, manifest = restores.backup()
    before = restores.state()
    project = restores.project
    for round_number in range(2):
        project.psql(MESS)
        assert restores.state() != before
        done = restores.restore(backup)
        assert done.get("changed") and done["restore"]["committed"], done
        assert restores.state() == before, round_number
        assert done["restore"]["catalog_found"] == manifest["catalog_fingerprint"]
        assert done["restore"]["counts"]["verdict"] == "PASS"
        assert done["restore"]["rows"] == manifest["counts"]["total"]
        assert done["restore"]["schemas_dropped"] == ["newer"]
    # What pg_dump does not write down, and what an application does.
    assert project.psql(
        "select tgname, tgenabled from pg_trigger where tgrelid = 'auth.users'::regclass and not tgisinternal"
    ) == ("on_auth_user_created|O")
    assert project.psql(
        "select polname, polroles::regrole[] from pg_policy where polrelid = 'storage.objects'::regclass"
    ) == ("avatars are public|{anon,authenticated}")
    assert project.psql("select extname, extnamespace::regnamespace from pg_extension order by 1") == (
        "citext|public\npg_graphql|graphql\npg_stat_statements|extensions\npg_trgm|public\npgcrypto|extensions\n"
        "plpgsql|pg_catalog\nsupabase_vault|vault\nuuid-ossp|extensions"
    )
    assert (
        project.psql("select tableowner from pg_tables where tablename = 'worked_by_another'")
        == "supabase_storage_admin"
    )
    project.psql("insert into auth.users (id, email) values (gen_random_uuid(), 'after@x')")
    assert project.psql("select count(*) from public.profiles where name = 'after@x'") == "1"
    assert project.psql("select count(*) from pg_stats where schemaname in ('public', 'billing')") != "0"


def test_what_postgresql_writes_in_two_ways_is_the_same(restores: Restores) -> None:
    restores.project.psql(WRITTEN_OTHERWISE)
    backup, manifest = restores.backup()
    written = restores.state()
    for _round in range(2):
        done = restores.restore(backup)
        assert done.get("changed") and done["restore"]["catalog_found"] == manifest["catalog_fingerprint"], done
        # Otherwise this would show nothing.
        assert restores.state()[0].catalog != written[0].catalog
        assert restores.state()[1] == written[1]


def test_what_the_server_counts_in_a_columns_options_is_left_to_it(restores: Restores) -> None:
    project = restores.project
    project.psql(COUNTED_VERSIONS, SUPERUSER)
    backup, manifest = restores.backup(verify="restore")
    assert manifest["verification"]["method"] == "restore"
    done = restores.restore(backup)
    assert done.get("changed") and done["restore"]["catalog_found"] == manifest["catalog_fingerprint"], done
    options = "select attrelid::regclass, attname, attoptions from pg_attribute where attoptions is not null"
    assert project.psql(options) == "billing.invoices|note|{n_distinct=7}"


def test_a_deletion_that_the_storage_guards_is_told_how_it_can_be_meant(project: LiveProject) -> None:
    guard = (
        "do $$ begin raise exception using errcode = '42501', message = "
        "'Direct deletion from storage tables is not allowed. Use the Storage API instead.'; end $$"
    )
    with session(project.options) as connection, pytest.raises(psycopg2.Error) as caught:
        execute(connection, guard)
    assert "storage.allow_delete_query" in (server_error(caught.value, "It failed", "here").next_step or "")


def test_what_a_backup_does_not_hold_is_named_when_it_is_made_and_when_it_is_restored(restores: Restores) -> None:
    restores.project.psql(NOT_HELD, SUPERUSER)
    backup, manifest = restores.backup()
    assert manifest["not_held"] == [
        {"what": "cron jobs", "count": None},
        {"what": "pgmq queues", "count": 1},
        {"what": "vault secrets", "count": 1},
        {"what": "Storage files", "count": 50},
        {"what": "rows of an extension's table public.configured", "count": 2},
    ]
    done = restores.restore(backup)
    assert done.get("changed"), done
    assert done["restore"]["not_held"][:3] == ["cron jobs (not countable)", "1 pgmq queues", "1 vault secrets"]


def test_cron_jobs_come_back(restores: Restores, new_project: NewProject) -> None:
    project = restores.project
    if project.psql("select count(*) from pg_available_extensions where name = 'pg_cron'") == "0":
        pytest.skip("this server has no pg_cron")
    project.psql("create extension pg_cron")
    project.psql("""select cron.schedule('nightly', '0 3 * * *', $$select 'it''s late'$$);
        select cron.schedule('*/5 * * * *', 'vacuum');
        select cron.alter_job(cron.schedule('idle', '0 4 * * *', 'select 2'), active := false);""")
    jobs = "select jobname, schedule, command, active from cron.job order by 2, 3"
    before = project.psql(jobs)
    backup, manifest = restores.backup()
    assert not [item for item in manifest["not_held"] if item["what"] == "cron jobs"]
    assert (backup / "cron-jobs.sql").stat().st_mode & 0o777 == 0o600
    for _time in range(2):
        project.psql("select cron.unschedule(jobid) from cron.job")
        project.psql("select cron.schedule('nightly', '9 9 * * *', 'select 9')")
        done = restores.restore(backup)
        assert done.get("changed"), done
        assert project.psql(jobs) == before
        assert any("cron jobs of the backup are scheduled" in note for note in done["restore"]["notes"])
    project.psql("select cron.schedule('newer', '0 5 * * *', 'select 3')")
    assert restores.restore(backup).get("changed")
    assert project.psql("select count(*) from cron.job") == "4"
    # A copy must not do the project's work a second time.
    elsewhere = new_project()
    elsewhere.psql("create extension pg_cron")
    assert restores.restore(backup, into=elsewhere, elsewhere=True).get("changed")
    assert elsewhere.psql("select count(*) from cron.job") == "0"


def test_what_is_the_platforms_is_neither_demanded_nor_touched(restores: Restores) -> None:
    project = restores.project
    project.psql(OF_THE_PLATFORM, SUPERUSER)
    backup, manifest = restores.backup(verify="restore")
    assert "wrappers" in manifest["platform_extensions"] and "citext" not in manifest["platform_extensions"]
    notes = "\n".join(manifest["verification"]["notes"])
    assert "extension wrappers of the platform is left out" in notes
    # An event trigger whose function is the platform's is in no catalog.
    assert "platform_watch" not in notes and "extension pgcrypto changed: version: 0.9 -> " in notes
    before = restores.state()
    project.psql("delete from billing.invoices")
    done = restores.restore(backup)
    assert done.get("changed"), done
    assert restores.state() == before


# One with a function in a schema of the project, one in a schema of the platform; theirs on the platform is postgres, who here
# may not make them.
EVENT_TRIGGERS_OF_OURS = """
create function public.on_ddl() returns event_trigger language plpgsql as 'begin end';
alter function public.on_ddl() owner to postgres;
create event trigger ours on ddl_command_end execute function public.on_ddl();
create function extensions.on_ddl() returns event_trigger language plpgsql as 'begin end';
create event trigger ours_there on ddl_command_end execute function extensions.on_ddl();
set allow_system_table_mods = on;
update pg_event_trigger set evtowner = 'postgres'::regrole where evtname like 'ours%';
"""


def test_event_triggers_of_the_project_come_back_and_are_told_where_their_function_is_not_held(
    restores: Restores,
) -> None:
    project = restores.project
    project.psql(EVENT_TRIGGERS_OF_OURS, SUPERUSER)
    listed = "select string_agg(evtname || ' ' || evtenabled::text, ' ' order by evtname) from pg_event_trigger"
    before = project.psql(listed)
    # Made in the scratch server, where the platform's are not: ours, whose function the archive has.
    backup, manifest = restores.backup(verify="restore")
    assert "event trigger ours" not in "\n".join(manifest["verification"]["notes"])
    there = "event triggers of yours with functions in schemas of the platform"
    assert {"what": there, "count": 1} in manifest["not_held"]
    options = project.superuser_options
    superuser: dict[str, Any] = {"login_user": options.login_user, "login_password": options.login_password}
    for _time in range(2):
        done = restores.restore(backup, **superuser)
        assert done.get("changed"), done
        assert project.psql(listed) == before
    assert project.psql("select evtowner::regrole from pg_event_trigger where evtname = 'ours'") == "postgres"
    assert project.psql("select rolsuper from pg_roles where rolname = 'postgres'") == "f"


def test_event_triggers_of_the_platform_come_from_no_backup(restores: Restores, new_project: NewProject) -> None:
    backup, _manifest = restores.backup()
    elsewhere = new_project()
    elsewhere.psql("drop event trigger pgrst_ddl_watch; drop event trigger issue_pg_cron_access", SUPERUSER)
    listed = "select string_agg(evtname, ' ' order by evtname) from pg_event_trigger"
    before = elsewhere.psql(listed)
    for _time in range(2):
        done = restores.restore(backup, into=elsewhere, elsewhere=True)
        assert done.get("changed"), done
        assert elsewhere.psql(listed) == before
        elsewhere = new_project()
        before = elsewhere.psql(listed)


def test_rows_of_the_platforms_that_came_since_are_refused_where_they_cannot_be_replaced(restores: Restores) -> None:
    restores.project.psql(OF_THE_PLATFORM, SUPERUSER)
    backup, _manifest = restores.backup()
    restores.project.psql("insert into storage.table_to_come values ('a')", SUPERUSER)
    refused = restores.restore(backup)
    assert (
        refused["failed"] and "may not empty and fill" in refused["msg"] and "storage.table_to_come" in refused["msg"]
    )


def test_a_difference_that_is_accepted_by_name_is_recorded(restores: Restores) -> None:
    backup, _manifest = restores.backup()
    # Who owns it may give default privileges that the project's role cannot take back.
    restores.project.psql(
        "alter default privileges for role supabase_admin in schema billing grant select on tables to anon", SUPERUSER
    )
    refused = restores.restore(backup)
    assert refused["error"]["code"] == "verification", refused
    key = "default privileges of supabase_admin for tables in billing"
    assert f"{key} created" in refused["msg"] and "accept" in refused["msg"]
    done = restores.restore(backup, accept=[key])
    assert done.get("changed"), done
    assert [change["object_type"] for change in done["restore"]["tolerated"]] == ["default privileges"]


def test_what_was_there_is_kept_aside_and_can_be_brought_back(restores: Restores) -> None:
    backup, _manifest = restores.backup()
    restores.project.psql(MESS)
    messed = restores.state()
    done = restores.restore(backup)
    aside = Path(done["restore"]["aside"])
    assert json.loads((aside / "manifest.json").read_text())["reason"].startswith("before the restore of ")
    again = restores.restore(aside)
    assert again.get("changed"), again
    assert restores.state() == messed


def test_it_says_how_many_rows_were_written_since_and_takes_exactly_one_consent(restores: Restores) -> None:
    backup, manifest = restores.backup()
    restores.project.psql(MESS)
    messed = restores.state()
    consent = f"p {manifest['backup_id']}"
    for given in (None, "yes", "p", f"q {manifest['backup_id']}", manifest["backup_id"]):
        refused = restores.restore(backup, consent=given)
        assert refused["failed"] and refused["error"]["code"] == "consent", refused
        assert f"consent: '{consent}'" in refused["msg"]
    assert "billing.invoices: lost are 23 rows written since, back come 30 changed or deleted since" in refused["msg"]
    assert "public.added: came after the backup" in refused["msg"]
    assert "schema newer: came after the backup, is dropped" in refused["msg"]
    losses = {f"{loss['schema']}.{loss['table']}": loss for loss in refused["restore"]["losses"]}
    # 500 invoices: 10 deleted, 20 changed, 3 new.
    assert losses["billing.invoices"] | {"schema": "", "table": ""} == {
        "schema": "", "table": "", "in_backup": 500, "now": 493, "written_since": 23, "gone_since": 30,
    }  # fmt: skip
    assert losses["auth.users"]["written_since"] == 1
    assert losses["auth.identities"] | {"schema": "", "table": ""} == {
        "schema": "", "table": "", "in_backup": 500, "now": 0, "written_since": 0, "gone_since": 500,
    }  # fmt: skip
    assert (
        losses["public.a"]["now"] is None and losses["public.b"]["written_since"] == 0 if "public.b" in losses else True
    )
    assert restores.state() == messed
    checked = restores.restore(backup, check=True, consent=None)
    assert checked["changed"] and checked["restore"]["consent"] == consent and not checked["restore"]["committed"]
    assert restores.state() == messed


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing", "manifest", "catalog", "swapped"])
def test_a_backup_that_is_not_as_it_was_written_is_refused(restores: Restores, damage: str) -> None:
    backup, _manifest = restores.backup()
    before = restores.state()
    largest = max((backup / "database").glob("*.dat*"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
        largest.write_bytes(content)
    elif damage == "truncated":
        os.truncate(largest, len(content) // 2)
    elif damage == "missing":
        largest.unlink()
    elif damage == "manifest":
        text = (backup / "manifest.json").read_text()
        (backup / "manifest.json").write_text(text.replace('"rows": 500', '"rows": 501'))
    elif damage == "catalog":
        (backup / "catalog.json").write_text("{}\n")
    else:
        other = sorted((backup / "database").glob("*.dat*"), key=lambda path: path.stat().st_size)[-2]
        largest.write_bytes(other.read_bytes())
    refused = restores.restore(backup)
    assert refused["failed"] and refused["error"]["code"] == "restore", refused
    assert "is not what was written" in refused["msg"]
    assert restores.state() == before


def test_another_projects_backup_and_another_database_are_refused(restores: Restores, new_project: NewProject) -> None:
    backup, manifest = restores.backup()
    before = restores.state()
    assert "is a backup of p, not of q" in restores.restore(backup, project="q")["msg"]
    other = new_project()
    state = restores.state(other)
    refused = restores.restore(backup, into=other, consent=f"p {manifest['backup_id']}")
    assert refused["failed"] and "is not the one that was backed up" in refused["msg"]
    assert "elsewhere: true" in refused["msg"]
    assert restores.state(other) == state
    restores.project.psql(
        "create schema pgops; create table pgops.project_marker (singleton boolean, project text, ref text, environment text, "
        "created_at timestamptz default now(), system_identifier text); insert into pgops.project_marker values (true, 'q', null, 'prod')"
    )
    assert "marked as q" in restores.restore(backup)["msg"]
    assert restores.state() == before


def test_into_another_database_without_consent_only_when_it_is_empty(
    restores: Restores, new_project: NewProject
) -> None:
    backup, manifest = restores.backup()
    before = restores.state()
    other = new_project()
    done = restores.restore(backup, into=other, elsewhere=True)
    assert done.get("changed") and done["restore"]["consent"] is None and done["restore"]["aside"] is None, done
    assert restores.state(other) == before
    other.psql("delete from billing.invoices where id = 1")
    changed = restores.state(other)
    for given in (None, f"p {manifest['backup_id']}"):
        refused = restores.restore(backup, into=other, elsewhere=True, consent=given)
        assert refused["failed"] and refused["error"]["code"] == "consent"
    assert restores.state(other) == changed
    words = re.search(r"consent: '([^']*)'", refused["msg"])
    assert words is not None and words[1].startswith(f"p {manifest['backup_id']} into {other.database} on ")
    again = restores.restore(backup, into=other, elsewhere=True, consent=words[1])
    assert again.get("changed") and Path(again["restore"]["aside"]).is_dir()
    assert restores.state(other) == before
    assert restores.state() == before


def test_an_extension_or_a_role_that_the_target_lacks_is_named_beforehand(
    restores: Restores, new_project: NewProject
) -> None:
    restores.project.psql("create role lacking; grant select on public.empty to lacking")
    backup, _manifest = restores.backup()
    restores.project.psql("revoke all on public.empty from lacking; drop role lacking")
    other = new_project()
    before = restores.state(other)
    refused = restores.restore(backup, into=other, elsewhere=True)
    assert refused["failed"] and "does not have these roles" in refused["msg"] and "lacking" in refused["msg"]
    assert restores.state(other) == before


def test_what_hangs_on_the_project_from_outside_is_not_dropped(restores: Restores) -> None:
    backup, _manifest = restores.backup()
    restores.project.psql("create view extensions.hanging as select * from billing.invoices", SUPERUSER)
    before = restores.state()
    refused = restores.restore(backup)
    assert refused["failed"] and "view extensions.hanging dropped" in refused["msg"], refused
    assert refused["error"]["state"] == "the restore was rolled back: the database is as it was before"
    assert restores.state() == before


def test_a_result_that_is_not_the_manifests_is_rolled_back(restores: Restores) -> None:
    backup, _manifest = restores.backup()
    # An archive, whole by every hash, that is not of the same state as the manifest's counts.
    manifest = json.loads((backup / "manifest.json").read_text())
    for count in manifest["counts"]["tables"]:
        if count["table"] == "invoices":
            count["rows"] += 1
    (backup / "manifest.json").write_text(json.dumps(manifest))
    hashed = subprocess.run(["sha256sum", backup / "manifest.json"], capture_output=True, text=True, check=True).stdout
    (backup / "manifest.json.sha256").write_text(hashed.split(" ")[0] + "  manifest.json\n")
    restores.project.psql(MESS)
    before = restores.state()
    refused = restores.restore(backup)
    assert refused["failed"] and refused["error"]["code"] == "verification", refused
    assert "billing.invoices: -1 row" in refused["msg"]
    assert not refused["changed"]
    assert restores.state() == before


def test_the_history_goes_back_and_the_ledger_goes_on(
    restores: Restores, run_module: RunModule, tmp_path: Path
) -> None:
    project, supabase = restores.project, tmp_path / "supabase"
    for version, statement in (
        ("20260101000000", "create table public.one (a int);"),
        ("20260102000000", "create table public.two (a int);"),
    ):
        file = supabase / "migrations" / f"{version}_m.sql"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(statement)
        if version == "20260102000000":
            backup, _manifest = restores.backup()
        applied = run_module("migration", **project.login, supabase_dir=str(supabase), run_id=f"r-{version}")
        assert applied["changed"], applied
    run_module("run_lease", **project.login, state="held", run_id="now")
    done = restores.restore(backup, reason="wrong")
    assert done.get("changed"), done
    assert done["restore"]["migrations_removed"] == ["20260102000000"]
    assert project.psql("select version from supabase_migrations.schema_migrations") == "20260101000000"
    events = project.psql("select event, version from pgops.ledger order by event_id").splitlines()
    assert events[-2:] == ["rolled_back|20260102000000", "restored|"]
    assert events.count("applied|20260102000000") == 1
    assert project.psql("select owner from pgops.lease") == "now"
    info = run_module("migration_info", **project.login, supabase_dir=str(supabase))["migration_info"]
    assert (info["applied"], info["pending"]) == (["20260101000000"], ["20260102000000"])
    again = run_module("migration", **project.login, supabase_dir=str(supabase), run_id="again")
    assert again["changed"], again


def test_rows_written_during_the_restore_wait_and_none_is_lost(restores: Restores) -> None:
    """A writer adds rows one by one all the while: each is in the copy aside, or was refused, or came after."""
    backup, _manifest = restores.backup()
    project = restores.project
    written: list[int] = []
    stop = threading.Event()

    def write() -> None:
        with session(project.options) as connection:
            connection.autocommit = True
            number = 1000
            while not stop.is_set():
                execute(connection, "insert into public.empty values (%s)", [number])
                written.append(number)
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(written) < 20:
            time.sleep(0.01)
        done = restores.restore(backup)
    finally:
        stop.set()
        writer.join()
    assert done.get("changed"), done
    aside = json.loads((Path(done["restore"]["aside"]) / "manifest.json").read_text())
    kept = next(c["rows"] for c in aside["counts"]["tables"] if c["table"] == "empty")
    assert kept + int(project.psql("select count(*) from public.empty")) == len(written)


def test_a_table_that_is_being_read_is_waited_for_and_then_given_up(restores: Restores) -> None:
    backup, _manifest = restores.backup()
    before = restores.state()
    with session(restores.project.options) as connection:
        execute(connection, "select * from billing.invoices")
        refused = restores.restore(backup, lock_timeout_seconds=0.3, retries=1)
    assert refused["failed"] and refused["error"]["details"]["sqlstate"] == "55P03", refused
    assert refused["error"]["state"] == "the restore was rolled back: the database is as it was before"
    assert restores.state() == before


def test_a_restore_that_is_killed_leaves_everything_as_it_was(
    restores: Restores, run_module: RunModule, new_project: NewProject
) -> None:
    backup, _manifest = restores.backup()
    restores.project.psql(MESS)
    before = restores.state()
    project = restores.project
    outcome: list[dict[str, Any]] = []
    reader: Callable[[], None] = lambda: outcome.append(restores.restore(backup))
    thread = threading.Thread(target=reader)
    thread.start()
    # Between the copy aside and COMMIT there is always a moment in which the tables are locked against reading.
    locked = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted and relation = 'auth.users'::regclass"
    for _attempt in range(2000):
        if project.psql(locked) != "0":
            break
    project.psql(
        "select pg_terminate_backend(pid) from pg_locks where mode = 'AccessExclusiveLock' and relation = 'auth.users'::regclass",
        SUPERUSER,
    )
    thread.join()
    assert outcome[0].get("failed"), outcome
    assert restores.state() == before


def test_rows_of_single_tables_come_back_beside_them(restores: Restores) -> None:
    backup, _manifest = restores.backup()
    project = restores.project
    names = ["billing.invoices", "auth.users", 'public."Odd ""table.name"', "a"]
    project.psql(
        'drop table public.a cascade; delete from billing.invoices where id > 490; delete from public."Odd ""table.name"'
    )
    before = restores.state()
    checked = restores.restore(backup, tables=names, consent=None, check=True)
    assert checked["changed"] and project.psql("select to_regclass('pgops.restored_a') is null") == "t"
    done = restores.restore(backup, tables=names, consent=None)
    assert done.get("changed"), done
    assert {t["into"]: t["rows"] for t in done["restored_rows"]["tables"]} == {
        "pgops.restored_billing_invoices": 500,
        "pgops.restored_auth_users": 500,
        'pgops.restored_Odd "table.name': 3,
        "pgops.restored_a": 1,
    }
    assert restores.state() == before
    assert project.psql("select count(*) from pgops.restored_billing_invoices where id > 490") == "10"
    assert project.psql("select count(*) from pgops.restored_auth_users r join auth.users u using (id, email)") == "500"
    assert "permission denied" in project.psql_error("set role anon; select * from pgops.restored_a")
    again = restores.restore(backup, tables=["a"], consent=None)
    assert again["failed"] and 'drop table "pgops"."restored_a"' in again["msg"]
    missing = restores.restore(backup, tables=["public.nothing"], consent=None)
    assert missing["failed"] and "holds no rows of public.nothing" in missing["msg"]
