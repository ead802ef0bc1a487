-- Bridge from the development project to production, part 1 of 2: who changed which profile, when and why.
--
--   public.profiles       + "deletedBy", "deletionReason"; profiles deleted before today are marked as such
--   public.user_audits    one row per change of a profile, written by a trigger and by nothing else
--
-- Existing rows keep their number and their "updatedAt".
-- Reverted by supabase/rollbacks/20251014220000_bridge_add_audit_system.sql.

begin;

-- Say what is missing in one sentence, before anything is locked; an error half-way down would say less.
do $precondition$
declare
    missing text;
begin
    select string_agg(format('%I', wanted.name), ', ')
    into missing
    from (values ('id'), ('status'), ('updatedAt'), ('deletedAt')) as wanted (name)
    where not exists (
        select 1
        from information_schema.columns c
        where c.table_schema = 'public' and c.table_name = 'profiles' and c.column_name = wanted.name
    );
    if missing is not null then
        raise exception 'public.profiles lacks %; this bridge needs the schema of 20250902090000_soft_delete', missing;
    end if;
end
$precondition$;

-- 1. Who deleted a profile, and why

alter table public.profiles
    add column "deletedBy" uuid,
    add column "deletionReason" text;

alter table public.profiles
    add constraint "profiles_deletedBy_fkey"
        foreign key ("deletedBy") references public.profiles (id) on delete set null,
    add constraint "profiles_deletionReason_length" check (length("deletionReason") <= 500);

comment on column public.profiles."deletedBy" is 'Profile that deleted this one; null when unknown or still active.';
comment on column public.profiles."deletionReason" is 'Why this profile was deleted; null while it is active.';

create index idx_profiles_deletedBy on public.profiles ("deletedBy") where "deletedBy" is not null;

-- Rows deleted before this day get a reason that tells them apart. It is not a change of the profile, so
-- "updatedAt" stays as it was: without the trigger switched off every one of them would look edited today.
alter table public.profiles disable trigger set_profiles_updated_at;

do $backfill$
declare
    marked bigint;
begin
    update public.profiles
    set "deletionReason" = 'unknown (before audit)'
    where "deletedAt" is not null and "deletionReason" is null;
    get diagnostics marked = row_count;
    raise notice 'marked % profiles that were deleted before the audit began', marked;
end
$backfill$;

alter table public.profiles enable trigger set_profiles_updated_at;

-- 2. The audit table

create table public.user_audits (
    id uuid primary key default gen_random_uuid(),
    -- No foreign keys: the record of a deletion outlives the profile, and its author's too.
    "userId" uuid not null,
    "performedBy" uuid,
    action text not null,
    changes jsonb not null default '{}'::jsonb,
    reason text,
    metadata jsonb not null default '{}'::jsonb,
    "createdAt" timestamptz not null default now(),
    constraint user_audits_action_known
        check (action in ('CREATE', 'UPDATE', 'SOFT_DELETE', 'RESTORE', 'DELETE')),
    constraint user_audits_changes_is_object check (jsonb_typeof(changes) = 'object'),
    constraint user_audits_metadata_is_object check (jsonb_typeof(metadata) = 'object')
);

comment on table public.user_audits is 'Changes of profiles, newest last; written only by audit_profile_changes().';
comment on column public.user_audits.changes is 'Per changed column {"old": ..., "new": ...}; "updatedAt" is left out.';
comment on column public.user_audits."performedBy"
    is 'auth.uid() of the request; null for the server and for people in psql.';

create index idx_user_audits_userId on public.user_audits ("userId", "createdAt");
create index idx_user_audits_performedBy on public.user_audits ("performedBy") where "performedBy" is not null;
create index idx_user_audits_action on public.user_audits (action);
create index idx_user_audits_createdAt on public.user_audits ("createdAt");
create index idx_user_audits_changes on public.user_audits using gin (changes jsonb_path_ops);
create index idx_user_audits_metadata on public.user_audits using gin (metadata jsonb_path_ops);

alter table public.user_audits enable row level security;

create policy "Own audit trail can be read" on public.user_audits
    for select to authenticated
    using ("userId" = auth.uid());
