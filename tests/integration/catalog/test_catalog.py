# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog of real databases: every kind of change shows, nothing else does."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path
from typing import Any

import psycopg2.extensions

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    Catalog,
    compare_catalogs,
    fingerprint,
    read_catalog,
    user_schemas,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    execute,
    fetch_all,
    fetch_value,
    libpq_environment,
    session,
)
from tests.integration import live

SCHEMA = """
create schema app;
create extension if not exists pgcrypto schema extensions;
create type public.status as enum ('new', 'done');
create type public.money_pair as (amount numeric, currency text);
create domain public.email as text check (value like '%@%');
create sequence public.tickets;
create table public.profiles (
    id uuid primary key, name text not null default 'nobody', "deletedBy" uuid, age integer, note text,
    state public.status not null default 'new', serial_no serial, born date default date '2000-02-01');
alter table public.profiles enable row level security;
create table public.orders (
    id bigint generated always as identity primary key,
    profile uuid constraint orders_profile references public.profiles,
    price numeric constraint positive check (price > 0), total numeric generated always as (price * 2) stored);
create index orders_profile_index on public.orders (profile);
create table public.events (at timestamptz not null, what text) partition by range (at);
create table public.events_2026 partition of public.events for values from ('2026-01-01') to ('2027-01-01');
create table public.events_2027 (at timestamptz not null, what text);
create view public.adults with (security_invoker = true) as select id, name from public.profiles where age > 17;
create materialized view public.totals as select profile, sum(total) as total from public.orders group by profile;
create function public.f(a text, b integer default 1) returns text language sql as 'select $1';
create function public.touch() returns trigger language plpgsql as 'begin return new; end';
create procedure public.p(a integer) language sql as 'select 1';
create aggregate public.longest(text) (sfunc = pg_catalog.textcat, stype = text);
create trigger touched before update on public.profiles for each row execute function public.touch();
create trigger welcome after insert on auth.users for each row execute function public.touch();
create policy mine on public.profiles for select to authenticated using (id = auth.uid());
create policy pictures on storage.objects for select to anon using (name = 'x');
create rule quiet as on delete to public.orders do instead nothing;
create statistics public.related on name, age from public.profiles;
create publication feed for table public.profiles;
alter default privileges in schema app grant select on tables to anon;
grant select on public.profiles to anon;
grant update (name) on public.profiles to authenticated;
grant all on public.orders, public.orders_id_seq to postgres;
comment on table public.orders is 'what was ordered';
comment on column public.orders.price is 'in cents';
create function public.on_ddl() returns event_trigger language plpgsql as 'begin end';
create event trigger watch on ddl_command_end execute function public.on_ddl();
"""

