# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The platform's tables that applications seldom read but dumps of whole projects name: their columns, keys, owners and grants.

Written from the facts in the published migrations of Supabase's auth, storage, realtime and postgres. Nothing writes into
them here. The SQL keeps to the rules of :mod:`shape`: statements end with a semicolon and an empty line.
"""

from __future__ import annotations

AUTH = """
create type auth.code_challenge_method as enum ('s256', 'plain');

create type auth.one_time_token_type as enum ('confirmation_token', 'reauthentication_token', 'recovery_token',
    'email_change_token_new', 'email_change_token_current', 'phone_change_token');

create type auth.oauth_registration_type as enum ('dynamic', 'manual');

create type auth.oauth_client_type as enum ('public', 'confidential');

create type auth.oauth_authorization_status as enum ('pending', 'approved', 'denied', 'expired');

create type auth.oauth_response_type as enum ('code');

alter table auth.sessions add column refresh_token_hmac_key text, add column refresh_token_counter bigint,
    add column oauth_client_id uuid, add column scopes text;

alter table auth.mfa_factors add column web_authn_credential jsonb, add column web_authn_aaguid uuid,
    add column last_webauthn_challenge_data jsonb;

alter table auth.mfa_challenges add column web_authn_session_data jsonb;

create table auth.flow_state (
    id uuid primary key, user_id uuid, auth_code text, code_challenge_method auth.code_challenge_method, code_challenge text,
    provider_type text not null, provider_access_token text, provider_refresh_token text, created_at timestamptz,
    updated_at timestamptz, authentication_method text not null, auth_code_issued_at timestamptz, invite_token text,
    referrer text, oauth_client_state_id uuid, linking_target_id uuid, email_optional boolean not null default false
);

create table auth.one_time_tokens (
    id uuid primary key, user_id uuid not null references auth.users on delete cascade,
    token_type auth.one_time_token_type not null, token_hash text not null check (length(token_hash) > 0),
    relates_to text not null, created_at timestamp not null default now(), updated_at timestamp not null default now()
);

create table auth.sso_providers (
    id uuid primary key, resource_id text, created_at timestamptz, updated_at timestamptz, disabled boolean
);

create table auth.sso_domains (
    id uuid primary key, sso_provider_id uuid not null references auth.sso_providers on delete cascade,
    domain text not null check (length(domain) > 0), created_at timestamptz, updated_at timestamptz
);

create table auth.saml_providers (
    id uuid primary key, sso_provider_id uuid not null references auth.sso_providers on delete cascade,
    entity_id text not null unique check (length(entity_id) > 0), metadata_xml text not null check (length(metadata_xml) > 0),
    metadata_url text, attribute_mapping jsonb, created_at timestamptz, updated_at timestamptz, name_id_format text
);

create table auth.saml_relay_states (
    id uuid primary key, sso_provider_id uuid not null references auth.sso_providers on delete cascade,
    request_id text not null check (length(request_id) > 0), for_email text, redirect_to text, created_at timestamptz,
    updated_at timestamptz, flow_state_id uuid references auth.flow_state on delete cascade
);

create table auth.oauth_clients (
    id uuid primary key, client_secret_hash text, registration_type auth.oauth_registration_type not null,
    redirect_uris text not null, grant_types text not null, client_name text check (length(client_name) <= 1024),
    client_uri text check (length(client_uri) <= 2048), logo_uri text check (length(logo_uri) <= 2048),
    created_at timestamptz not null default now(), updated_at timestamptz not null default now(), deleted_at timestamptz,
    client_type auth.oauth_client_type not null default 'confidential',
    token_endpoint_auth_method text not null
        check (token_endpoint_auth_method in ('client_secret_basic', 'client_secret_post', 'none'))
);

alter table auth.sessions
    add constraint sessions_oauth_client_id_fkey foreign key (oauth_client_id) references auth.oauth_clients on delete cascade;

create table auth.oauth_authorizations (
    id uuid primary key, authorization_id text not null unique,
    client_id uuid not null references auth.oauth_clients on delete cascade,
    user_id uuid references auth.users on delete cascade, redirect_uri text not null, scope text not null, state text,
    resource text, code_challenge text, code_challenge_method auth.code_challenge_method,
    response_type auth.oauth_response_type not null default 'code',
    status auth.oauth_authorization_status not null default 'pending', authorization_code text unique,
    created_at timestamptz not null default now(), expires_at timestamptz not null default now() + interval '3 minutes',
    approved_at timestamptz, nonce text
);

