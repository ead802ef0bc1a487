-- Bridge from the development project to production, part 2 of 2: uploads that failed, so that someone can help.
--
--   public.upload_errors             one row per failed upload
--   log_upload_error, resolve_upload_error, cleanup_old_upload_errors
--   public.upload_error_stats        what support looks at
--
-- Touches no existing table.
-- Reverted by supabase/rollbacks/20251014220100_bridge_add_upload_errors_table.sql.

begin;

do $precondition$
begin
    if to_regprocedure('public.is_staff()') is null then
        raise exception 'public.is_staff() is missing; this bridge needs 20250715090000_policies';
    end if;
    -- The view below runs with the rights of whoever asks; older servers would silently use its owner's.
    if current_setting('server_version_num')::integer < 150000 then
        raise exception 'security_invoker views need PostgreSQL 15, this is %', current_setting('server_version');
    end if;
end
$precondition$;

create table public.upload_errors (
    id uuid primary key default gen_random_uuid(),
    "correlationId" text not null,
    "errorType" text not null,
    message text not null,
    "userMessage" text not null,
    details jsonb not null default '{}'::jsonb,
    "userId" uuid references public.profiles (id) on delete set null,
    retryable boolean not null default false,
    resolved boolean not null default false,
    "resolvedAt" timestamptz,
    "resolvedBy" uuid references public.profiles (id) on delete set null,
    "timestamp" timestamptz not null default now(),
    constraint "upload_errors_errorType_known" check (
        "errorType" in ('SIZE', 'TYPE', 'VIRUS', 'NETWORK', 'STORAGE', 'PERMISSION', 'QUOTA', 'UNKNOWN')
    ),
    constraint upload_errors_resolved_has_date check (resolved = ("resolvedAt" is not null)),
    constraint upload_errors_details_is_object check (jsonb_typeof(details) = 'object')
);

comment on table public.upload_errors is 'Failed uploads; kept until resolved and then for a while.';
comment on column public.upload_errors."correlationId"
    is 'The request''s id in the application''s own log; same over retries.';
comment on column public.upload_errors."userMessage" is 'What the user was shown; never the technical message.';

create index idx_upload_errors_correlationId on public.upload_errors ("correlationId");
create index idx_upload_errors_userId on public.upload_errors ("userId") where "userId" is not null;
create index idx_upload_errors_errorType on public.upload_errors ("errorType");
create index idx_upload_errors_timestamp on public.upload_errors ("timestamp");
create index idx_upload_errors_unresolved on public.upload_errors ("timestamp") where not resolved;
create index idx_upload_errors_retryable on public.upload_errors ("timestamp") where retryable and not resolved;

alter table public.upload_errors enable row level security;

create policy "Own upload errors or staff can read" on public.upload_errors
    for select to authenticated
    using ("userId" = auth.uid() or public.is_staff());
create policy "Staff can change upload errors" on public.upload_errors
    for update to authenticated
    using (public.is_staff())
    with check (public.is_staff());

revoke all on public.upload_errors from anon, authenticated;
grant select, update on public.upload_errors to authenticated;
grant select, insert, update, delete on public.upload_errors to service_role;

create function public.log_upload_error(
    correlation_id text,
    error_type text,
    message text,
    user_message text,
    details text default '{}',
    user_id uuid default null,
    retryable boolean default false
)
returns uuid
language plpgsql
security definer
set search_path = ''
as $function$
declare
    parsed jsonb;
    new_id uuid;
begin
    -- Reporting an error must not raise another one: what is not a JSON object is wrapped, not refused.
    begin
        parsed := details::jsonb;
    exception
        when invalid_text_representation then
            parsed := null;
    end;
    if parsed is null or jsonb_typeof(parsed) <> 'object' then
        parsed := jsonb_build_object('text', details);
    end if;

    insert into public.upload_errors (
        "correlationId", "errorType", message, "userMessage", details, "userId", retryable
    )
    values (
        log_upload_error.correlation_id,
        case
            when upper(error_type) in ('SIZE', 'TYPE', 'VIRUS', 'NETWORK', 'STORAGE', 'PERMISSION', 'QUOTA')
                then upper(error_type)
            else 'UNKNOWN'
        end,
        log_upload_error.message,
        log_upload_error.user_message,
        parsed,
        -- An API user reports for himself, whatever he says; the server may report for anyone.
        case when auth.role() = 'authenticated' then auth.uid() else log_upload_error.user_id end,
        log_upload_error.retryable
    )
    returning id into new_id;
    return new_id;
end;
$function$;

create function public.resolve_upload_error(error_id uuid, resolved_by uuid)
returns boolean
language plpgsql
set search_path = ''
as $function$
begin
    -- With the caller's rights: the policy "Staff can change upload errors" decides.
    update public.upload_errors e
    set resolved = true, "resolvedAt" = now(), "resolvedBy" = resolve_upload_error.resolved_by
    where e.id = error_id and not e.resolved;
    return found;
end;
$function$;

create function public.cleanup_old_upload_errors(days_to_keep integer default 90)
returns bigint
language plpgsql
set search_path = ''
as $function$
declare
    removed bigint;
begin
    if days_to_keep is null or days_to_keep < 1 then
        raise exception 'days_to_keep must be at least 1, not %', days_to_keep
            using errcode = 'invalid_parameter_value',
                  hint = $hint$e.g. select cleanup_old_upload_errors(90);$hint$;
    end if;
    delete from public.upload_errors e
    where e.resolved and e."timestamp" < now() - make_interval(days => days_to_keep);
    get diagnostics removed = row_count;
    return removed;
end;
$function$;

create view public.upload_error_stats with (security_invoker = true) as
select
    e."errorType",
    date_trunc('day', e."timestamp") as day,
    count(*) as errors,
    count(*) filter (where not e.resolved) as unresolved,
    count(*) filter (where e.retryable and not e.resolved) as "toRetry",
    count(distinct e."userId") as "usersAffected",
    max(e."timestamp") as "lastSeen"
from public.upload_errors e
group by e."errorType", date_trunc('day', e."timestamp");

comment on view public.upload_error_stats
    is 'Upload errors per kind and day; each caller sees what the policies allow.';

revoke all on public.upload_error_stats from anon, authenticated, service_role;
grant select on public.upload_error_stats to authenticated, service_role;

-- The same three sentences for each function, with its signature taken from the catalog.
do $grants$
declare
    f record;
begin
    for f in
        select p.oid::regprocedure as signature, p.proname as name
        from pg_catalog.pg_proc p
        where p.pronamespace = 'public'::regnamespace
          and p.proname in ('log_upload_error', 'resolve_upload_error', 'cleanup_old_upload_errors')
        order by p.proname
    loop
        execute format(
            $sql$revoke all on function %s from public, anon, authenticated, service_role;$sql$, f.signature
        );
        execute format($sql$grant execute on function %s to service_role;$sql$, f.signature);
        if f.name <> 'cleanup_old_upload_errors' then
            execute format($sql$grant execute on function %s to authenticated;$sql$, f.signature);
        end if;
    end loop;
end
$grants$;

comment on function public.log_upload_error(text, text, text, text, text, uuid, boolean)
    is 'Records a failed upload and returns its id.';
comment on function public.resolve_upload_error(uuid, uuid)
    is 'Marks an error as resolved; false when it was already, or is not the caller''s to resolve.';
comment on function public.cleanup_old_upload_errors(integer)
    is 'Removes resolved errors older than so many days and returns how many.';

commit;
