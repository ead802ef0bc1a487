# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drafted rollbacks on a real server: up and the draft are what they were to pg_dump, and what no draft can do is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    compare_catalogs,
    fingerprint,
    read_catalog,
    user_schemas,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.steps import draft_rollback
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, session
from ansible_collections.pgops.supabase.plugins.module_utils.servers.documents import LocalProject
from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import (
    create_database,
    drop_database,
)
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.integration.application import Application
from tests.integration.live import LiveProject, run_module
from tests.integration.snapshots import Snapshot

BASE = """
create table public.clients (id int primary key, name text not null, email text, age int, born date);
insert into public.clients values (1, 'one', 'a@b', 20, null), (2, 'two', 'c@d', 30, null);
create table public.orders (id bigint generated always as identity primary key,
    client int constraint orders_client references public.clients (id), total numeric default 0, state text);
insert into public.orders (client, total) values (1, 10), (2, 20);
create index orders_by_client on public.orders (client);
alter table public.orders add constraint positive check (total >= 0);
create type public.mood as enum ('good', 'bad');
create type public.pair as (a int, b text);
create domain public.email as text default 'x@y' constraint has_at check (value like '%@%');
create sequence public.tickets start 5;
create function public.greet(who text) returns text language sql immutable as $$ select 'hello ' || who $$;
create function public.touch() returns trigger language plpgsql as $$ begin return new; end $$;
create procedure public.work(n int) language sql as 'select 1';
create view public.adults with (security_invoker = true) as select id, name from public.clients where age > 17;
create view public.adult_names as select name from public.adults;
comment on column public.adult_names.name is 'their names';
create materialized view public.totals as select client, sum(total) as total from public.orders group by client;
create unique index totals_client on public.totals (client);
create trigger touched before update on public.clients for each row execute function public.touch();
create policy mine on public.clients for select to authenticated using (id = 1);
alter table public.clients enable row level security;
create rule quiet as on delete to public.orders where old.id < 0 do instead nothing;
create statistics public.related on client, state from public.orders;
create publication feed for table public.clients;
comment on table public.orders is 'What clients ordered; it''s all';
grant select on public.orders to anon;
grant update (total) on public.orders to authenticated;
create table public.events (at timestamptz not null, what text) partition by range (at);
create table public.events_2026 partition of public.events for values from ('2026-01-01') to ('2027-01-01');
create trigger signed_up after insert on auth.users for each row execute function public.touch();
"""

