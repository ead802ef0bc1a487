# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins for extensions of the platform whose code the embedded PostgreSQL does not have.

They are written in SQL and have the schemas, tables and functions that migrations name. Those of uuid-ossp and pgjwt give
the true answers. The others only keep what they are told: no job runs, no request is sent, no secret is encrypted. The
comment of each says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MARK = "stand-in of the local project"

# Extensions that PostgreSQL brings and reserves for superusers, and that the platform lets postgres make.
ALLOWED = (
    "autoinc",
    "bloom",
    "dblink",
    "earthdistance",
    "insert_username",
    "moddatetime",
    "pg_buffercache",
    "pg_prewarm",
    "pg_stat_statements",
    "pg_walinspect",
    "pgrowlocks",
    "pgstattuple",
    "postgres_fdw",
    "refint",
    "sslinfo",
)


@dataclass(frozen=True)
class StandIn:
    """One extension: what it says of itself, and the script that makes its objects."""

    version: str
    comment: str
    script: str
    schema: str | None = None
    requires: str | None = None
    relocatable: bool = False

    @property
    def control(self) -> str:
        """The content of its control file. The owner of the database may make it, although its script is the superuser's."""
        lines = [
            f"comment = '{MARK}: {self.comment}'",
            f"default_version = '{self.version}'",
            f"relocatable = {str(self.relocatable).lower()}",
            "superuser = true",
            "trusted = true",
        ]
        if self.schema is not None:
            lines.append(f"schema = '{self.schema}'")
        if self.requires is not None:
            lines.append(f"requires = '{self.requires}'")
        return "\n".join(lines) + "\n"


# No address of a network card is in either: the second differs from the first in name alone.
_UUID_V1 = """
create function {name}() returns uuid volatile strict parallel safe language plpgsql
as $$
declare
    ticks text := pg_catalog.lpad(pg_catalog.to_hex(
        (extract(epoch from pg_catalog.clock_timestamp()) * 10000000)::bigint + 122192928000000000), 16, '0');
    random bytea := pg_catalog.uuid_send(pg_catalog.gen_random_uuid());
begin
    return (pg_catalog.substr(ticks, 9, 8) || pg_catalog.substr(ticks, 5, 4) || '1' || pg_catalog.substr(ticks, 2, 3)
        || pg_catalog.encode(pg_catalog.substr(random, 9, 2), 'hex')
        || pg_catalog.encode(pg_catalog.set_bit(pg_catalog.substr(random, 11, 6), 0, 1), 'hex'))::uuid;
end
$$;
"""

