-- Changes a profile and prints the audit row that the trigger writes of it; both are taken back.
begin;
update public.profiles set "contactName" = 'Molecule'
where id = (select id from public.profiles where "deletedAt" is null order by id limit 1);
select action || ' ' || (changes -> 'contactName' ->> 'new') from public.user_audits where "createdAt" = now();
rollback;