CHANGES = [
    ("create schema extra", "drop schema extra"),
    ("comment on schema app is 'x'", "comment on schema app is null"),
    ("grant usage on schema app to anon", "revoke usage on schema app from anon"),
    ("alter schema app owner to postgres", "alter schema app owner to supabase_admin"),
    ("create table public.t (a int)", "drop table public.t"),
    ("alter table public.profiles rename to people", "alter table public.people rename to profiles"),
    (
        "alter table public.orders owner to postgres",
        "alter table public.orders owner to supabase_admin; grant all on public.orders, public.orders_id_seq to postgres",
    ),
    ("alter table public.orders set (fillfactor = 70)", "alter table public.orders reset (fillfactor)"),
    ("alter table public.orders set unlogged", "alter table public.orders set logged"),
    (
        "alter table public.orders set (toast.autovacuum_enabled = off)",
        "alter table public.orders reset (toast.autovacuum_enabled)",
    ),
    ("alter table public.profiles disable row level security", "alter table public.profiles enable row level security"),
    ("alter table public.profiles force row level security", "alter table public.profiles no force row level security"),
    ("alter table public.orders replica identity full", "alter table public.orders replica identity default"),
    (
        "alter table public.events attach partition public.events_2027 for values from ('2027-01-01') to ('2028-01-01')",
        "alter table public.events detach partition public.events_2027",
    ),
    ("alter table public.profiles add extra int", "alter table public.profiles drop extra"),
    ("alter table public.profiles alter note type varchar(9)", "alter table public.profiles alter note type text"),
    ("alter table public.profiles alter age set not null", "alter table public.profiles alter age drop not null"),
    ("alter table public.profiles alter age set default 1", "alter table public.profiles alter age drop default"),
    (
        "alter table public.profiles alter note set storage external",
        "alter table public.profiles alter note set storage extended",
    ),
    (
        "alter table public.profiles alter note set compression pglz",
        "alter table public.profiles alter note set compression default",
    ),
    (
        "alter table public.profiles alter note set statistics 500",
        "alter table public.profiles alter note set statistics -1",
    ),
    (
        "alter table public.profiles alter note set (n_distinct = 5)",
        "alter table public.profiles alter note reset (n_distinct)",
    ),
    (
        'alter table public.profiles alter note type text collate "C"',
        "alter table public.profiles alter note type text collate pg_catalog.default",
    ),
    (
        "alter table public.orders alter id set generated by default",
        "alter table public.orders alter id set generated always",
    ),
    ("alter table public.profiles rename note to notes", "alter table public.profiles rename notes to note"),
    ("comment on column public.orders.price is 'euro'", "comment on column public.orders.price is 'in cents'"),
    (
        "revoke update (name) on public.profiles from authenticated",
        "grant update (name) on public.profiles to authenticated",
    ),
    ("grant insert on public.profiles to pg_monitor", "revoke insert on public.profiles from pg_monitor"),
    (
        "grant select on public.profiles to anon with grant option",
        "revoke grant option for select on public.profiles from anon",
    ),
    ("comment on table public.orders is 'other'", "comment on table public.orders is 'what was ordered'"),
    ("alter type public.money_pair add attribute at date", "alter type public.money_pair drop attribute at"),
    (
        "alter type public.status rename value 'done' to 'ended'",
        "alter type public.status rename value 'ended' to 'done'",
    ),
    ("alter domain public.email set not null", "alter domain public.email drop not null"),
    (
        "alter domain public.email add constraint short check (length(value) < 99)",
        "alter domain public.email drop constraint short",
    ),
    ("create type public.span as range (subtype = integer)", "drop type public.span"),
    ("alter sequence public.tickets increment 2", "alter sequence public.tickets increment 1"),
    ("alter sequence public.tickets owned by public.orders.id", "alter sequence public.tickets owned by none"),
    (
        "alter table public.orders drop constraint positive",
        "alter table public.orders add constraint positive check (price > 0)",
    ),
    (
        "alter table public.orders drop constraint orders_profile, "
        "add constraint orders_profile foreign key (profile) references public.profiles not valid",
        "alter table public.orders validate constraint orders_profile",
    ),
    (
        "alter table public.orders alter constraint orders_profile deferrable initially deferred",
        "alter table public.orders alter constraint orders_profile not deferrable",
    ),
    ("alter table public.orders disable trigger all", "alter table public.orders enable trigger all"),
    ("create index extra on public.profiles (age) where age > 1", "drop index public.extra"),
    (
        "drop index public.orders_profile_index; create index orders_profile_index on public.orders using hash (profile)",
        "drop index public.orders_profile_index; create index orders_profile_index on public.orders (profile)",
    ),
    (
        "update pg_index set indisvalid = false where indexrelid = 'public.orders_profile_index'::regclass",
        "update pg_index set indisvalid = true where indexrelid = 'public.orders_profile_index'::regclass",
    ),
    ("alter table public.orders cluster on orders_pkey", "alter table public.orders set without cluster"),
    (
        "alter view public.adults set (security_invoker = false)",
        "alter view public.adults set (security_invoker = true)",
    ),
    (
        "create or replace view public.adults as select id, name from public.profiles where age > 20",
        "create or replace view public.adults with (security_invoker = true) as "
        "select id, name from public.profiles where age > 17",
    ),
    ("refresh materialized view public.totals with no data", "refresh materialized view public.totals"),
    (
        "create or replace function public.f(a text, b integer default 1) returns text language sql as 'select $1 || 1'",
        "create or replace function public.f(a text, b integer default 1) returns text language sql as 'select $1'",
    ),
    (
        "alter function public.f(text, integer) security definer",
        "alter function public.f(text, integer) security invoker",
    ),
    (
        "alter function public.f(text, integer) set search_path = ''",
        "alter function public.f(text, integer) reset search_path",
    ),
    (
        "revoke execute on function public.f(text, integer) from public",
        "grant execute on function public.f(text, integer) to public",
    ),
    ("create function public.f(a date) returns int language sql as 'select 1'", "drop function public.f(date)"),
    (
        "create or replace procedure public.p(a integer) language sql as 'select 2'",
        "create or replace procedure public.p(a integer) language sql as 'select 1'",
    ),
    (
        "create or replace aggregate public.longest(text) (sfunc = pg_catalog.textcat, stype = text, initcond = 'x')",
        "create or replace aggregate public.longest(text) (sfunc = pg_catalog.textcat, stype = text)",
    ),
    ("alter table public.profiles disable trigger touched", "alter table public.profiles enable trigger touched"),
    (
        "drop trigger welcome on auth.users",
        "create trigger welcome after insert on auth.users for each row execute function public.touch()",
    ),
    (
        "alter policy mine on public.profiles using (true)",
        "alter policy mine on public.profiles using (id = auth.uid())",
    ),
    ("alter policy mine on public.profiles to anon", "alter policy mine on public.profiles to authenticated"),
    (
        "drop policy pictures on storage.objects",
        "create policy pictures on storage.objects for select to anon using (name = 'x')",
    ),
    ("drop rule quiet on public.orders", "create rule quiet as on delete to public.orders do instead nothing"),
    ("drop statistics public.related", "create statistics public.related on name, age from public.profiles"),
    ("alter publication feed add table public.orders", "alter publication feed drop table public.orders"),
    (
        "alter publication feed set (publish = 'insert')",
        "alter publication feed set (publish = 'insert, update, delete, truncate')",
    ),
    (
        "alter default privileges in schema app grant insert on tables to anon",
        "alter default privileges in schema app revoke insert on tables from anon",
    ),
    ("alter event trigger watch disable", "alter event trigger watch enable"),
    ("alter extension pgcrypto set schema app", "alter extension pgcrypto set schema extensions"),
    ("create collation public.plain (locale = 'C')", "drop collation public.plain"),
    (
        "create operator public.=== (leftarg = text, rightarg = text, function = texteq)",
        "drop operator public.=== (text, text)",
    ),
]


