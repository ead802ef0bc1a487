-- Takes back 20251014220100_bridge_add_upload_errors_table, last thing first. Nothing here is conditional and
-- nothing cascades: an object that is not there, or that something newer depends on, stops it.
--
-- Lost with it: every row of public.upload_errors.

begin;

drop view public.upload_error_stats;

drop function public.cleanup_old_upload_errors(integer);
drop function public.resolve_upload_error(uuid, uuid);
drop function public.log_upload_error(text, text, text, text, text, uuid, boolean);

-- Its indexes, policies, constraints, comments and grants go with the table.
drop table public.upload_errors;

commit;
