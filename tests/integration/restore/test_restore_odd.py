# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores of what few projects have: names that hold anything, objects that are dropped or told of unlike others."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.integration.live import LiveProject, RunModule
from tests.integration.restore.test_restore import Restores

# A percent sign, where a statement has parameters; what Unicode takes for the end of a line, and pg_restore does not.
NAMES = """
create schema "50% off";
comment on schema "50% off" is 'not %s';
create table "50% off"."t%s" ("c%d" int);
insert into "50% off"."t%s" values (1);
create policy "100% of it" on storage.objects for select using (name like '%x%');
comment on policy "100% of it" on storage.objects is 'all %s';
create function public.seen() returns trigger language plpgsql as 'begin return new; end';
create trigger "100% seen" after insert on auth.users for each row execute function public.seen();
comment on trigger "100% seen" on auth.users is 'all %s';
create table public."next\u0085line" (a int);
insert into public."next\u0085line" values (1);
create table public."separated\u2028line" (a serial);
insert into public."separated\u2028line" default values;
create table public."two
lines" (a int);
insert into public."two
lines" values (1);
"""
MESS_OF_NAMES = """
comment on schema "50% off" is 'else';
drop policy "100% of it" on storage.objects;
drop trigger "100% seen" on auth.users;
delete from public."next\u0085line";
"""
OBJECTS = r"""
create function public.one_more(bigint) returns bigint language sql immutable as 'select $1 + 1';
create aggregate public.counted(*) (sfunc = public.one_more, stype = bigint, initcond = '0');
create function public.told() returns text language plpgsql as $$
begin
    /* -- TOC entry 4 (class 1 OID 2)
\unrestrict a
COPY public.t (a) FROM stdin;
*/
    return '';
end $$;
do $$ begin perform lo_create(number) from generate_series(4001, 4005) as number; end $$;
comment on large object 4001 is 'the first';
grant select on large object 4001 to anon;
grant update on large object 4002, 4003 to authenticated;
"""
# pg_dump tells of large objects together with their content only.
LARGE_OBJECTS = """
select m.oid, obj_description(m.oid, 'pg_largeobject'), a.grantee::regrole, a.privilege_type
from pg_largeobject_metadata as m left join lateral aclexplode(m.lomacl) as a on true order by 1, 3, 4
"""
MESS_OF_OBJECTS = (
    "do $$ begin perform lo_unlink(4002); end $$; drop function public.told; grant update on large object 4001 to anon"
)


@pytest.mark.parametrize("setup, mess", [(NAMES, MESS_OF_NAMES), (OBJECTS, MESS_OF_OBJECTS)], ids=["names", "objects"])
def test_it_comes_back(project: LiveProject, run_module: RunModule, tmp_path: Path, setup: str, mess: str) -> None:
    project.psql(setup)
    restores = Restores(project, run_module, tmp_path)
    backup, manifest = restores.backup()
    before = restores.state(), project.psql(LARGE_OBJECTS)
    project.psql(mess)
    assert restores.state() != before[0]
    done = restores.restore(backup)
    assert done.get("changed"), done["msg"]
    assert (restores.state(), project.psql(LARGE_OBJECTS)) == before
    assert done["restore"]["catalog_found"] == manifest["catalog_fingerprint"]


SERVERS = """
create extension postgres_fdw;
grant usage on foreign data wrapper postgres_fdw to postgres;
set role postgres;
create server near foreign data wrapper postgres_fdw options (host 'near.example.com', dbname 'one');
create server gone type 'x' version '1' foreign data wrapper postgres_fdw options (host 'gone.example.com');
create server same version '2' foreign data wrapper postgres_fdw options (port '5433');
create user mapping for postgres server near options (user 'reader', password 'hidden');
create foreign table public.over_there (id int) server near;
"""
SERVERS_ALTERED = """
alter server near version '9' options (set host 'elsewhere.example.com', drop dbname, add port '1');
alter user mapping for postgres server near options (set user 'somebody');
drop server gone;
"""


def test_foreign_servers_that_were_altered_are_as_in_the_backup_again(
    project: LiveProject, run_module: RunModule, tmp_path: Path
) -> None:
    project.psql(SERVERS, SUPERUSER)
    restores = Restores(project, run_module, tmp_path)
    backup, _manifest = restores.backup()
    servers = (
        "select srvname, srvtype, srvversion, srvowner::regrole, (select array_agg(o order by o) from unnest(srvoptions) o) "
        "from pg_foreign_server order by 1"
    )
    before = project.psql(servers)
    for _round in range(2):
        project.psql(SERVERS_ALTERED)
        assert project.psql(servers) != before
        done = restores.restore(backup)
        assert done.get("changed"), done
        assert project.psql(servers) == before
        notes = "\n".join(done["restore"]["notes"])
        assert "SERVER near was altered since, and is as in the backup again" in notes and "SERVER same" not in notes
        # What an archive may not have seen of it is not compared, so nobody is told that it is the backup's.
        assert "USER MAPPING" in notes and "left as it is" in notes and "hidden" not in str(done)
    assert project.psql(
        "select ftserver from pg_foreign_table join pg_foreign_server s on s.oid = ftserver where srvname = 'near'"
    )
