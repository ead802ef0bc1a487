-- Accounts are never erased while requests point at them: they are marked, and can be brought back.

create function public.soft_delete_profile(profile_id uuid)
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

comment on function public.soft_delete_profile(uuid)
    is 'Marks a profile as deleted; false when there was none to mark.';

create function public.restore_profile(profile_id uuid)
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

comment on function public.restore_profile(uuid) is 'Brings a soft-deleted profile back; false when there was none.';

revoke all on function public.soft_delete_profile(uuid), public.restore_profile(uuid) from public, anon;
grant execute on function public.soft_delete_profile(uuid), public.restore_profile(uuid) to authenticated, service_role;