# What a draft takes back exactly, by what it is about.
EXACT = {
    "table": "create table public.notes (id serial primary key, body text unique, client int references public.clients);"
    "create index on public.notes (client); alter table public.notes enable row level security;"
    "create policy p on public.notes using (client = 1); comment on table public.notes is 'x';",
    "tables in a circle": "create table public.a (id int primary key, b int);"
    "create table public.b (id int primary key, a int references public.a);"
    "alter table public.a add foreign key (b) references public.b;",
    "tables in a row": "create table public.z1 (id int primary key); create table public.y2 (z int references public.z1, id int unique);"
    "create table public.x3 (y int references public.y2 (id));",
    "odd names": 'create schema "Odd ""schema"; create table "Odd ""schema"."T.x on y" ("C,1" int primary key, "select" text);'
    'create policy "a on b" on "Odd ""schema"."T.x on y" using (true); alter table public.clients add column "on delete" int;'
    'create index "I ON x USING" on "Odd ""schema"."T.x on y" ("select");',
    "columns": "alter table public.clients add column note text default 'x' check (note <> ''), add column ref int references "
    "public.clients unique, add column kind public.mood; comment on column public.clients.note is 'n';"
    "create index on public.clients (kind);",
    "identity column": "alter table public.clients add column no bigint generated always as identity;",
    "serial column": "alter table public.clients add column no serial;",
    "generated column": "alter table public.orders add column twice numeric generated always as (total * 2) stored;",
    "identity on a column": "alter table public.clients alter column age set not null, alter column age add generated by default as identity;",
    "defaults": "alter table public.orders alter column total drop default, alter column state set default 'new';"
    "create sequence public.s; alter table public.clients alter column age set default nextval('public.s');",
    "default by function": "create function public.now2() returns date language sql as 'select current_date';"
    "alter table public.clients alter column born set default public.now2();",
    "not null": "update public.orders set state = 'x'; alter table public.orders alter column state set not null;"
    "alter table public.clients alter column name drop not null;",
    "column settings": "alter table public.clients alter column name set storage external, alter column email set statistics 50,"
    "alter column age set (n_distinct = 5);",
    "primary key": "create table public.k (a int); alter table public.events_2026 add primary key (at);",
    "constraints": "alter table public.clients add constraint adult check (age > 1) not valid, add constraint mail unique (email) deferrable;"
    "alter table public.orders drop constraint positive; alter table public.orders drop constraint orders_client;"
    "alter table public.orders add constraint orders_client foreign key (client) references public.clients on delete cascade;",
    "constraint validated": "alter table public.clients add constraint c1 check (age > 0) not valid; alter table public.clients validate constraint c1;",
    "partitioned": "alter table public.events add column who text default 'x', add constraint short check (length(what) < 9);"
    "create index events_at on public.events (at); alter table public.events add primary key (at);"
    "create table public.events_2027 partition of public.events for values from ('2027-01-01') to ('2028-01-01');",
    "indexes": "create unique index names on public.clients (lower(name)) where age > 1; drop index public.orders_by_client;"
    "create index totals_total on public.totals (total);",
    "functions": "create or replace function public.greet(who text) returns text language sql stable as $$ select 'bye ' || who $$;"
    "create function public.twice(n int, m int default 2) returns int language sql return n * m;"
    "create function public.twice(n text) returns setof public.clients language sql as 'select * from public.clients';"
    "drop function public.touch() cascade; drop procedure public.work(int);"
    "create aggregate public.longest(text) (sfunc = textcat, stype = text);",
    "function of another result": "drop function public.greet(text);"
    "create function public.greet(who text, loud bool default true) returns int language sql as 'select 1';",
    "function with another result": "drop function public.greet(text);"
    "create function public.greet(name text) returns varchar language sql as 'select ''x''::varchar'; comment on function public.greet(text) is 'c';",
    "triggers": "create trigger other after insert on public.orders for each row execute function public.touch();"
    "drop trigger touched on public.clients; alter table public.orders disable trigger other; drop trigger signed_up on auth.users;",
    "trigger with its function": "create function public.audit() returns trigger language plpgsql as $$ begin return null; end $$;"
    "create trigger audited after insert on public.orders for each row execute function public.audit();"
    "alter table public.clients disable trigger touched;",
    "view": "create view public.v as select * from public.clients; create view public.w as select id from public.v;"
    "create or replace view public.adults with (security_invoker = true) as select id, name from public.clients where age > 20;",
    "view with another column": "create or replace view public.adults with (security_invoker = true) as select id, name, age from public.clients;"
    "grant select on public.adults to anon; comment on view public.adults is 'c';",
    "view dropped": "drop view public.adult_names; alter view public.adults set (security_invoker = false, check_option = local);",
    "materialized view": "drop materialized view public.totals; create materialized view public.totals as select client from public.orders;"
    "create materialized view public.m as select * from public.adults with no data;",
    "types": "create type public.colour as enum ('red', 'it''s'); create type public.point as (x int, y public.colour);"
    "create type public.span as range (subtype = int4); alter type public.pair add attribute c text;"
    "create table public.painted (c public.colour, p public.point, s public.span);",
    "types dropped": "drop type public.mood; drop type public.pair; drop domain public.email;",
    "domains": "create domain public.positive as int check (value > 0) not null; alter domain public.email drop default;"
    "alter domain public.email add constraint long check (length(value) > 2); comment on domain public.email is 'c';",
    "policies": "drop policy mine on public.clients; create policy mine on public.clients as restrictive for update to anon, authenticated "
    "using (id = 2) with check (exists (select from public.orders)); create policy pictures on storage.objects for select using (name = 'x');",
    "row level security": "alter table public.orders enable row level security; alter table public.orders force row level security;"
    "alter table public.clients disable row level security;",
    "grants": "grant select, insert on public.clients to anon with grant option; revoke all on public.orders from anon;"
    "grant select (id), insert (id) on public.orders to authenticated; revoke update (total) on public.orders from authenticated;"
    "revoke execute on function public.greet(text) from public; grant usage on type public.mood to anon; grant usage on sequence public.tickets to anon;"
    "grant create on schema public to authenticated;",
    "default privileges": "alter default privileges in schema public revoke all on tables from anon;"
    "alter default privileges in schema public grant select on tables to anon; alter default privileges revoke execute on functions from public;"
    "create table public.late (id int); create view public.later as select * from public.late;",
    "default privileges of a quoted role": "do $$ begin if to_regrole('\"DraftOwner\"') is null then "
    'create role "Draft Owner"; create role "DraftOwner"; end if; end $$;'
    'grant "Draft Owner", "DraftOwner" to postgres;'
    'alter default privileges for role "DraftOwner" revoke execute on functions from public;'
    'alter default privileges for role "DraftOwner" grant select on tables to anon;'
    'alter default privileges for role "Draft Owner" grant usage on types to anon;',
    "comments": "comment on table public.orders is null; comment on function public.greet(text) is 'it''s'; comment on view public.adults is 'v';"
    "comment on constraint positive on public.orders is 'p'; comment on constraint has_at on domain public.email is 'd';"
    "comment on trigger touched on public.clients is 't'; comment on policy mine on public.clients is 'm'; comment on schema public is 's';"
    "comment on index public.orders_by_client is 'i'; comment on column public.clients.id is 'c'; comment on type public.mood is 'y';"
    "comment on procedure public.work(int) is 'w'; comment on rule quiet on public.orders is 'r'; comment on statistics public.related is 's';"
    "comment on sequence public.tickets is 'q'; comment on materialized view public.totals is 'z'; comment on publication feed is 'f';",
    "sequences": "alter sequence public.tickets as int increment by 7 minvalue 3 maxvalue 99 start 4 cycle cache 2;"
    "create sequence public.more owned by public.clients.id; alter sequence public.tickets owned by public.clients.age;",
    "table settings": "alter table public.clients set (fillfactor = 70, toast.autovacuum_enabled = false); alter table public.clients replica identity full;"
    "alter table public.orders set unlogged; alter table public.orders cluster on orders_by_client;",
    "schema and extension": "create schema app; create extension hstore schema app; create table app.bag (h app.hstore); "
    "create table app.t (id int); create function app.f() returns int language sql return 1;",
    "rules and statistics": "drop rule quiet on public.orders; drop statistics public.related; "
    "create statistics public.s2 (ndistinct) on id, name from public.clients;"
    "create rule loud as on update to public.orders do also nothing; create rule never as on insert to public.orders where new.id < 0 do instead nothing;",
    "publications": "alter publication feed add table public.orders (id, total) where (id > 0); alter publication feed set (publish = 'insert');"
    "create publication more for table public.clients;",
    "operator": "create function public.same(int, int) returns bool language sql return $1 = $2;"
    "create operator public.=== (leftarg = int, rightarg = int, function = public.same);",
}