create table auth.oauth_consents (
    id uuid primary key, user_id uuid not null references auth.users on delete cascade,
    client_id uuid not null references auth.oauth_clients on delete cascade, scopes text not null,
    granted_at timestamptz not null default now(), revoked_at timestamptz,
    constraint oauth_consents_user_client_unique unique (user_id, client_id)
);

create table auth.oauth_client_states (
    id uuid primary key, provider_type text not null, code_verifier text, created_at timestamptz not null
);

create table auth.custom_oauth_providers (
    id uuid primary key default gen_random_uuid(), provider_type text not null check (provider_type in ('oauth2', 'oidc')),
    identifier text not null unique, name text not null, client_id text not null, client_secret text not null,
    acceptable_client_ids text[] not null default '{}', scopes text[] not null default '{}',
    custom_claims_allowlist text[] not null default '{}',
    pkce_enabled boolean not null default true, attribute_mapping jsonb not null default '{}',
    authorization_params jsonb not null default '{}', enabled boolean not null default true,
    email_optional boolean not null default false, issuer text, discovery_url text,
    skip_nonce_check boolean not null default false, cached_discovery jsonb, discovery_cached_at timestamptz,
    authorization_url text, token_url text, userinfo_url text, jwks_uri text,
    created_at timestamptz not null default now(), updated_at timestamptz not null default now()
);

create table auth.webauthn_credentials (
    id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users on delete cascade,
    credential_id bytea not null, public_key bytea not null, attestation_type text not null default '', aaguid uuid,
    sign_count bigint not null default 0, transports jsonb not null default '[]', backup_eligible boolean not null default false,
    backed_up boolean not null default false, friendly_name text not null default '',
    created_at timestamptz not null default now(), updated_at timestamptz not null default now(), last_used_at timestamptz
);

alter table auth.sessions add constraint sessions_scopes_length check (char_length(scopes) <= 4096);

create index identities_email_idx on auth.identities (email text_pattern_ops);

create index refresh_tokens_instance_id_idx on auth.refresh_tokens (instance_id);

create index refresh_tokens_instance_id_user_id_idx on auth.refresh_tokens (instance_id, user_id);

create index refresh_tokens_parent_idx on auth.refresh_tokens (parent);

create index refresh_tokens_session_id_revoked_idx on auth.refresh_tokens (session_id, revoked);

create index refresh_tokens_updated_at_idx on auth.refresh_tokens (updated_at desc);

create index sessions_not_after_idx on auth.sessions (not_after desc);

create index sessions_oauth_client_id_idx on auth.sessions (oauth_client_id);

create index user_id_created_at_idx on auth.sessions (user_id, created_at);

create table auth.webauthn_challenges (
    id uuid primary key default gen_random_uuid(), user_id uuid references auth.users on delete cascade,
    challenge_type text not null check (challenge_type in ('signup', 'registration', 'authentication')),
    session_data jsonb not null, created_at timestamptz not null default now(), expires_at timestamptz not null
);

do $do$
declare
    made text;
begin
    for made in select pg_catalog.format('table auth.%I', relname)
        from pg_catalog.pg_class where relnamespace = 'auth'::regnamespace and relkind = 'r'
        union all select pg_catalog.format('type auth.%I', typname)
        from pg_catalog.pg_type where typnamespace = 'auth'::regnamespace and typtype = 'e'
    loop
        execute 'alter ' || made || ' owner to supabase_auth_admin';
        if made like 'table %' then
            execute 'alter ' || made || ' enable row level security';
            execute 'grant all on ' || made || ' to postgres, dashboard_user';
            -- Tables that came after the platform had given postgres this right.
            if made !~ 'auth\\.(custom_oauth_providers|oauth_.*|webauthn_.*)$' then
                execute 'grant select on ' || made || ' to postgres with grant option';
            end if;
        end if;
    end loop;
end
$do$;
"""

STORAGE = """
alter table storage.buckets add column versioning_status text not null default 'DISABLED'
    check (versioning_status in ('DISABLED', 'ENABLED', 'SUSPENDED')),
    add constraint buckets_versioning_standard_only_check check (type = 'STANDARD' or versioning_status = 'DISABLED'),
    add constraint buckets_versioning_dark_check check (versioning_status = 'DISABLED');

