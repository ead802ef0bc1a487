# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL that gives a plain PostgreSQL the shape of a Supabase project: roles, schemas, grants and limits.

Statements end with a semicolon and an empty line, so that a server without sessions can run them (single-user mode);
hence no empty line within a statement.

Where a plain PostgreSQL cannot be like a hosted project, it is as near as it gets:

- Hosted, an extension lets postgres make policies and drop triggers on the platform's tables although it does not own
  them. Here postgres is a member of the roles that own them (supabase_auth_admin, supabase_storage_admin).
- Hosted, an extension keeps the platform's roles from being altered but for their settings. Here postgres, which has
  the ADMIN OPTION on the roles of the API as it has there, may alter these (in PostgreSQL 15 any but a superuser).
"""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.pgops.supabase.plugins.module_utils.servers import surface, surface_functions, surface_tables

SUPERUSER = "supabase_admin"
OWNER = "postgres"
LOGIN_ROLES = (OWNER, SUPERUSER, "authenticator")
TEMPLATE_DATABASE = "supabase_template"

# What the platform's postgresql.conf says. Settings of roles (below) take precedence over it.
SERVER_SETTINGS: Mapping[str, str] = {
    "password_encryption": "scram-sha-256",
    "statement_timeout": "2min",
    "wal_level": "logical",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
}

ROLES = """
create role postgres login nosuperuser createdb createrole replication bypassrls;

create role anon nologin;

create role authenticated nologin;

create role service_role nologin bypassrls;

create role authenticator login noinherit;

create role supabase_auth_admin nologin noinherit createrole;

create role supabase_storage_admin nologin noinherit createrole;

create role dashboard_user nologin createdb createrole replication;

grant anon, authenticated, service_role to authenticator;

grant anon, authenticated, service_role, authenticator to postgres with admin option;

grant authenticator to supabase_storage_admin;

grant supabase_auth_admin, supabase_storage_admin to postgres;

grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres with admin option;

do $do$
begin
    if pg_catalog.current_setting('server_version_num')::int >= 160000 then
        grant pg_create_subscription to postgres;
    end if;
end
$do$;

alter role postgres set search_path = "$user", public, extensions;

alter role supabase_admin set search_path = "$user", public, auth, extensions;

alter role anon set statement_timeout = '3s';

alter role authenticated set statement_timeout = '8s';

alter role authenticator set statement_timeout = '8s';

alter role authenticator set lock_timeout = '8s';

alter role supabase_auth_admin set search_path = auth;

alter role supabase_auth_admin set idle_in_transaction_session_timeout = 60000;

alter role supabase_storage_admin set search_path = storage;
"""

SCHEMAS = """
create schema auth;

create schema storage;

create schema extensions;

create schema realtime;

create schema vault;

create schema graphql;

create schema graphql_public;

grant usage on schema graphql, graphql_public, vault to postgres with grant option;

grant usage on schema auth, storage to postgres, anon, authenticated, service_role;

grant all on schema auth, storage to dashboard_user;

grant usage on schema auth to supabase_auth_admin;

grant usage on schema storage to supabase_storage_admin;

grant all on schema extensions to postgres, dashboard_user;

grant usage on schema extensions, graphql_public, realtime to anon, authenticated, service_role;

grant usage on schema graphql_public, realtime, vault to postgres;
"""

# Those that a new project of the platform has, as far as the server's installation has them. Migrations that were taken
# from a project of today begin with dropping pg_graphql, so postgres owns it.
EXTENSIONS = """
do $do$
declare
    wanted text;
    home text;
    made boolean;
begin
    for wanted, home in values ('pgcrypto', 'extensions'), ('pg_stat_statements', 'extensions'),
        ('uuid-ossp', 'extensions'), ('supabase_vault', 'vault'), ('pg_graphql', 'graphql')
    loop
        if exists (select from pg_catalog.pg_available_extensions where name = wanted) then
            if wanted = 'pg_graphql' then
                grant create on database postgres to postgres;
                set role postgres;
            end if;
            begin
                -- A server in single-user mode would end at an error, whoever catches it.
                perform pg_catalog.set_config('exit_on_error', 'off', true);
                execute pg_catalog.format('create extension if not exists %I with schema %I', wanted, home);
                made := true;
            exception when others then
                -- Its library wants one that this machine lacks; then the extension is not there.
                if sqlerrm not like 'could not load library %' then
                    raise;
                end if;
                made := false;
            end;
            perform pg_catalog.set_config('exit_on_error', 'on', true);
            reset role;
        else
            made := false;
        end if;
        if wanted = 'uuid-ossp' and not made then
            create function extensions.uuid_generate_v4() returns uuid
                language sql volatile parallel safe
                as 'select pg_catalog.gen_random_uuid()';
        end if;
    end loop;