class Drafts(Application):
    """The application with drafted rollbacks."""

    def draft(self, **params: Any) -> dict[str, Any]:
        """Run the module, and nothing in the database may be different after it."""
        before = self.snapshot()
        arguments = {"supabase_dir": str(self.directory), **self.project.login}
        result = run_module("rollback_draft", **{**arguments, **params})
        now = self.snapshot()
        assert (now.catalog, now.counts, now.history) == (before.catalog, before.counts, before.history)
        return result

    def reviewed(self, name: str) -> None:
        """What a person does who agrees with the draft."""
        draft = self.directory / "rollbacks" / f"{name}.sql.draft"
        text = draft.read_text(encoding="utf-8")
        (self.directory / "rollbacks" / f"{name}.sql").write_text(text.split("\n", 1)[1], encoding="utf-8")

    def roll_back(self, **params: Any) -> dict[str, Any]:
        """Take the last run back."""
        arguments = {"supabase_dir": str(self.directory), "reason": "a test", **self.project.login}
        return run_module("rollback", **{**arguments, **params})


@pytest.fixture
def app(project: LiveProject, tmp_path: Path) -> Drafts:
    """An application with something of every kind."""
    project.psql(BASE)
    return Drafts(project, tmp_path / "supabase")


def same_database(one: Snapshot, other: Snapshot) -> bool:
    """Equal but for the files."""
    return (one.catalog, one.counts, one.history) == (other.catalog, other.counts, other.history)