create policy "Staff can read all audits" on public.user_audits
    for select to authenticated
    using (public.is_staff());

-- An audit trail that its subjects can edit is none. The server may add to it and read it.
revoke all on public.user_audits from anon, authenticated, service_role;
grant select on public.user_audits to authenticated;
grant select, insert on public.user_audits to service_role;

-- 3. The trigger

create function public.audit_profile_changes()
returns trigger
language plpgsql
security definer
set search_path = ''
as $audit$
declare
    before jsonb := case when tg_op = 'INSERT' then '{}'::jsonb else to_jsonb(old) end;
    after jsonb := case when tg_op = 'DELETE' then '{}'::jsonb else to_jsonb(new) end;
    changed jsonb;
    what text;
begin
    /* Only columns that differ are kept; /* "updatedAt" differs always; */ so it says nothing. */
    select coalesce(jsonb_object_agg(k.name, jsonb_build_object('old', before -> k.name, 'new', after -> k.name)), '{}')
    into changed
    from (select jsonb_object_keys(before || after) as name) as k
    where k.name <> 'updatedAt'
      and (before -> k.name) is distinct from (after -> k.name);

    if changed = '{}'::jsonb then
        return null; -- nothing happened; an after trigger's result is ignored
    end if;

    what := case
        when tg_op = 'INSERT' then 'CREATE'
        when tg_op = 'DELETE' then 'DELETE'
        when before ->> 'deletedAt' is null and after ->> 'deletedAt' is not null then 'SOFT_DELETE'
        when before ->> 'deletedAt' is not null and after ->> 'deletedAt' is null then 'RESTORE'
        else 'UPDATE'
    end;

    insert into public.user_audits ("userId", "performedBy", action, changes, reason, metadata)
    values (
        coalesce(after ->> 'id', before ->> 'id')::uuid,
        auth.uid(),
        what,
        changed,
        case when what = 'SOFT_DELETE' then after ->> 'deletionReason' end,
        -- Which door the change came through: the API's role, or the login of a direct session.
        jsonb_build_object(
            'sessionUser', session_user, 'apiRole', auth.role(), 'source', $text$trigger; any writer's$text$
        )
    );
    return null;
end;
$audit$;

comment on function public.audit_profile_changes() is 'Writes one row of user_audits per profile that really changed.';

revoke all on function public.audit_profile_changes() from public, anon, authenticated, service_role;

create trigger trg_audit_profile_changes after insert or update or delete on public.profiles
    for each row execute function public.audit_profile_changes();

-- 4. A soft delete now says who and why; the signature, and so every caller, stays the same

create or replace function public.soft_delete_profile(profile_id uuid)
returns boolean
language plpgsql
-- As its owner, because API users have no right to these columns; so it must itself say who may.
security definer
set search_path = ''
as $$
begin
    -- The reason comes with the request: set_config('app.deletion_reason', '...', true).
    update public.profiles
    set status = 'DELETED',
        "deletedAt" = now(),
        "deletedBy" = (select p.id from public.profiles p where p.id = auth.uid()),
        "deletionReason" = coalesce(nullif(current_setting('app.deletion_reason', true), ''), 'not given')
    where id = profile_id
      and "deletedAt" is null
      and (auth.role() is distinct from 'authenticated' or id = auth.uid() or public.is_staff());
    return found;
end;
$$;

create or replace function public.restore_profile(profile_id uuid)
returns boolean
language plpgsql
security definer
set search_path = ''
as $$
begin
    update public.profiles
    set status = 'ACTIVE', "deletedAt" = null, "deletedBy" = null, "deletionReason" = null
    where id = profile_id
      and "deletedAt" is not null
      and (auth.role() is distinct from 'authenticated' or public.is_staff());
    return found;
end;
$$;

-- 5. What must be true now

do $postcondition$
begin
    if exists (select 1 from public.profiles where "deletedAt" is not null and "deletionReason" is null) then
        raise exception 'a deleted profile has no deletion reason';
    end if;
    if exists (select 1 from public.user_audits) then
        raise exception 'this migration audited itself; the backfill must run before the trigger exists';
    end if;
end
$postcondition$;

commit;