def read(options: ConnectionOptions) -> Catalog:
    """The catalog as a session of its own sees it."""
    with session(options) as connection:
        return read_catalog(connection, user_schemas(connection))


def change(project: live.LiveProject, statements: str) -> None:
    """Commit statements as the superuser, who may do all of them."""
    with session(project.superuser_options, autocommit=True) as connection:
        execute(connection, statements)


def test_every_kind_of_change_shows_and_its_inverse_restores_the_fingerprint(project: live.LiveProject) -> None:
    change(project, SCHEMA)
    before = read(project.options)
    unseen, not_restored = [], []
    for statement, inverse in CHANGES:
        change(project, statement)
        changed = read(project.options)
        if fingerprint(changed) == fingerprint(before) or not compare_catalogs(before, changed):
            unseen.append(statement)
        change(project, inverse)
        restored = read(project.options)
        if fingerprint(restored) != fingerprint(before):
            not_restored.append((statement, compare_catalogs(before, restored)))
            before = restored
    assert (unseen, not_restored) == ([], [])


def test_rows_and_sequences_are_not_part_of_the_schema(project: live.LiveProject) -> None:
    change(project, SCHEMA)
    before = fingerprint(read(project.options))
    change(project, "insert into public.orders (price) values (1); select nextval('public.tickets'); analyze")
    assert fingerprint(read(project.options)) == before


def test_a_null_access_list_equals_the_default_written_out(project: live.LiveProject) -> None:
    change(project, SCHEMA)
    before = fingerprint(read(project.options))
    change(
        project,
        "grant all on public.orders to supabase_admin; grant execute on procedure public.p(integer) to public;"
        "grant usage on type public.status to public; grant all on sequence public.tickets to supabase_admin",
    )
    assert project.psql("select relacl is not null from pg_class where oid = 'public.orders'::regclass") == "t"
    assert fingerprint(read(project.options)) == before


