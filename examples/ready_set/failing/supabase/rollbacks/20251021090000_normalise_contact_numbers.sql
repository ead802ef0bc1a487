-- Takes back 20251021090000_normalise_contact_numbers, last thing first. Nothing here is conditional and nothing
-- cascades. Nothing is lost with it: the numbers as they were typed were never changed.

begin;

drop index public.idx_profiles_contactNumberE164;
drop trigger set_profiles_contact_number_e164 on public.profiles;
drop function public.set_contact_number_e164();
alter table public.profiles drop column "contactNumberE164";
drop function public.normalise_contact_number(text);

commit;
