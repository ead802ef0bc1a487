-- Did 20251021090000_normalise_contact_numbers reach every contact number?
--
-- It does on the development project's rows. Production is older: some of its numbers have extensions, letters or
-- two numbers in one field, which no rule can read; and then nobody could dial them any more.

\pset pager off

\echo '== Contact numbers'

select
    'column profiles.contactNumberE164' as "check",
    case when count(*) = 1 then '✓ PASS: exists' else '✗ FAIL: does not exist' end as verdict
from information_schema.columns
where table_schema = 'public' and table_name = 'profiles' and column_name = 'contactNumberE164';

-- Every contact number normalised
select
    'every contact number normalised' as "check",
    case
        when count(*) filter (where "contactNumberE164" is null) = 0
            then '✓ PASS: all ' || count(*) || ' profiles with a contact number got a normalised one'
        else '✗ FAIL: ' || count(*) filter (where "contactNumberE164" is null) || ' of ' || count(*)
            || ' contact numbers were not understood'
    end as verdict
from public.profiles
where "contactNumber" is not null;

-- Those that were not understood are to be mended by hand or by a better rule. The digits are somebody's, so only
-- the form is shown.

-- Numbers not understood
select id, regexp_replace("contactNumber", '[0-9]', '#', 'g') as form
from public.profiles
where "contactNumber" is not null and "contactNumberE164" is null
order by form, id
limit 20;

-- Normalised numbers are E.164
do $$
declare
    wrong bigint;
begin
    select count(*) into wrong
    from public.profiles
    where "contactNumberE164" !~ '^\+[1-9][0-9]{7,14}$'
       or ("contactNumber" is null and "contactNumberE164" is not null);
    if wrong > 0 then
        raise warning '✗ FAIL: % normalised numbers are not E.164 or came from nothing', wrong;
    else
        raise notice '✓ PASS: every normalised number is E.164';
    end if;
end
$$;

-- A number that changes takes its normalised form along; tried out and taken back.

begin;

-- Changed number
do $$
declare
    subject uuid;
    became text;
begin
    select p.id into subject from public.profiles p where p."deletedAt" is null order by p.id limit 1;
    if subject is null then
        raise notice 'SKIP: changed number, there is no active profile to try it on';
        return;
    end if;
    update public.profiles set "contactNumber" = '(415) 555-0199' where id = subject
    returning "contactNumberE164" into became;
    if became = '+14155550199' then
        raise notice '✓ PASS: a changed number is normalised at once';
    else
        raise warning '✗ FAIL: a changed number became %', became;
    end if;
end
$$;

rollback;