# PostgreSQL itself has no SHA-1 but for passwords, and the extension depends on no other.
UUID_OSSP = """
create function uuid_nil() returns uuid immutable strict parallel safe language sql
as $$ select '00000000-0000-0000-0000-000000000000'::uuid $$;

create function uuid_ns_dns() returns uuid immutable strict parallel safe language sql
as $$ select '6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid $$;

create function uuid_ns_url() returns uuid immutable strict parallel safe language sql
as $$ select '6ba7b811-9dad-11d1-80b4-00c04fd430c8'::uuid $$;

create function uuid_ns_oid() returns uuid immutable strict parallel safe language sql
as $$ select '6ba7b812-9dad-11d1-80b4-00c04fd430c8'::uuid $$;

create function uuid_ns_x500() returns uuid immutable strict parallel safe language sql
as $$ select '6ba7b814-9dad-11d1-80b4-00c04fd430c8'::uuid $$;

create function uuid_generate_v3(namespace uuid, name text) returns uuid immutable strict parallel safe language sql
as $$
    select overlay(overlay(hash placing '3' from 13) placing
        pg_catalog.to_hex(8 | (('x' || pg_catalog.substr(hash, 17, 1))::bit(4)::int & 3)) from 17)::uuid
    from pg_catalog.md5(pg_catalog.uuid_send(namespace) || pg_catalog.convert_to(name, 'UTF8')) as hash
$$;

create function uuid_generate_v4() returns uuid volatile strict parallel safe language sql
as $$ select pg_catalog.gen_random_uuid() $$;

create function uuid_generate_v5(namespace uuid, name text) returns uuid immutable strict parallel safe language plpgsql
as $$
declare
    mask constant bigint := 4294967295;
    message bytea := pg_catalog.uuid_send(namespace) || pg_catalog.convert_to(name, 'UTF8');
    size constant int := pg_catalog.length(message);
    state bigint[] := array[1732584193, 4023233417, 2562383102, 271733878, 3285377520];
    word bigint[];
    a bigint; b bigint; c bigint; d bigint; e bigint; mixed bigint; next bigint;
    hash bytea;
begin
    message := message || '\\x80'::bytea || pg_catalog.decode(pg_catalog.repeat('00', (119 - size % 64) % 64), 'hex')
        || pg_catalog.int8send(size::bigint * 8);
    for block in 0 .. pg_catalog.length(message) / 64 - 1 loop
        for i in 0 .. 79 loop
            if i < 16 then
                word[i] := ('x' || pg_catalog.encode(pg_catalog.substr(message, block * 64 + i * 4 + 1, 4), 'hex'))::bit(32)::bigint;
            else
                mixed := word[i - 3] # word[i - 8] # word[i - 14] # word[i - 16];
                word[i] := ((mixed << 1) | (mixed >> 31)) & mask;
            end if;
        end loop;
        a := state[1]; b := state[2]; c := state[3]; d := state[4]; e := state[5];
        for i in 0 .. 79 loop
            mixed := case i / 20
                when 0 then ((b & c) | ((b # mask) & d)) + 1518500249
                when 1 then (b # c # d) + 1859775393
                when 2 then ((b & c) | (b & d) | (c & d)) + 2400959708
                else (b # c # d) + 3395469782
            end;
            next := ((((a << 5) | (a >> 27)) & mask) + mixed + e + word[i]) & mask;
            e := d; d := c; c := ((b << 30) | (b >> 2)) & mask; b := a; a := next;
        end loop;
        state := array[(state[1] + a) & mask, (state[2] + b) & mask, (state[3] + c) & mask,
            (state[4] + d) & mask, (state[5] + e) & mask];
    end loop;
    hash := pg_catalog.decode(pg_catalog.lpad(pg_catalog.to_hex(state[1]), 8, '0') || pg_catalog.lpad(pg_catalog.to_hex(state[2]), 8, '0')
        || pg_catalog.lpad(pg_catalog.to_hex(state[3]), 8, '0') || pg_catalog.lpad(pg_catalog.to_hex(state[4]), 8, '0'), 'hex');
    hash := pg_catalog.set_byte(hash, 6, 80 | (pg_catalog.get_byte(hash, 6) & 15));
    hash := pg_catalog.set_byte(hash, 8, 128 | (pg_catalog.get_byte(hash, 8) & 63));
    return pg_catalog.encode(hash, 'hex')::uuid;
end
$$;
"""

