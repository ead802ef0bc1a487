# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""More of the platform's surface: what migrations name of realtime, of webhooks, of storage's guards and of sign-in.

The SQL keeps to the rules of :mod:`shape`: statements end with a semicolon and an empty line. Nothing is behind it: no
message is delivered and no webhook is called; a request of a webhook goes to pg_net, whose stand-in sends nothing.
"""

from __future__ import annotations

ROLES = """
create role supabase_realtime_admin nologin noinherit;

create role supabase_functions_admin nologin noinherit createrole;

create role supabase_read_only_user nologin bypassrls;

create role supabase_replication_admin nologin replication;

create role pgbouncer nologin;

grant supabase_realtime_admin to postgres;

grant pg_read_all_data to supabase_read_only_user;

alter role supabase_functions_admin set search_path = supabase_functions;

grant set on parameter session_replication_role, pgrst.db_schemas, pgrst.db_schema, pgrst.db_extra_search_path,
    pgrst.db_max_rows, pgrst.db_aggregates_enabled, pgrst.db_pre_request, pgrst.db_plan_enabled,
    pgrst.db_anon_role, pgrst.db_tx_end, pgrst.server_cors_allowed_origins, pgrst.openapi_mode to postgres;
"""

# Sign-in's other tables, as far as policies, functions and reports of applications read them.
AUTH = """
create type auth.aal_level as enum ('aal1', 'aal2', 'aal3');

create type auth.factor_type as enum ('totp', 'webauthn', 'phone');

create type auth.factor_status as enum ('unverified', 'verified');

alter table auth.sessions add column aal auth.aal_level;

create table auth.refresh_tokens (
    instance_id uuid,
    id bigserial primary key,
    token varchar(255) constraint refresh_tokens_token_unique unique,
    user_id varchar(255),
    revoked boolean,
    created_at timestamptz,
    updated_at timestamptz,
    parent varchar(255),
    session_id uuid references auth.sessions on delete cascade
);

create table auth.audit_log_entries (
    instance_id uuid,
    id uuid primary key,
    payload json,
    created_at timestamptz,
    ip_address varchar(64) not null default ''
);

create table auth.instances (
    id uuid primary key,
    uuid uuid,
    raw_base_config text,
    created_at timestamptz,
    updated_at timestamptz
);

create table auth.schema_migrations (version varchar(255) primary key);

create table auth.mfa_factors (
    id uuid primary key,
    user_id uuid not null references auth.users on delete cascade,
    friendly_name text,
    factor_type auth.factor_type not null,
    status auth.factor_status not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    secret text,
    phone text,
    last_challenged_at timestamptz unique
);

create table auth.mfa_challenges (
    id uuid primary key,
    factor_id uuid not null constraint mfa_challenges_auth_factor_id_fkey references auth.mfa_factors on delete cascade,
    created_at timestamptz not null,
    verified_at timestamptz,
    ip_address inet not null,
    otp_code text
);

create table auth.mfa_amr_claims (
    session_id uuid not null references auth.sessions on delete cascade,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    authentication_method text not null,
    id uuid constraint amr_id_pk primary key,
    constraint mfa_amr_claims_session_id_authentication_method_pkey unique (session_id, authentication_method)
);

do $do$
declare
    made text;
begin
    foreach made in array array['refresh_tokens', 'audit_log_entries', 'instances', 'schema_migrations', 'mfa_factors',
        'mfa_challenges', 'mfa_amr_claims']
    loop
        execute pg_catalog.format('alter table auth.%I owner to supabase_auth_admin', made);
        execute pg_catalog.format('alter table auth.%I enable row level security', made);
    end loop;
    foreach made in array array['aal_level', 'factor_type', 'factor_status'] loop
        execute pg_catalog.format('alter type auth.%I owner to supabase_auth_admin', made);
    end loop;
end
$do$;

grant all on all tables in schema auth to postgres, dashboard_user;

grant all on all sequences in schema auth to postgres, dashboard_user;
"""

STORAGE = """
create type storage.buckettype as enum ('STANDARD', 'ANALYTICS', 'VECTOR');

alter type storage.buckettype owner to supabase_storage_admin;

alter table storage.buckets add column type storage.buckettype not null default 'STANDARD';

create function storage.protect_delete() returns trigger language plpgsql as $$
begin
    if current_setting('storage.allow_delete_query', true) is distinct from 'true' then
        raise insufficient_privilege using
            message = 'Direct deletion from storage tables is not allowed. Use the Storage API instead.',
            hint = 'Set storage.allow_delete_query to true where files without a row are no loss.';
    end if;
    return null;
end
$$;

create trigger protect_buckets_delete before delete on storage.buckets
    for each statement execute function storage.protect_delete();

create trigger protect_objects_delete before delete on storage.objects
    for each statement execute function storage.protect_delete();

create function storage.update_updated_at_column() returns trigger language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end
$$;

create trigger update_objects_updated_at before update on storage.objects
    for each row execute function storage.update_updated_at_column();

create function storage.enforce_bucket_name_length() returns trigger language plpgsql as $$
begin
    if length(new.name) > 100 then
        raise exception 'bucket name "%" is too long (% characters). Max is 100.', new.name, length(new.name);
    end if;
    return new;
end
$$;

create trigger enforce_bucket_name_length_trigger before insert or update of name on storage.buckets
    for each row execute function storage.enforce_bucket_name_length();

create function storage.operation() returns text language sql stable as $$
    select current_setting('storage.operation', true)
$$;
"""

REALTIME = """
grant usage, create on schema realtime to supabase_realtime_admin;

create table realtime.messages (
    topic text not null,
    extension text not null,
    payload jsonb,
    event text,
    private boolean default false,
    updated_at timestamp not null default now(),
    inserted_at timestamp not null default now(),
    id uuid not null default gen_random_uuid(),
    primary key (id, inserted_at)
) partition by range (inserted_at);