def test_the_order_of_creation_leaves_no_trace(project: live.LiveProject) -> None:
    statements = [
        "create table public.b (id int primary key, gone int)",
        "create table public.a (id int primary key, other text)",
        "create function public.g() returns int language sql as 'select 1'",
        "create policy one on public.a using (true)",
        "create policy two on public.a using (true)",
        "grant select on public.a to anon",
        "grant select on public.a to authenticated",
        "alter table public.b drop gone, add late text",
    ]
    order = [1, 6, 5, 4, 3, 2, 0, 7]
    change(project, ";".join(statements))
    first = read(project.options)
    change(project, "drop table public.a, public.b; drop function public.g()")
    change(project, ";".join(statements[number] for number in order))
    assert compare_catalogs(first, read(project.options)) == []
    assert fingerprint(first) == fingerprint(read(project.options))


def test_the_role_that_reads_makes_no_difference(project: live.LiveProject) -> None:
    change(project, SCHEMA)
    assert fingerprint(read(project.options)) == fingerprint(read(project.superuser_options))


def test_the_session_settings_make_no_difference_and_are_left_as_they_were(project: live.LiveProject) -> None:
    change(project, SCHEMA)
    expected = fingerprint(read(project.options))
    settings = {
        "search_path": "app, public",
        "datestyle": "German, DMY",
        "timezone": "Asia/Tokyo",
        "quote_all_identifiers": "on",
        "intervalstyle": "iso_8601",
        "bytea_output": "escape",
        "extra_float_digits": "0",
    }
    for autocommit in (False, True):
        with session(project.options, autocommit=autocommit) as connection:
            for name, value in settings.items():
                execute(connection, "select pg_catalog.set_config(%s, %s, false)", [name, value])
            names = list(settings)
            shown = "select array_agg(pg_catalog.current_setting(name)) from unnest(%s::text[]) as name"
            before = fetch_value(connection, shown, [names])
            assert fingerprint(read_catalog(connection, user_schemas(connection))) == expected
            assert fetch_value(connection, shown, [names]) == before
            if not autocommit:
                connection.commit()
                assert fetch_value(connection, shown, [names]) == before


def test_an_uncommitted_change_is_seen_and_the_transaction_goes_on(project: live.LiveProject) -> None:
    change(project, SCHEMA)
    for _time in range(2):
        with session(project.superuser_options) as connection:
            before = read_catalog(connection, ["public"])
            assert connection.info.transaction_status == 0
            execute(connection, "create table public.pending (id int)")
            number = fetch_value(connection, "select pg_catalog.pg_current_xact_id()")
            changes = compare_catalogs(before, read_catalog(connection, ["public"]))
            assert [(c.change, c.object_type, c.object_name) for c in changes] == [
                ("created", "table", "public.pending")
            ]
            assert fetch_value(connection, "select pg_catalog.pg_current_xact_id()") == number
            connection.rollback()
            assert read_catalog(connection, ["public"]) == before


def test_an_autocommit_session_is_left_outside_any_transaction(project: live.LiveProject) -> None:
    with session(project.options, autocommit=True) as connection:
        first = read_catalog(connection, ["public"])
        assert connection.info.transaction_status == 0
        execute(connection, "create table public.t (id int)")
        assert len(read_catalog(connection, ["public"])) > len(first)
    assert project.psql("select to_regclass('public.t')") == "t"


def test_the_platforms_schemas_and_ours_are_not_the_users(project: live.LiveProject) -> None:
    change(project, "create schema pgops; create schema app; create schema if not exists supabase_migrations")
    with session(project.options) as connection:
        assert user_schemas(connection) == ["app", "public"]
        keys = read_catalog(connection, user_schemas(connection))
    assert not [key for key in keys if key.split(" ", 1)[1].startswith(("auth.", "storage.", "pgops.", "pg_catalog."))]


def test_members_of_an_extension_are_the_extensions(project: live.LiveProject) -> None:
    change(project, "create extension if not exists pgcrypto schema extensions")
    before = read(project.options)
    change(project, "alter extension pgcrypto set schema public")
    changes = compare_catalogs(before, read(project.options))
    assert [(c.change, c.object_type, c.object_name, c.detail) for c in changes] == [
        ("changed", "extension", "pgcrypto", "schema: extensions -> public")
    ]