PGJWT = """
create function @extschema@.url_encode(data bytea) returns text immutable language sql
as $$ select pg_catalog.translate(pg_catalog.encode(data, 'base64'), E'+/=\\n', '-_') $$;

create function @extschema@.url_decode(data text) returns bytea immutable language sql
as $$
    select pg_catalog.decode(
        pg_catalog.translate(data, '-_', '+/') || pg_catalog.repeat('=', (4 - pg_catalog.length(data) % 4) % 4), 'base64')
$$;

create function @extschema@.algorithm_sign(signables text, secret text, algorithm text) returns text immutable language sql
as $$
    select @extschema@.url_encode(@extschema:pgcrypto@.hmac(signables, secret,
        case algorithm when 'HS256' then 'sha256' when 'HS384' then 'sha384' when 'HS512' then 'sha512' else '' end))
$$;

create function @extschema@.sign(payload json, secret text, algorithm text default 'HS256') returns text
immutable language sql
as $$
    select signables || '.' || @extschema@.algorithm_sign(signables, secret, algorithm)
    from (select @extschema@.url_encode(
            pg_catalog.convert_to('{"alg":"' || algorithm || '","typ":"JWT"}', 'UTF8'))
        || '.' || @extschema@.url_encode(pg_catalog.convert_to(payload::text, 'UTF8')) as signables) as parts
$$;

create function @extschema@.try_cast_double(inp text) returns double precision immutable language plpgsql
as $$
begin
    return inp::double precision;
exception when others then
    return null;
end
$$;

create function @extschema@.verify(token text, secret text, algorithm text default 'HS256')
returns table (header json, payload json, valid boolean) immutable language sql
as $$
    select jwt.header, jwt.payload, jwt.signature_ok and pg_catalog.tstzrange(
            pg_catalog.to_timestamp(@extschema@.try_cast_double(jwt.payload ->> 'nbf')),
            pg_catalog.to_timestamp(@extschema@.try_cast_double(jwt.payload ->> 'exp'))) @> current_timestamp
    from (select pg_catalog.convert_from(@extschema@.url_decode(part[1]), 'UTF8')::json as header,
            pg_catalog.convert_from(@extschema@.url_decode(part[2]), 'UTF8')::json as payload,
            part[3] = @extschema@.algorithm_sign(part[1] || '.' || part[2], secret, algorithm) as signature_ok
        from pg_catalog.regexp_split_to_array(token, '[.]') as part) as jwt
$$;
"""

PG_NET = """
create schema net;

create table net.http_request_queue (
    id bigserial,
    method text not null,
    url text not null,
    headers jsonb,
    body bytea,
    timeout_milliseconds int not null
);

create table net._http_response (
    id bigint,
    status_code integer,
    content_type text,
    headers jsonb,
    content text,
    timed_out bool,
    error_msg text,
    created timestamptz not null default now()
);

create index on net._http_response (created);

create function net._urlencode_string(string varchar) returns text immutable strict language sql
as $$
    select pg_catalog.string_agg(case when letter ~ '[A-Za-z0-9_.~-]' then letter
        else pg_catalog.regexp_replace(pg_catalog.upper(pg_catalog.encode(pg_catalog.convert_to(letter, 'UTF8'), 'hex')),
            '(..)', '%\\1', 'g') end, '' order by place)
    from pg_catalog.regexp_split_to_table(string, '') with ordinality as letters (letter, place)
$$;

create function net._stand_in_queue(method text, url text, params jsonb, headers jsonb, body bytea, timeout_milliseconds int)
returns bigint volatile security definer set search_path = pg_catalog language sql
as $$
    insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
    select method, url || coalesce(
            case when strpos(url, '?') > 0 then '&' else '?' end || string_agg(
                net._urlencode_string(key) || '=' || net._urlencode_string(value), '&'), ''),
        headers, body, timeout_milliseconds
    from jsonb_each_text(params)
    returning id
$$;

create function net.http_get(
    url text, params jsonb default '{}', headers jsonb default '{}', timeout_milliseconds int default 5000
) returns bigint volatile parallel safe language sql
as $$ select net._stand_in_queue('GET', url, params, headers, null, timeout_milliseconds) $$;

create function net.http_post(
    url text, body jsonb default '{}', params jsonb default '{}',
    headers jsonb default '{"Content-Type": "application/json"}', timeout_milliseconds int default 5000
) returns bigint volatile parallel safe language sql
as $$
    select net._stand_in_queue(
        'POST', url, params, headers, pg_catalog.convert_to(body::text, 'UTF8'), timeout_milliseconds)
$$;

create function net.http_delete(
    url text, params jsonb default '{}', headers jsonb default '{}', timeout_milliseconds int default 5000,
    body jsonb default null
) returns bigint volatile parallel safe language sql
as $$
    select net._stand_in_queue(
        'DELETE', url, params, headers, pg_catalog.convert_to(body::text, 'UTF8'), timeout_milliseconds)
$$;

grant usage on schema net to supabase_functions_admin, postgres, anon, authenticated, service_role;

grant all on all tables in schema net to postgres, anon, authenticated, service_role;

grant all on all sequences in schema net to postgres, anon, authenticated, service_role;
"""