alter table realtime.messages enable row level security;

alter table realtime.messages owner to supabase_realtime_admin;

grant select, insert, update on realtime.messages to postgres, anon, authenticated, service_role;

create function realtime.topic() returns text language sql stable as $$
    select nullif(current_setting('realtime.topic', true), '')
$$;

create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
language plpgsql as $$
begin
    raise debug 'the local project delivers no message of realtime: % on %', event, topic;
end
$$;

create function realtime.broadcast_changes(
    topic_name text, event_name text, operation text, table_name text, table_schema text, new record, old record,
    level text default 'ROW'
) returns void language plpgsql as $$
begin
    if level = 'STATEMENT' then
        raise exception 'function can only be triggered for each row, not for each statement';
    end if;
    perform realtime.send(jsonb_build_object('old_record', old, 'record', new, 'operation', operation,
        'table', table_name, 'schema', table_schema), event_name, topic_name);
end
$$;
"""

FUNCTIONS = """
create schema supabase_functions;

grant usage on schema supabase_functions to postgres, anon, authenticated, service_role;

grant all on schema supabase_functions to supabase_functions_admin;

create table supabase_functions.migrations (version text primary key, inserted_at timestamptz not null default now());

create table supabase_functions.hooks (
    id bigserial primary key,
    hook_table_id integer not null,
    hook_name text not null,
    created_at timestamptz not null default now(),
    request_id bigint
);

create function supabase_functions.http_request() returns trigger
language plpgsql security definer set search_path = supabase_functions as $$
declare
    request bigint;
    url constant text := tg_argv[0];
    method constant text := tg_argv[1];
    headers constant jsonb := coalesce(nullif(tg_argv[2], 'null'), '{"Content-Type": "application/json"}');
    params constant jsonb := coalesce(nullif(tg_argv[3], 'null'), '{}');
    patience constant int := coalesce(nullif(tg_argv[4], 'null'), '1000');
begin
    if coalesce(url, 'null') = 'null' then
        raise exception 'url argument is missing';
    elsif method = 'GET' then
        request := net.http_get(url, params, headers, patience);
    elsif method = 'POST' then
        request := net.http_post(url, jsonb_build_object('type', tg_op, 'table', tg_table_name, 'schema', tg_table_schema,
            'record', to_jsonb(new), 'old_record', to_jsonb(old)), params, headers, patience);
    else
        raise exception 'method argument % is invalid', method;
    end if;
    insert into supabase_functions.hooks (hook_table_id, hook_name, request_id) values (tg_relid, tg_name, request);
    return coalesce(new, old);
end
$$;

alter table supabase_functions.migrations owner to supabase_functions_admin;

alter table supabase_functions.hooks owner to supabase_functions_admin;

alter function supabase_functions.http_request() owner to supabase_functions_admin;

revoke all on function supabase_functions.http_request() from public;

grant execute on function supabase_functions.http_request() to postgres, anon, authenticated, service_role;

grant all on all tables in schema supabase_functions to postgres, anon, authenticated, service_role;

grant all on all sequences in schema supabase_functions to postgres, anon, authenticated, service_role;
"""

DEFAULT_PRIVILEGES = """
do $do$
declare
    kind text;
begin
    foreach kind in array array['tables', 'routines', 'sequences'] loop
        execute 'alter default privileges for role supabase_auth_admin in schema auth grant all on ' || kind
            || ' to postgres, dashboard_user';
        execute 'alter default privileges for role postgres in schema storage grant all on ' || kind
            || ' to postgres, anon, authenticated, service_role';
        execute 'alter default privileges for role supabase_admin in schema graphql grant all on ' || kind
            || ' to postgres, anon, authenticated, service_role';
        execute 'alter default privileges for role supabase_admin in schema graphql_public grant all on ' || kind
            || ' to postgres, anon, authenticated, service_role';
        execute 'alter default privileges for role supabase_admin in schema extensions grant all on ' || kind
            || ' to postgres with grant option';
        execute 'alter default privileges for role supabase_admin in schema realtime grant all on ' || kind
            || ' to postgres, dashboard_user';
        execute 'alter default privileges for role supabase_admin in schema supabase_functions grant all on ' || kind
            || ' to postgres, anon, authenticated, service_role';
    end loop;
end
$do$;
"""

# The API reads the schema anew when it changes.
EVENT_TRIGGERS = """
create function extensions.pgrst_ddl_watch() returns event_trigger language plpgsql as $$
begin
    if exists (
        select from pg_catalog.pg_event_trigger_ddl_commands()
        where schema_name is distinct from 'pg_temp'
            and command_tag ~ ('^((CREATE|ALTER) (SCHEMA|TABLE|FOREIGN TABLE|VIEW|MATERIALIZED VIEW|FUNCTION|TYPE)'
                || '|CREATE (TABLE AS|TRIGGER|RULE)|SELECT INTO|COMMENT)$')
    ) then
        notify pgrst, 'reload schema';
    end if;
end
$$;

create function extensions.pgrst_drop_watch() returns event_trigger language plpgsql as $$
begin
    if exists (
        select from pg_catalog.pg_event_trigger_dropped_objects()
        where not is_temporary and object_type in (
            'schema', 'table', 'foreign table', 'view', 'materialized view', 'function', 'trigger', 'type', 'rule')
    ) then
        notify pgrst, 'reload schema';
    end if;
end
$$;

create event trigger pgrst_ddl_watch on ddl_command_end execute function extensions.pgrst_ddl_watch();

create event trigger pgrst_drop_watch on sql_drop execute function extensions.pgrst_drop_watch();
"""