end
$do$;

create function graphql_public.graphql(
    "operationName" text default null, query text default null, variables jsonb default null,
    extensions jsonb default null
) returns jsonb language plpgsql as $$
begin
    return graphql.resolve(query, coalesce(variables, '{}'), "operationName", extensions);
end
$$;

grant execute on all functions in schema extensions to postgres with grant option;

grant select on all tables in schema extensions to postgres with grant option;
"""

AUTH = """
create table auth.users (
    instance_id uuid,
    id uuid primary key,
    aud varchar(255),
    role varchar(255),
    email varchar(255),
    encrypted_password varchar(255),
    email_confirmed_at timestamptz,
    invited_at timestamptz,
    confirmation_token varchar(255),
    confirmation_sent_at timestamptz,
    recovery_token varchar(255),
    recovery_sent_at timestamptz,
    email_change_token_new varchar(255),
    email_change varchar(255),
    email_change_sent_at timestamptz,
    last_sign_in_at timestamptz,
    raw_app_meta_data jsonb,
    raw_user_meta_data jsonb,
    is_super_admin boolean,
    created_at timestamptz,
    updated_at timestamptz,
    phone text unique,
    phone_confirmed_at timestamptz,
    phone_change text default '',
    phone_change_token varchar(255) default '',
    phone_change_sent_at timestamptz,
    confirmed_at timestamptz generated always as (least(email_confirmed_at, phone_confirmed_at)) stored,
    email_change_token_current varchar(255) default '',
    email_change_confirm_status smallint default 0 check (email_change_confirm_status between 0 and 2),
    banned_until timestamptz,
    reauthentication_token varchar(255) default '',
    reauthentication_sent_at timestamptz,
    is_sso_user boolean not null default false,
    deleted_at timestamptz,
    is_anonymous boolean not null default false
);

create unique index users_email_partial_key on auth.users (email) where not is_sso_user;

create index users_instance_id_idx on auth.users (instance_id);

create index users_instance_id_email_idx on auth.users (instance_id, lower(email));

create index users_is_anonymous_idx on auth.users (is_anonymous);

create unique index confirmation_token_idx on auth.users (confirmation_token) where confirmation_token !~ '^[0-9 ]*$';

create unique index recovery_token_idx on auth.users (recovery_token) where recovery_token !~ '^[0-9 ]*$';

create unique index email_change_token_current_idx on auth.users (email_change_token_current) where email_change_token_current !~ '^[0-9 ]*$';

create unique index email_change_token_new_idx on auth.users (email_change_token_new) where email_change_token_new !~ '^[0-9 ]*$';

create unique index reauthentication_token_idx on auth.users (reauthentication_token) where reauthentication_token !~ '^[0-9 ]*$';

create table auth.identities (
    provider_id text not null,
    user_id uuid not null references auth.users on delete cascade,
    identity_data jsonb not null,
    provider text not null,
    last_sign_in_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    email text generated always as (lower(identity_data ->> 'email')) stored,
    id uuid primary key default gen_random_uuid(),
    constraint identities_provider_id_provider_unique unique (provider_id, provider)
);

create index identities_user_id_idx on auth.identities (user_id);

create table auth.sessions (
    id uuid primary key,
    user_id uuid not null references auth.users on delete cascade,
    created_at timestamptz,
    updated_at timestamptz,
    factor_id uuid,
    not_after timestamptz,
    refreshed_at timestamp,
    user_agent text,
    ip inet,
    tag text
);

create index sessions_user_id_idx on auth.sessions (user_id);

create function auth.jwt() returns jsonb language sql stable as $$
    select nullif(coalesce(
        nullif(current_setting('request.jwt.claim', true), ''), current_setting('request.jwt.claims', true)), '')::jsonb
$$;

create function auth.uid() returns uuid language sql stable as $$
    select nullif(coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''), auth.jwt() ->> 'sub'), '')::uuid
$$;

create function auth.role() returns text language sql stable as $$
    select coalesce(nullif(current_setting('request.jwt.claim.role', true), ''), auth.jwt() ->> 'role')
$$;

create function auth.email() returns text language sql stable as $$
    select coalesce(nullif(current_setting('request.jwt.claim.email', true), ''), auth.jwt() ->> 'email')
$$;

alter table auth.users owner to supabase_auth_admin;

alter table auth.identities owner to supabase_auth_admin;

alter table auth.sessions owner to supabase_auth_admin;

alter function auth.uid() owner to supabase_auth_admin;

alter function auth.role() owner to supabase_auth_admin;

alter function auth.email() owner to supabase_auth_admin;