PG_CRON = """
create schema cron;

create sequence cron.jobid_seq;

create sequence cron.runid_seq;

create table cron.job (
    jobid bigint primary key default nextval('cron.jobid_seq'),
    schedule text not null,
    command text not null,
    nodename text not null default 'localhost',
    nodeport int not null default pg_catalog.inet_server_port(),
    database text not null default pg_catalog.current_database(),
    username text not null default current_user,
    active boolean not null default true,
    jobname text,
    constraint jobname_username_uniq unique (jobname, username)
);

alter table cron.job enable row level security;

create policy cron_job_policy on cron.job using (username = current_user);

create table cron.job_run_details (
    jobid bigint,
    runid bigint primary key default nextval('cron.runid_seq'),
    job_pid integer,
    database text,
    username text,
    command text,
    status text,
    return_message text,
    start_time timestamptz,
    end_time timestamptz
);

alter table cron.job_run_details enable row level security;

create policy cron_job_run_details_policy on cron.job_run_details using (username = current_user);

select pg_catalog.pg_extension_config_dump('cron.job', '');

select pg_catalog.pg_extension_config_dump('cron.jobid_seq', '');

create function cron._stand_in_check(schedule text) returns text immutable language plpgsql
as $$
begin
    if schedule !~ '^\\s*(\\d+ seconds?|@(reboot|yearly|annually|monthly|weekly|daily|midnight|hourly)|\\S+(\\s+\\S+){4})\\s*$' then
        raise exception 'invalid schedule: %', schedule using errcode = 'invalid_parameter_value';
    end if;
    return schedule;
end
$$;

create function cron.schedule_in_database(
    job_name text, schedule text, command text, database text, username text default null, active boolean default true
) returns bigint volatile security definer set search_path = pg_catalog language sql
as $$
    insert into cron.job as there (jobname, schedule, command, database, username, active, nodeport)
    values ($1, cron._stand_in_check($2), $3, $4, coalesce($5, session_user), $6,
        coalesce(inet_server_port(), current_setting('port')::int))
    on conflict on constraint jobname_username_uniq do update
        set schedule = excluded.schedule, command = excluded.command, database = excluded.database,
            active = excluded.active
    returning jobid
$$;

create function cron.schedule(job_name text, schedule text, command text) returns bigint volatile language sql
as $$ select cron.schedule_in_database($1, $2, $3, pg_catalog.current_database()) $$;

create function cron.schedule(schedule text, command text) returns bigint volatile language sql
as $$ select cron.schedule_in_database(null, $1, $2, pg_catalog.current_database()) $$;

create function cron.unschedule(job_id bigint) returns bool volatile security definer set search_path = pg_catalog
language plpgsql
as $$
begin
    delete from cron.job where jobid = job_id and username = session_user;
    if not found then
        raise exception 'could not find valid entry for job ''%''', job_id;
    end if;
    return true;
end
$$;

create function cron.unschedule(job_name text) returns bool volatile security definer set search_path = pg_catalog
language plpgsql
as $$
begin
    delete from cron.job where jobname = job_name and username = session_user;
    if not found then
        raise exception 'could not find valid entry for job ''%''', job_name;
    end if;
    return true;
end
$$;

create function cron.alter_job(
    job_id bigint, schedule text default null, command text default null, database text default null,
    username text default null, active boolean default null
) returns void volatile security definer set search_path = pg_catalog language plpgsql
as $$
begin
    update cron.job as there set schedule = coalesce(cron._stand_in_check($2), there.schedule),
        command = coalesce($3, there.command), database = coalesce($4, there.database),
        username = coalesce($5, there.username), active = coalesce($6, there.active)
    where there.jobid = $1 and there.username = session_user;
    if not found then
        raise exception 'Job % does not exist or you don''t own it', $1;
    end if;
end
$$;

grant usage on schema cron to postgres with grant option;

grant all on all functions in schema cron to postgres with grant option;

grant all on cron.job_run_details to postgres with grant option;

grant select on cron.job to postgres with grant option;
"""

