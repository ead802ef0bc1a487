# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions of storage and realtime that migrations name: the platform's signatures, owners and grants, bodies of our own.

Where a body does less than the platform's, the function's comment says so: ``stand-in of the local project``. The SQL keeps
to the rules of :mod:`shape`: statements end with a semicolon and an empty line.
"""

from __future__ import annotations

STORAGE = """
create function storage.get_common_prefix(p_key text, p_prefix text, p_delimiter text) returns text language sql immutable as $$
    select left(p_key, length(p_prefix) + nullif(position(p_delimiter in substr(p_key, length(p_prefix) + 1)), 0))
$$;

create function storage.get_size_by_bucket() returns table (size bigint, bucket_id text) language sql stable as $$
    select sum((o.metadata ->> 'size')::bigint)::bigint, o.bucket_id from storage.objects as o group by o.bucket_id
$$;

create function storage.list_objects_with_delimiter(
    _bucket_id text, prefix_param text, delimiter_param text, max_keys integer default 100, start_after text default '',
    next_token text default '', sort_order text default 'asc'
) returns table (
    name text, id uuid, metadata jsonb, updated_at timestamptz, created_at timestamptz, last_accessed_at timestamptz
) language sql stable as $$
    with found as (
        select o.*, storage.get_common_prefix(o.name, coalesce(prefix_param, ''), delimiter_param) as folder
        from storage.objects as o where o.bucket_id = _bucket_id and starts_with(o.name, coalesce(prefix_param, ''))
    ), listed as (
        select distinct rtrim(f.folder, delimiter_param) as name, null::uuid as id, null::jsonb as metadata,
            null::timestamptz as updated_at, null::timestamptz as created_at, null::timestamptz as last_accessed_at
        from found as f where f.folder is not null
        union all
        select f.name, f.id, f.metadata, f.updated_at, f.created_at, f.last_accessed_at from found as f where f.folder is null
    ), after as (
        select coalesce(nullif(next_token, ''), nullif(start_after, '')) collate "C" as name, lower(sort_order) = 'desc' as down
    )
    select l.* from listed as l, after as a
    where a.name is null or case when a.down then l.name collate "C" < a.name else l.name collate "C" > a.name end
    order by case when not a.down then l.name collate "C" end, l.name collate "C" desc limit max_keys
$$;

create function storage.list_multipart_uploads_with_delimiter(
    bucket_id text, prefix_param text, delimiter_param text, max_keys integer default 100, next_key_token text default '',
    next_upload_token text default ''
) returns table (key text, id text, created_at timestamptz) language sql as $$
    select u.key, u.id, u.created_at from storage.s3_multipart_uploads as u
    where u.bucket_id = list_multipart_uploads_with_delimiter.bucket_id and starts_with(u.key, prefix_param)
        and u.key > next_key_token and u.id > next_upload_token
    order by u.key, u.created_at limit max_keys
$$;

comment on function storage.list_multipart_uploads_with_delimiter(text, text, text, integer, text, text)
    is 'stand-in of the local project: lists uploads by key and folds no folders';

create function storage.search_v2(
    prefix text, bucket_name text, limits integer default 100, levels integer default 1, start_after text default '',
    sort_order text default 'asc', sort_column text default 'name', sort_column_after text default ''
) returns table (
    key text, name text, id uuid, updated_at timestamptz, created_at timestamptz, last_accessed_at timestamptz, metadata jsonb
) language sql stable as $$
    select split_part(l.name, '/', levels), l.name, l.id, l.updated_at, l.created_at, l.last_accessed_at, l.metadata
    from storage.list_objects_with_delimiter(bucket_name, prefix, '/', limits, start_after, '', sort_order) as l
$$;

comment on function storage.search_v2(text, text, integer, integer, text, text, text, text)
    is 'stand-in of the local project: sorts by name, whatever sort_column says';

create function storage.search_by_timestamp(
    p_prefix text, p_bucket_id text, p_limit integer, p_level integer, p_start_after text, p_sort_order text,
    p_sort_column text, p_sort_column_after text
) returns table (
    key text, name text, id uuid, updated_at timestamptz, created_at timestamptz, last_accessed_at timestamptz, metadata jsonb
) language sql stable as $$
    select * from storage.search_v2(p_prefix, p_bucket_id, p_limit, p_level, p_start_after, p_sort_order)
$$;

comment on function storage.search_by_timestamp(text, text, integer, integer, text, text, text, text)
    is 'stand-in of the local project: sorts by name, whatever p_sort_column says';

do $do$
declare
    made regprocedure;
begin
    for made in select oid from pg_catalog.pg_proc where pronamespace = 'storage'::regnamespace loop
        execute pg_catalog.format('alter function %s owner to supabase_storage_admin', made);
    end loop;
end
$do$;
"""

REALTIME = """
create type realtime.action as enum ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'ERROR');

create type realtime.wal_column as (
    name text, type_name text, type_oid oid, value jsonb, is_pkey boolean, is_selectable boolean
);

create type realtime.wal_rls as (wal jsonb, is_rls_enabled boolean, subscription_ids uuid[], errors text[]);

create function realtime.wal2json_escape_identifier(name text) returns text language sql immutable strict as $$
    select regexp_replace(name, '[,.\\s\\\\]', '\\\\\\&', 'g')
$$;

create function realtime.quote_wal2json(entity regclass) returns text language sql immutable strict as $$
    select realtime.wal2json_escape_identifier(relnamespace::regnamespace::text)
        || '.' || realtime.wal2json_escape_identifier(relname::text)
    from pg_class where oid = entity