@pytest.fixture(scope="module")
def base(local_server: LocalProject) -> Iterator[LiveProject]:
    """One database with something of every kind, for what is rolled back."""
    create_database(local_server, "test_drafts")
    project = LiveProject(local_server, "test_drafts")
    project.psql(BASE)
    yield project
    drop_database(local_server, "test_drafts")


@pytest.mark.parametrize("about", EXACT)
def test_up_and_the_draft_return_exactly(base: LiveProject, about: str) -> None:
    with session(base.options) as connection:
        before = read_catalog(connection, user_schemas(connection))
        for _time in range(2):
            execute(connection, EXACT[about])
            after = read_catalog(connection, user_schemas(connection))
            assert fingerprint(after) != fingerprint(before)
            draft = draft_rollback(before, after)
            assert draft.not_covered == []
            for statement in draft.statements:
                execute(connection, statement)
            execute(connection, "reset all")
            assert compare_catalogs(before, read_catalog(connection, user_schemas(connection))) == []
        assert fingerprint(read_catalog(connection, user_schemas(connection))) == fingerprint(before)
        connection.rollback()


@pytest.mark.parametrize(
    "about", ["tables in a row", "odd names", "functions", "grants", "policies", "default privileges"]
)
def test_a_reviewed_draft_is_a_rollback(app: Drafts, tmp_path: Path, about: str) -> None:
    name = "1_change"
    app.migration("0_first", "select 1")
    app.applies()
    app.migration(name, EXACT[about])
    first, second = app.draft(), app.draft()
    assert not first.get("failed"), first
    (draft,) = first["rollback_drafts"]["drafts"]
    assert first["changed"] and not second["changed"], second
    assert draft["exact"] and draft["not_covered"] == [], draft
    app.reviewed(name)
    before = app.snapshot()
    for _time in range(2):
        applied = app.apply()
        assert applied["changed"], applied
        assert app.snapshot().catalog != before.catalog
        taken_back = app.roll_back(export_dir=str(tmp_path / f"export-{_time}"))
        assert taken_back.get("changed"), taken_back
        now = app.snapshot()
        # An access list has no order, and pg_dump writes it in the one it finds.
        assert sorted(now.catalog.splitlines()) == sorted(before.catalog.splitlines())
        assert (now.counts, now.history) == (before.counts, before.history)


def test_extensions_that_require_each_other(app: Drafts) -> None:
    # Hosted, these are the platform's superuser's to make; index_advisor and hypopg are such a pair there.
    superuser = {"login_user": SUPERUSER, "login_password": app.project.server.passwords[SUPERUSER]}
    app.migration("0_first", "select 1")
    app.applies(**superuser)
    app.migration("1_earth", "create extension earthdistance cascade schema extensions;")
    (draft,) = app.draft(**superuser)["rollback_drafts"]["drafts"]
    assert draft["exact"], draft
    app.reviewed("1_earth")
    before = app.snapshot()
    app.applies(**superuser)
    assert app.roll_back(**superuser).get("changed")
    assert same_database(app.snapshot(), before)


