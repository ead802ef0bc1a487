-- Takes back 20251014220000_bridge_add_audit_system, last thing first. Nothing here is conditional and nothing
-- cascades: an object that is not there, or that something newer depends on, stops it.
--
-- Lost with it: every row of public.user_audits, and profiles."deletedBy" and "deletionReason".

begin;

create or replace function public.restore_profile(profile_id uuid)
returns boolean
language plpgsql
security definer
set search_path = ''
as $$
begin
    update public.profiles
    set status = 'ACTIVE', "deletedAt" = null
    where id = profile_id
      and "deletedAt" is not null
      and (auth.role() is distinct from 'authenticated' or public.is_staff());
    return found;
end;
$$;

create or replace function public.soft_delete_profile(profile_id uuid)
returns boolean
language plpgsql
-- As its owner, because API users have no right to these columns; so it must itself say who may.
security definer
set search_path = ''
as $$
begin
    update public.profiles
    set status = 'DELETED', "deletedAt" = now()
    where id = profile_id
      and "deletedAt" is null
      and (auth.role() is distinct from 'authenticated' or id = auth.uid() or public.is_staff());
    return found;
end;
$$;

drop trigger trg_audit_profile_changes on public.profiles;
drop function public.audit_profile_changes();

-- Its indexes, policies, constraints, comments and grants go with the table.
drop table public.user_audits;

drop index public.idx_profiles_deletedBy;
alter table public.profiles
    drop constraint "profiles_deletionReason_length",
    drop constraint "profiles_deletedBy_fkey";
alter table public.profiles
    drop column "deletionReason",
    drop column "deletedBy";

commit;