alter function auth.jwt() owner to supabase_auth_admin;

alter table auth.users enable row level security;

alter table auth.identities enable row level security;

alter table auth.sessions enable row level security;

grant all on all tables in schema auth to postgres, dashboard_user;

grant execute on all functions in schema auth to dashboard_user;

grant execute on function auth.jwt() to postgres;
"""

STORAGE = """
create table storage.buckets (
    id text primary key,
    name text not null,
    owner uuid,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    public boolean default false,
    avif_autodetection boolean default false,
    file_size_limit bigint,
    allowed_mime_types text[],
    owner_id text
);

create table storage.objects (
    id uuid primary key default gen_random_uuid(),
    bucket_id text constraint "objects_bucketId_fkey" references storage.buckets,
    name text,
    owner uuid,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    last_accessed_at timestamptz default now(),
    metadata jsonb,
    path_tokens text[] generated always as (string_to_array(name, '/')) stored,
    version text,
    owner_id text,
    user_metadata jsonb
);

create unique index bname on storage.buckets (name);

create unique index bucketid_objname on storage.objects (bucket_id, name);

create index idx_objects_bucket_id_name on storage.objects (bucket_id, name collate "C");

create index idx_objects_bucket_id_name_lower on storage.objects (bucket_id, lower(name) collate "C");

create index name_prefix_search on storage.objects (name text_pattern_ops);

create function storage.foldername(name text) returns text[] language sql immutable as $$
    select parts[:cardinality(parts) - 1] from (select string_to_array(name, '/') as parts) as path
$$;

create function storage.filename(name text) returns text language sql immutable as $$
    select split_part(name, '/', -1)
$$;

create function storage.extension(name text) returns text language sql immutable as $$
    select split_part(storage.filename(name), '.', -1)
$$;

alter table storage.buckets owner to supabase_storage_admin;

alter table storage.objects owner to supabase_storage_admin;

alter function storage.foldername(text) owner to supabase_storage_admin;

alter function storage.filename(text) owner to supabase_storage_admin;

alter function storage.extension(text) owner to supabase_storage_admin;

alter table storage.buckets enable row level security;

alter table storage.objects enable row level security;

grant all on all tables in schema storage to postgres, anon, authenticated, service_role;

grant execute on all functions in schema storage to postgres, anon, authenticated, service_role, dashboard_user;
"""

PUBLIC = """
grant all on schema public to postgres;

grant usage on schema public to anon, authenticated, service_role;

alter default privileges for role postgres in schema public
    grant all on tables to postgres, anon, authenticated, service_role;

alter default privileges for role postgres in schema public
    grant all on routines to postgres, anon, authenticated, service_role;

alter default privileges for role postgres in schema public
    grant all on sequences to postgres, anon, authenticated, service_role;

alter default privileges for role supabase_admin in schema public
    grant all on tables to postgres, anon, authenticated, service_role;

alter default privileges for role supabase_admin in schema public
    grant all on routines to postgres, anon, authenticated, service_role;

alter default privileges for role supabase_admin in schema public
    grant all on sequences to postgres, anon, authenticated, service_role;

create publication supabase_realtime;

alter publication supabase_realtime owner to postgres;
"""

# A copy of a database has its content but neither its owner nor its settings. The template takes no connections, so
# that it always can be copied.
DATABASES = """
create database supabase_template template postgres is_template true allow_connections false;

alter database postgres owner to postgres;

grant all on database postgres to dashboard_user;
"""


def shape_script(passwords: Mapping[str, str]) -> str:
    """The whole script for a new server, to be run in its database postgres.

    :param passwords: of the roles that log in, made of URL-safe characters.
    """
    logins = [f"alter role {role} password '{_plain(passwords[role])}';" for role in LOGIN_ROLES]
    parts = [ROLES, surface.ROLES, *logins, SCHEMAS, EXTENSIONS, AUTH, surface.AUTH, surface_tables.AUTH]
    parts += [STORAGE, surface.STORAGE, surface_tables.STORAGE, surface_functions.STORAGE]
    parts += [surface.REALTIME, surface_tables.REALTIME, surface_functions.REALTIME]
    parts += [surface.FUNCTIONS, surface.DEFAULT_PRIVILEGES, PUBLIC]
    parts += [surface.EVENT_TRIGGERS, surface_tables.EVENT_TRIGGERS, DATABASES]
    return "\n\n".join(parts) + "\n\n"


def _plain(password: str) -> str:
    """Single-user mode has no parameters, so a password that would need quoting is not let in at all."""
    if not password.replace("-", "").replace("_", "").isalnum():
        raise ValueError("the password of a local project is made of letters, digits, - and _")
    return password