alter table storage.objects add column archived_at timestamptz, add column is_delete_marker boolean not null default false,
    add column is_versioned boolean not null default false;

create table storage.migrations (
    id integer primary key, name varchar(100) not null unique, hash varchar(40) not null,
    executed_at timestamp default current_timestamp
);

create table storage.s3_multipart_uploads (
    id text primary key, in_progress_size bigint not null default 0, upload_signature text not null,
    bucket_id text not null references storage.buckets, key text collate "C" not null, version text not null,
    owner_id text, created_at timestamptz not null default now(), user_metadata jsonb, metadata jsonb
);

create index idx_multipart_uploads_list on storage.s3_multipart_uploads (bucket_id, key, created_at);

create table storage.s3_multipart_uploads_parts (
    id uuid primary key default gen_random_uuid(),
    upload_id text not null references storage.s3_multipart_uploads on delete cascade, size bigint not null default 0,
    part_number integer not null, bucket_id text not null references storage.buckets, key text collate "C" not null,
    etag text not null, owner_id text, version text not null, created_at timestamptz not null default now()
);

create table storage.buckets_analytics (
    name text not null, type storage.buckettype not null default 'ANALYTICS', format text not null default 'ICEBERG',
    created_at timestamptz not null default now(), updated_at timestamptz not null default now(),
    id uuid primary key default gen_random_uuid(), deleted_at timestamptz
);

create unique index buckets_analytics_unique_name_idx on storage.buckets_analytics (name) where deleted_at is null;