NOT_MECHANICAL = {
    "drop table public.events cascade;": "its rows are gone",
    "alter table public.clients drop column email;": "its values are gone",
    "alter table public.clients rename column email to mail;": "it may have been renamed to public.clients.mail",
    "alter table public.clients rename to people;": "it may have been renamed to public.people",
    "alter type public.mood add value 'so-so';": "cannot take a value from an enum",
    "alter table public.clients alter column email type varchar(9);": "the values were converted",
    "alter table public.orders alter column id drop identity;": "where its sequence stood is gone",
    "drop sequence public.tickets;": "where it stood is gone",
}


@pytest.mark.parametrize("migration", NOT_MECHANICAL)
def test_what_is_not_mechanical_is_said_and_left(app: Drafts, migration: str) -> None:
    app.migration("1_change", migration)
    for _time in range(2):
        (draft,) = app.draft()["rollback_drafts"]["drafts"]
        assert not draft["exact"]
        assert any(NOT_MECHANICAL[migration] in left["reason"] for left in draft["not_covered"]), draft
        text = Path(draft["file"]).read_text(encoding="utf-8")
        assert NOT_MECHANICAL[migration] in text
        statements = [line for line in text.splitlines() if line and not line.startswith("--")]
        assert not any(line.startswith("drop table") or " drop column" in line for line in statements), text


def test_only_what_has_no_rollback_is_drafted(app: Drafts) -> None:
    app.migration("1_one", "create table public.one (id int); insert into public.clients values (3, 'three');")
    app.migration("2_two", "create view public.two as select * from public.one;")
    (app.directory / "rollbacks").mkdir()
    (app.directory / "rollbacks" / "2_two.sql").write_text("drop view public.two;", encoding="utf-8")
    (draft,) = app.draft()["rollback_drafts"]["drafts"]
    assert draft["version"] == "1" and draft["exact"]
    assert "public.clients: 1 inserted, 0 updated, 0 deleted" in Path(draft["file"]).read_text(encoding="utf-8")
    chosen = app.draft(versions=["2"])["rollback_drafts"]["drafts"]
    assert [item["version"] for item in chosen] == ["2"]
    refused = app.draft(versions=["3"])
    assert refused["failed"] and "3 is not pending" in refused["msg"]


def test_a_migration_that_changes_no_catalog_has_a_draft_of_comments(app: Drafts) -> None:
    app.migration("1_rows", "insert into public.clients values (3, 'three');")
    (draft,) = app.draft()["rollback_drafts"]["drafts"]
    assert draft["outcome"] == "written" and draft["exact"]
    text = Path(draft["file"]).read_text(encoding="utf-8")
    assert "public.clients: 1 inserted" in text
    assert [line for line in text.splitlines() if line and not line.startswith("--")] == []


def test_a_draft_somebody_worked_on_is_kept(app: Drafts) -> None:
    app.migration("1_one", "create table public.one (id int);")
    assert app.draft(check=True)["changed"]
    assert not (app.directory / "rollbacks").exists()
    (draft,) = app.draft()["rollback_drafts"]["drafts"]
    file = Path(draft["file"])
    file.write_text("-- mine\n", encoding="utf-8")
    for _time in range(2):
        (kept,) = app.draft()["rollback_drafts"]["drafts"]
        assert kept["outcome"] == "kept" and file.read_text(encoding="utf-8") == "-- mine\n"
    (replaced,) = app.draft(replace=True)["rollback_drafts"]["drafts"]
    assert replaced["outcome"] == "written" and "drop table public.one;" in file.read_text(encoding="utf-8")


def test_a_draft_is_never_used_unreviewed(app: Drafts) -> None:
    app.migration("1_one", "create table public.one (id int);")
    (draft,) = app.draft()["rollback_drafts"]["drafts"]
    app.applies()
    before = app.snapshot()
    for _time in range(2):
        assert "has no rollback file" in app.roll_back()["msg"]
    Path(draft["file"]).rename(draft["file"].removesuffix(".draft"))
    for _time in range(2):
        refused = app.roll_back()
        assert refused["error"]["code"] == "rollback" and "is a draft that nobody has reviewed" in refused["msg"]
    assert same_database(app.snapshot(), before)