$$;

create function realtime."cast"(val text, type_ regtype) returns jsonb language plpgsql immutable as $$
declare
    made jsonb;
begin
    if type_ = 'bytea'::regtype then
        return to_jsonb(val);
    end if;
    execute format('select to_jsonb(%L::%s)', val, type_) into made;
    return made;
end
$$;

create function realtime.check_equality_op(
    op realtime.equality_op, type_ regtype, val_1 text, val_2 text, negate boolean
) returns boolean language plpgsql stable as $$
declare
    sign constant text := jsonb_build_object('eq', '=', 'neq', '<>', 'lt', '<', 'lte', '<=', 'gt', '>', 'gte', '>=', 'in', '= any',
        'like', 'like', 'ilike', 'ilike', 'match', '~', 'imatch', '~*', 'isdistinct', 'is distinct from') ->> op::text;
    holds boolean;
begin
    if op = 'is' then
        if val_2 not in ('null', 'true', 'false', 'unknown') then
            raise exception 'invalid value for is filter: must be null, true, false, or unknown';
        end if;
        execute format('select %L::%s is %s', val_1, type_, val_2) into holds;
    else
        execute format('select %L::%s %s (%L::%s)', val_1, type_, sign, val_2, type_ || case op when 'in' then '[]' else '' end)
            into holds;
    end if;
    return holds <> negate;
end
$$;

create function realtime.check_equality_op(op realtime.equality_op, type_ regtype, val_1 text, val_2 text) returns boolean
language plpgsql immutable as $$
begin
    return realtime.check_equality_op(op, type_, val_1, val_2, false);
end
$$;

create function realtime.is_visible_through_filters(columns realtime.wal_column[], filters realtime.user_defined_filter[])
returns boolean language sql stable as $$
    select not exists (
        select from unnest(filters) as f left join unnest(columns) as c on c.name = f.column_name
        where c.name is null or realtime.check_equality_op(
            f.op, coalesce(c.type_oid::regtype, c.type_name::regtype), c.value #>> '{}', f.value, coalesce(f.negate, false)
        ) is not true
    )
$$;

create function realtime.build_prepared_statement_sql(
    prepared_statement_name text, entity regclass, columns realtime.wal_column[]
) returns text language sql as $$
    select format('prepare %I as select exists (select from %s where %s)', prepared_statement_name, entity,
        string_agg(format('%I = %L', c.name, c.value #>> '{}'), ' and '))
    from unnest(columns) as c where c.is_pkey
$$;

create function realtime.apply_rls(wal jsonb, max_record_bytes integer default (1024 * 1024)) returns setof realtime.wal_rls
language plpgsql as $$
begin
    raise feature_not_supported using message = 'stand-in of the local project: no changes are read from the log here';
end
$$;

comment on function realtime.apply_rls(jsonb, integer) is 'stand-in of the local project: refuses, since no changes are read here';

create function realtime.list_changes(publication name, slot_name name, max_changes integer, max_record_bytes integer)
returns table (wal jsonb, is_rls_enabled boolean, subscription_ids uuid[], errors text[], slot_changes_count bigint)
language sql set log_min_messages = fatal as $$
    select r.*, 0::bigint from realtime.apply_rls(null, max_record_bytes) as r
$$;

comment on function realtime.list_changes(name, name, integer, integer)
    is 'stand-in of the local project: refuses, since no changes are read here';

create function realtime.send_binary(payload bytea, event text, topic text, private boolean default true) returns void
language plpgsql as $$
begin
    raise debug 'the local project delivers no message of realtime: % on %', event, topic;
end
$$;

comment on function realtime.send(jsonb, text, text, boolean) is 'stand-in of the local project: delivers and keeps nothing';

comment on function realtime.send_binary(bytea, text, text, boolean) is 'stand-in of the local project: delivers and keeps nothing';

create function realtime.subscription_check_filters() returns trigger language plpgsql as $$
begin
    return new;
end
$$;

comment on function realtime.subscription_check_filters() is 'stand-in of the local project: lets every filter pass';

create trigger tr_check_filters before insert or update on realtime.subscription
    for each row execute function realtime.subscription_check_filters();

do $do$
declare
    made record;
begin
    -- Those that the first migrations of realtime made were given to the API's roles by name; later ones were not.
    for made in select oid::regprocedure as name, proname from pg_catalog.pg_proc where pronamespace = 'realtime'::regnamespace loop
        execute pg_catalog.format('grant execute on function %s to postgres, dashboard_user', made.name);
        if made.proname not in ('broadcast_changes', 'list_changes', 'send', 'send_binary', 'topic', 'wal2json_escape_identifier') then
            execute pg_catalog.format('grant execute on function %s to anon, authenticated, service_role', made.name);
        end if;
        execute pg_catalog.format('alter function %s owner to supabase_realtime_admin', made.name);
    end loop;
    for made in select oid::regtype as name from pg_catalog.pg_type
        where typnamespace = 'realtime'::regnamespace and (typtype = 'e' or typname in ('user_defined_filter', 'wal_column', 'wal_rls'))
    loop
        execute pg_catalog.format('alter type %s owner to supabase_realtime_admin', made.name);
    end loop;
end
$do$;

alter table realtime.subscription owner to supabase_realtime_admin;

grant all on realtime.messages to postgres, dashboard_user;

grant usage on sequence realtime.subscription_id_seq to anon, authenticated, service_role;

grant all on sequence realtime.subscription_id_seq to postgres, dashboard_user;
"""