create table storage.buckets_vectors (
    id text primary key, type storage.buckettype not null default 'VECTOR', created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table storage.vector_indexes (
    id text primary key default gen_random_uuid(), name text collate "C" not null,
    bucket_id text not null references storage.buckets_vectors, data_type text not null, dimension integer not null,
    distance_metric text not null, metadata_configuration jsonb, created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create unique index vector_indexes_name_bucket_id_idx on storage.vector_indexes (name, bucket_id);

do $do$
declare
    made text;
begin
    for made in select relname from pg_catalog.pg_class where relnamespace = 'storage'::regnamespace and relkind = 'r' loop
        execute pg_catalog.format('alter table storage.%I owner to supabase_storage_admin', made);
        execute pg_catalog.format('alter table storage.%I enable row level security', made);
    end loop;
end
$do$;

grant all on storage.s3_multipart_uploads, storage.s3_multipart_uploads_parts to service_role;

grant select on storage.s3_multipart_uploads, storage.s3_multipart_uploads_parts, storage.buckets_vectors,
    storage.vector_indexes to anon, authenticated, service_role;

grant all on storage.buckets, storage.objects to postgres with grant option;

grant all on storage.migrations to postgres, anon, authenticated, service_role;

grant all on storage.buckets_analytics to anon, authenticated, service_role;

create function storage.can_insert_object(bucketid text, name text, owner uuid, metadata jsonb) returns void
language plpgsql as $$
begin
    insert into storage.objects (bucket_id, name, owner, metadata)
    values (can_insert_object.bucketid, can_insert_object.name, can_insert_object.owner, can_insert_object.metadata);
    raise sqlstate 'PT200' using message = 'ROLLBACK', detail = 'rollback successful insert';
end
$$;

create function storage.allow_only_operation(expected_operation text) returns boolean language sql stable as $$
    select coalesce(storage.operation(), '') in (expected_operation, 'storage.' || expected_operation)
$$;

create function storage.allow_any_operation(expected_operations text[]) returns boolean language sql stable as $$
    select coalesce(bool_or(storage.allow_only_operation(expected)), false) from unnest(expected_operations) as expected
$$;

create function storage.search(
    prefix text, bucketname text, limits integer default 100, levels integer default 1, offsets integer default 0,
    search text default '', sortcolumn text default 'name', sortorder text default 'asc'
) returns table (
    name text, id uuid, updated_at timestamptz, created_at timestamptz, last_accessed_at timestamptz, metadata jsonb
) language sql stable as $$
    select path_tokens[levels], o.id, o.updated_at, o.created_at, o.last_accessed_at, o.metadata
    from storage.objects as o
    where o.bucket_id = bucketname and o.name ilike prefix || search || '%'
    order by 1 limit limits offset offsets
$$;

comment on function storage.search(text, text, integer, integer, integer, text, text, text)
    is 'stand-in of the local project: lists files by name and folds no folders';

alter function storage.can_insert_object(text, text, uuid, jsonb) owner to supabase_storage_admin;

alter function storage.allow_only_operation(text) owner to supabase_storage_admin;

alter function storage.allow_any_operation(text[]) owner to supabase_storage_admin;

alter function storage.search(text, text, integer, integer, integer, text, text, text) owner to supabase_storage_admin;
"""

REALTIME = """
create table realtime.schema_migrations (version bigint primary key, inserted_at timestamp);

create type realtime.equality_op as enum ('eq', 'neq', 'lt', 'lte', 'gt', 'gte', 'in', 'like', 'ilike', 'is', 'match', 'imatch',
    'isdistinct');

create type realtime.user_defined_filter as (column_name text, op realtime.equality_op, value text, negate boolean);

create function realtime.to_regrole(role_name text) returns regrole language sql immutable as $$ select role_name::regrole $$;

create table realtime.subscription (
    id bigint generated always as identity constraint pk_subscription primary key, subscription_id uuid not null,
    entity regclass not null, filters realtime.user_defined_filter[] not null default '{}', claims jsonb not null,
    claims_role regrole not null generated always as (realtime.to_regrole(claims ->> 'role')) stored,
    created_at timestamp not null default (now() at time zone 'utc'), action_filter text default '*'
        check (action_filter in ('*', 'INSERT', 'UPDATE', 'DELETE')),
    selected_columns text[]
);

create index ix_realtime_subscription_entity on realtime.subscription (entity);

create unique index subscription_subscription_id_entity_filters_action_filter_selec on realtime.subscription
    (subscription_id, entity, filters, action_filter, coalesce(selected_columns, '{}'));

alter table realtime.messages add column binary_payload bytea,
    add constraint messages_payload_exclusive check (payload is null or binary_payload is null);

grant select on realtime.subscription to anon, authenticated, service_role;

grant all on realtime.subscription to postgres, dashboard_user;
"""

# What the platform grants when one of these is made; the stand-ins bring their grants, an extension of a server's own does not.
EVENT_TRIGGERS = """
create function extensions.grant_pg_cron_access() returns event_trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    if exists (
        select from pg_event_trigger_ddl_commands() as made join pg_extension as e on e.oid = made.objid
        where e.extname = 'pg_cron'
    ) then
        grant usage on schema cron to postgres with grant option;
        grant all on all tables in schema cron to postgres with grant option;
        revoke all on cron.job from postgres;
        grant select on cron.job to postgres with grant option;
    end if;
end
$$;

create function extensions.grant_pg_net_access() returns event_trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    if exists (
        select from pg_event_trigger_ddl_commands() as made join pg_extension as e on e.oid = made.objid
        where e.extname = 'pg_net'
    ) then
        grant usage on schema net to supabase_functions_admin, postgres, anon, authenticated, service_role;
    end if;
end
$$;

create function extensions.grant_pg_graphql_access() returns event_trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    if exists (
        select from pg_event_trigger_ddl_commands() as made join pg_extension as e on e.oid = made.objid
        where e.extname = 'pg_graphql'
    ) then
        grant usage on schema graphql, graphql_public to postgres with grant option;
        grant usage on schema graphql to anon, authenticated, service_role;
    end if;
end
$$;

create function extensions.set_graphql_placeholder() returns event_trigger language plpgsql as $$
begin
    -- graphql_public.graphql() belongs to no extension here and says itself that nothing answers.
    null;
end
$$;

comment on function extensions.set_graphql_placeholder() is 'stand-in of the local project: does nothing';

create event trigger issue_pg_cron_access on ddl_command_end when tag in ('CREATE EXTENSION')
    execute function extensions.grant_pg_cron_access();

create event trigger issue_pg_net_access on ddl_command_end when tag in ('CREATE EXTENSION')
    execute function extensions.grant_pg_net_access();

create event trigger issue_pg_graphql_access on ddl_command_end when tag in ('CREATE EXTENSION')
    execute function extensions.grant_pg_graphql_access();

create event trigger issue_graphql_placeholder on sql_drop when tag in ('DROP EXTENSION')
    execute function extensions.set_graphql_placeholder();
"""