VAULT = """
create table @extschema@.secrets (
    id uuid primary key default gen_random_uuid(),
    name text,
    description text not null default '',
    secret text not null,
    key_id uuid,
    nonce bytea,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create unique index secrets_name_idx on @extschema@.secrets (name) where name is not null;

comment on table @extschema@.secrets is 'stand-in of the local project: the secrets are written as base64 and not encrypted';

select pg_catalog.pg_extension_config_dump('@extschema@.secrets', '');

create view @extschema@.decrypted_secrets as
select id, name, description, secret,
    pg_catalog.convert_from(pg_catalog.decode(secret, 'base64'), 'UTF8') as decrypted_secret,
    key_id, nonce, created_at, updated_at
from @extschema@.secrets;

create function @extschema@.create_secret(
    new_secret text, new_name text default null, new_description text default '', new_key_id uuid default null
) returns uuid volatile security definer set search_path = pg_catalog language sql
as $$
    insert into @extschema@.secrets (secret, name, description, key_id)
    values (encode(convert_to(new_secret, 'UTF8'), 'base64'), new_name, new_description, new_key_id)
    returning id
$$;

create function @extschema@.update_secret(
    secret_id uuid, new_secret text default null, new_name text default null, new_description text default null,
    new_key_id uuid default null
) returns void volatile security definer set search_path = pg_catalog language sql
as $$
    update @extschema@.secrets
    set secret = coalesce(encode(convert_to(new_secret, 'UTF8'), 'base64'), secret), name = coalesce(new_name, name),
        description = coalesce(new_description, description), key_id = coalesce(new_key_id, key_id), updated_at = now()
    where id = secret_id
$$;

revoke all on function @extschema@.create_secret(text, text, text, uuid) from public;

revoke all on function @extschema@.update_secret(uuid, text, text, text, uuid) from public;

grant usage on schema @extschema@ to postgres with grant option;

grant usage on schema @extschema@ to service_role;

grant select, delete, truncate, references on @extschema@.secrets, @extschema@.decrypted_secrets to postgres with grant option;

grant select, delete on @extschema@.secrets, @extschema@.decrypted_secrets to service_role;

grant execute on all functions in schema @extschema@ to postgres with grant option;

grant execute on all functions in schema @extschema@ to service_role;
"""

GRAPHQL = """
create function @extschema@.resolve(
    query text, variables jsonb default '{}', "operationName" text default null, extensions jsonb default null
) returns jsonb stable language sql
as $$
    select '{"errors": [{"message": "pg_graphql is a stand-in of the local project and answers nothing"}]}'::jsonb
$$;

create sequence @extschema@.seq_schema_version as int cycle;

create function @extschema@.get_schema_version() returns int security definer language sql
as $$ select last_value::int from @extschema@.seq_schema_version $$;

create function @extschema@.increment_schema_version() returns event_trigger security definer language plpgsql
as $$
begin
    perform pg_catalog.nextval('@extschema@.seq_schema_version');
end
$$;

grant usage on schema @extschema@ to postgres with grant option;

grant usage on schema @extschema@ to anon, authenticated, service_role;

grant all on all functions in schema @extschema@ to postgres, anon, authenticated, service_role;
"""

STAND_INS: Mapping[str, StandIn] = {
    "uuid-ossp": StandIn(
        "1.1",
        "makes UUIDs by SQL",
        UUID_OSSP + _UUID_V1.format(name="uuid_generate_v1") + _UUID_V1.format(name="uuid_generate_v1mc"),
        relocatable=True,
    ),
    "pgjwt": StandIn("0.2.0", "signs and verifies tokens by SQL", PGJWT, requires="pgcrypto"),
    "pg_net": StandIn("0.14.0", "keeps requests in a queue and sends none", PG_NET),
    "pg_cron": StandIn("1.6.4", "keeps jobs and runs none", PG_CRON, schema="pg_catalog"),
    "supabase_vault": StandIn("0.3.1", "keeps secrets without encrypting them", VAULT, schema="vault"),
    "pg_graphql": StandIn("1.5.11", "has the names and answers no query", GRAPHQL, schema="graphql"),
}