def test_names_that_need_quotes_stay_apart(project: live.LiveProject) -> None:
    change(
        project,
        'create table public."a.b" ("c.d" int, "say ""hi""" int); create schema "a"; create table "a"."b" ("c" int);'
        'create table public.profiles ("deletedBy" uuid)',
    )
    keys = set(read(project.options))
    assert {
        'column public."a.b"."c.d"',
        'column public."a.b"."say ""hi"""',
        "column a.b.c",
        'column public.profiles."deletedBy"',
    } <= keys


def test_a_dump_that_is_restored_elsewhere_has_the_same_fingerprint(project: live.LiveProject, tmp_path: Path) -> None:
    change(project, SCHEMA)
    change(project, "alter table public.profiles add gone int; alter table public.profiles drop gone")
    change(
        project,
        "alter table public.events attach partition public.events_2027 for values from ('2027-01-01') to ('2028-01-01');"
        "create index on public.events (at); alter table public.events add constraint told check (what <> '');"
        "create table public.special (extra int) inherits (public.orders)",
    )
    copy = dataclasses.replace(project.superuser_options, login_db=f"{project.database}_copy")
    programs, archive = Path(project.server.pg_bin), str(tmp_path / "archive")
    change(project, f"create database {copy.login_db} template template0")
    try:
        for options, command in (
            (project.superuser_options, [str(programs / "pg_dump"), "-Fc", "-f", archive]),
            (copy, [str(programs / "pg_restore"), "--exit-on-error", "-d", copy.login_db, archive]),
        ):
            subprocess.run(command, env={**os.environ, **libpq_environment(options)}, check=True, timeout=120)
        assert compare_catalogs(read(project.superuser_options), read(copy)) == []
        assert fingerprint(read(project.superuser_options)) == fingerprint(read(copy))
    finally:
        change(project, f"drop database {copy.login_db}")


class CountingCursor(psycopg2.extensions.cursor):
    """Counts the statements that are sent."""

    sent = 0

    def execute(self, *arguments: Any) -> None:
        CountingCursor.sent += 1
        super().execute(*arguments)


def statements_to_read(project: live.LiveProject) -> tuple[Catalog, int]:
    """The catalog, and how many statements it took to read it."""
    CountingCursor.sent = 0
    with session(project.options) as connection:
        schemas = user_schemas(connection)
        connection.cursor_factory = CountingCursor
        return read_catalog(connection, schemas), CountingCursor.sent


def test_ten_thousand_objects_take_no_more_statements_than_none(project: live.LiveProject) -> None:
    dummy, for_none = statements_to_read(project)
    for start in range(0, 1000, 250):
        change(
            project,
            f"""
            do $$ begin
                for number in {start + 1}..{start + 250} loop
                    execute format('create table public.t%s (id int, name text, at timestamptz default now())', number);
                    execute format('create index i%s on public.t%s (name)', number, number);
                    execute format('create policy p%s on public.t%s using (true)', number, number);
                    execute format('create view public.v%s as select id, name from public.t%s', number, number);
                    execute format('create function public.f%s() returns int language sql as $f$select 1$f$', number);
                    execute format('alter table public.t%s add constraint c%s check (id > 0)', number, number);
                end loop;
            end $$;
            """,
        )
    catalog, for_many = statements_to_read(project)
    assert len(catalog) > 10_000
    assert len(fingerprint(catalog)) == 64
    assert for_many == for_none > 0
    with session(project.options) as connection:
        assert fetch_all(connection, "select count(*) from pg_catalog.pg_policy where polname ~ '^p[0-9]'") == [(1000,)]


def test_the_number_that_newer_minor_releases_keep_with_a_column_is_no_part_of_a_schema(
    project: live.LiveProject,
) -> None:
    project.psql("create table public.t (a int, b int); alter table public.t alter column b set (n_distinct = 5)")

    def found() -> str:
        with session(project.options) as connection:
            return fingerprint(read_catalog(connection, user_schemas(connection)))

    before = found()
    # What PostgreSQL 17.12 and its siblings write by themselves; an older one would refuse to be asked for it.
    project.psql(
        "set allow_system_table_mods = on; update pg_attribute set attoptions = array_append(attoptions, 'pg_attver=3') "
        "where attrelid = 'public.t'::regclass and attnum > 0",
        "supabase_admin",
    )
    for _time in range(2):
        assert found() == before
