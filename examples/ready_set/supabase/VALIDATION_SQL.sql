-- Ready Set: is the project sound, before and after the bridge migrations 20251014220000 and 20251014220100?
--
--   psql "$URI" -X -f supabase/VALIDATION_SQL.sql        by hand
--   the project's runner                                 before and after the migration, always rolled back
--
-- A verdict is a cell, NOTICE or WARNING that begins with PASS, FAIL, WARNING or SKIP. Everything else is there to be
-- read. Before the migration, section 3 fails: that is the baseline, it shows what the migration is for. A check below
-- a line "pgops: stage always" must hold before as well. Nothing in this file leaves a trace.

\pset pager off
\pset null '(null)'
\timing off

\echo
\echo '== 1. Before: what is there'

-- Exact counts of what the migration may not touch, to be read beside the later ones.
select 'profiles' as "table", count(*) as "rows" from public.profiles
union all select 'addresses', count(*) from public.addresses
union all select 'catering_requests', count(*) from public.catering_requests
union all select 'on_demand_requests', count(*) from public.on_demand_requests
union all select 'job_applications', count(*) from public.job_applications
union all select 'file_uploads', count(*) from public.file_uploads
union all select 'dispatches', count(*) from public.dispatches
order by 1;

-- How much there is for the backfill to mark.
select type, count(*) as profiles, count(*) filter (where "deletedAt" is not null) as deleted
from public.profiles
group by type
order by type;

-- pgops: stage always
select
    'base tables' as "check",
    case
        when count(*) = 0 then 'PASS: all seven base tables exist'
        else 'FAIL: missing ' || string_agg(wanted.name, ', ' order by wanted.name)
    end as verdict
from (
    values ('profiles'), ('addresses'), ('catering_requests'), ('on_demand_requests'), ('job_applications'),
        ('file_uploads'), ('dispatches')
) as wanted (name)
where to_regclass('public.' || wanted.name) is null;

-- pgops: stage always
select
    'no half-made bridge' as "check",
    case
        when count(*) in (0, 4) then '✓ PASS: the bridges'' objects are all absent or all present'
        else '✗ FAIL: only ' || string_agg(made.what, ', ') || ' exist; someone began by hand'
    end as verdict
from (
    select 'user_audits' as what where to_regclass('public.user_audits') is not null
    union all select 'upload_errors' where to_regclass('public.upload_errors') is not null
    union all select 'upload_error_stats' where to_regclass('public.upload_error_stats') is not null
    union all select 'audit_profile_changes()' where to_regprocedure('public.audit_profile_changes()') is not null
) as made;

\echo
\echo '== 2. Dry run: could the migration run here'

-- pgops: stage always
select
    'server version' as "check",
    case
        when current_setting('server_version_num')::integer >= 150000
            then 'PASS: PostgreSQL ' || current_setting('server_version') || ' knows security_invoker views'
        else 'FAIL: PostgreSQL ' || current_setting('server_version') || ' is older than 15'
    end as verdict;

-- pgops: stage always
select
    'privileges' as "check",
    case
        when not has_schema_privilege('public', 'create') then 'FAIL: ' || current_user || ' cannot create in public'
        when not pg_has_role(c.relowner, 'usage') then 'FAIL: ' || current_user || ' does not own public.profiles'
        else 'PASS: ' || current_user || ' may create in public and alter profiles'
    end as verdict
from pg_catalog.pg_class c
where c.oid = 'public.profiles'::regclass;

-- pgops: stage always
do $$
begin
    if to_regprocedure('auth.uid()') is null or to_regprocedure('auth.role()') is null then
        raise warning 'FAIL: auth.uid() or auth.role() is missing; this is not a Supabase project';
    else
        raise notice 'PASS: auth.uid() and auth.role() are there';
    end if;
end
$$;

-- An ALTER TABLE waits for every transaction that has touched the table, and everybody else waits behind it.
select
    'old transactions' as "check",
    case
        when count(*) = 0 then 'PASS: no other transaction has been open for five minutes'
        else '⚠ WARNING: ' || count(*) || ' transactions have been open for more than five minutes'
    end as verdict
from pg_catalog.pg_stat_activity a
where a.datname = current_database()
  and a.pid <> pg_backend_pid()
  and a.xact_start < clock_timestamp() - interval '5 minutes';

\echo
\echo '== 3. After: what the migration made'

select
    'table ' || wanted.name as "check",
    case
        when c.oid is null then '✗ FAIL: public.' || wanted.name || ' does not exist'
        when not c.relrowsecurity then '✗ FAIL: public.' || wanted.name || ' has no row level security'
        else '✓ PASS: public.' || wanted.name || ' exists, with row level security'
    end as verdict
from (values ('user_audits'), ('upload_errors')) as wanted (name)
left join pg_catalog.pg_class c on c.oid = to_regclass('public.' || wanted.name)
order by wanted.name;

select
    'column profiles.' || wanted.name as "check",
    case
        when c.data_type is null then '✗ FAIL: does not exist'
        when c.data_type <> wanted.type then '✗ FAIL: is ' || c.data_type || ', not ' || wanted.type
        else '✓ PASS: ' || c.data_type
    end as verdict
from (values ('deletedBy', 'uuid'), ('deletionReason', 'text')) as wanted (name, type)
left join information_schema.columns c
    on c.table_schema = 'public' and c.table_name = 'profiles' and c.column_name = wanted.name
order by wanted.name;

select
    'function ' || wanted.signature as "check",
    case
        when to_regprocedure('public.' || wanted.signature) is null then '✗ FAIL: does not exist'
        else '✓ PASS: exists'
    end as verdict
from (
    values ('audit_profile_changes()'), ('log_upload_error(text,text,text,text,text,uuid,boolean)'),
        ('resolve_upload_error(uuid,uuid)'), ('cleanup_old_upload_errors(integer)')
) as wanted (signature)
order by wanted.signature;

select
    'indexes' as "check",
    case
        when count(*) filter (where i.indexrelid is null) > 0
            then '✗ FAIL: missing ' || string_agg(wanted.name, ', ') filter (where i.indexrelid is null)
        when count(*) filter (where not i.indisvalid) > 0
            then '✗ FAIL: invalid ' || string_agg(wanted.name, ', ') filter (where not i.indisvalid)
        else '✓ PASS: all ' || count(*) || ' exist and are valid'
    end as verdict
from (
    -- Written without quotes in the migrations, so the server folded them to lower case; so does to_regclass.
    values ('idx_user_audits_userId'), ('idx_user_audits_performedBy'), ('idx_user_audits_action'),
        ('idx_user_audits_createdAt'), ('idx_user_audits_changes'), ('idx_user_audits_metadata'),
        ('idx_upload_errors_correlationId'), ('idx_upload_errors_userId'), ('idx_upload_errors_errorType'),
        ('idx_upload_errors_timestamp'), ('idx_upload_errors_unresolved'), ('idx_upload_errors_retryable'),
        ('idx_profiles_deletedBy')
) as wanted (name)
left join pg_catalog.pg_index i on i.indexrelid = to_regclass('public.' || wanted.name);

select
    'policies' as "check",
    case
        when count(*) = 4 then '✓ PASS: two on user_audits, two on upload_errors'
        else '✗ FAIL: ' || count(*) || ' policies on user_audits and upload_errors instead of 4'
    end as verdict
from pg_catalog.pg_policies
where schemaname = 'public' and tablename in ('user_audits', 'upload_errors');

select
    'audit trigger' as "check",
    case
        when count(*) = 0 then '✗ FAIL: trg_audit_profile_changes does not exist'
        when bool_or(t.tgenabled <> 'O') then '✗ FAIL: trg_audit_profile_changes is disabled'
        else '✓ PASS: trg_audit_profile_changes is on'
    end as verdict
from pg_catalog.pg_trigger t
where t.tgrelid = 'public.profiles'::regclass and t.tgname = 'trg_audit_profile_changes';

select
    'triggers on profiles' as "check",
    case
        when count(*) filter (where t.tgenabled = 'D') = 0 then 'PASS: no trigger was left switched off'
        else 'FAIL: switched off: ' || string_agg(t.tgname, ', ') filter (where t.tgenabled = 'D')
    end as verdict
from pg_catalog.pg_trigger t
where t.tgrelid = 'public.profiles'::regclass and not t.tgisinternal;

do $$
declare
    holes text;
begin
    if to_regclass('public.user_audits') is null or to_regclass('public.upload_errors') is null then
        raise notice 'SKIP: API privileges, the tables are not there yet';
        return;
    end if;
    select string_agg(format('%s may %s %s', who, what, which), '; ' order by who, what, which)
    into holes
    from unnest(array['anon', 'authenticated']) as who,
        unnest(array['select', 'insert', 'update', 'delete', 'truncate']) as what,
        unnest(array['user_audits', 'upload_errors']) as which
    where has_table_privilege(who, 'public.' || which, what)
      and not (who = 'authenticated' and (what = 'select' or (what = 'update' and which = 'upload_errors')));
    if holes is not null then
        raise warning 'FAIL: %', holes;
    else
        raise notice 'PASS: the API roles may do with the new tables what was meant, and no more';
    end if;
end
$$;

-- The next three name the new objects outright: before the migration they err, and that is expected.

-- Reasons of deleted profiles
select
    'reasons of deleted profiles' as "check",
    case
        when count(*) filter (where "deletionReason" is null) > 0
            then '✗ FAIL: ' || count(*) filter (where "deletionReason" is null) || ' deleted profiles have none'
        else '✓ PASS: all ' || count(*) || ' deleted profiles have one'
    end as verdict
from public.profiles
where "deletedAt" is not null;

-- Reasons of active profiles
select
    'reasons of active profiles' as "check",
    case
        when count(*) = 0 then '✓ PASS: no active profile has a deletion reason or a deleter'
        else '✗ FAIL: ' || count(*) || ' active profiles have one'
    end as verdict
from public.profiles
where "deletedAt" is null and ("deletionReason" is not null or "deletedBy" is not null);

-- Upload error statistics
select
    'upload error statistics' as "check",
    case
        when coalesce(sum(s.errors), 0) = (select count(*) from public.upload_errors)
            then '✓ PASS: the view counts every error once'
        else '✗ FAIL: the view and the table disagree'
    end as verdict
from public.upload_error_stats s;

\echo
\echo '-- the audit trigger, tried out and taken back'

begin;

do $test$
declare
    subject uuid;
    seen bigint;
    latest record;
begin
    if to_regclass('public.user_audits') is null then
        raise notice 'SKIP: audit trigger, public.user_audits is not there yet';
        return;
    end if;
    select p.id into subject from public.profiles p where p."deletedAt" is null order by p.id limit 1;
    if subject is null then
        raise notice 'SKIP: audit trigger, there is no active profile to try it on';
        return;
    end if;

    -- As the API would come in: the profile's owner, over his own session.
    perform set_config('request.jwt.claims', json_build_object('sub', subject, 'role', 'authenticated')::text, true);
    select count(*) into seen from public.user_audits a where a."userId" = subject;

    update public.profiles set "companyName" = coalesce("companyName", '') || ' (validation)' where id = subject;
    select a.* into latest
    from public.user_audits a
    where a."userId" = subject and a.changes #>> '{companyName,new}' like '% (validation)';
    if latest.action = 'UPDATE' and latest."performedBy" = subject and not (latest.changes ? 'updatedAt') then
        raise notice '✓ PASS: a changed profile leaves an UPDATE audit that says what and who';
    else
        raise warning '✗ FAIL: a changed profile left no proper audit: %', to_jsonb(latest);
    end if;

    update public.profiles set "contactName" = "contactName" where id = subject;
    if (select count(*) from public.user_audits a where a."userId" = subject) = seen + 1 then
        raise notice '✓ PASS: an update that changes nothing leaves no audit';
    else
        raise warning '✗ FAIL: an update that changes nothing was audited';
    end if;

    perform set_config('app.deletion_reason', 'validation; rolled back', true);
    perform public.soft_delete_profile(subject);
    if exists (
        select 1
        from public.user_audits a
        join public.profiles p on p.id = a."userId"
        where a."userId" = subject and a.action = 'SOFT_DELETE' and a.reason = 'validation; rolled back'
          and p."deletedBy" = subject and p."deletionReason" = a.reason
    ) then
        raise notice '✓ PASS: a soft delete says who and why, in the profile and in its audit';
    else
        raise warning '✗ FAIL: a soft delete did not say who and why';
    end if;
end
$test$;

rollback;

\echo
\echo '-- the upload error functions, tried out and taken back'

begin;

do $test$
declare
    error_id uuid;
    old_id uuid;
    removed bigint;
begin
    if to_regprocedure('public.cleanup_old_upload_errors(integer)') is null then
        raise notice 'SKIP: upload errors, the functions are not there yet';
        return;
    end if;
    error_id := public.log_upload_error('validation-1', 'size', 'too large', 'Choose a smaller file.', 'not json');
    old_id := public.log_upload_error('validation-2', 'NETWORK', 'reset', 'Try again.', '{"try": 3}', null, true);
    if exists (
        select 1
        from public.upload_errors e
        where e.id = error_id and e.details ->> 'text' = 'not json' and e."errorType" = 'SIZE'
    ) then
        raise notice '✓ PASS: log_upload_error() records an error, readable details or not';
    else
        raise warning '✗ FAIL: log_upload_error() lost details or type';
    end if;

    if public.resolve_upload_error(old_id, null) and not public.resolve_upload_error(old_id, null) then
        raise notice '✓ PASS: resolve_upload_error() resolves once';
    else
        raise warning '✗ FAIL: resolve_upload_error() did not resolve exactly once';
    end if;

    update public.upload_errors e set "timestamp" = now() - interval '400 days' where e.id in (error_id, old_id);
    removed := public.cleanup_old_upload_errors(90);
    if exists (select 1 from public.upload_errors e where e.id = error_id)
        and not exists (select 1 from public.upload_errors e where e.id = old_id) then
        raise notice '✓ PASS: cleanup_old_upload_errors() removes what is old and resolved, % here', removed;
    else
        raise warning '✗ FAIL: cleanup_old_upload_errors() removed the wrong rows';
    end if;
end
$test$;

rollback;

\echo
\echo '== 4. Integrity: before and after alike'

-- pgops: stage always
select
    'orphans: ' || found.what as "check",
    case
        when found.orphans = 0 then 'PASS: none'
        else 'FAIL: ' || found.orphans || ' rows point at nothing'
    end as verdict
from (
    select 'profiles without account' as what, count(*) as orphans
    from public.profiles p
    where not exists (select 1 from auth.users u where u.id = p.id)
    union all
    select 'catering requests without client', count(*)
    from public.catering_requests r
    where not exists (select 1 from public.profiles p where p.id = r."userId")
    union all
    select 'catering requests without address', count(*)
    from public.catering_requests r
    where not exists (select 1 from public.addresses a where a.id = r."pickupAddressId")
       or not exists (select 1 from public.addresses a where a.id = r."deliveryAddressId")
    union all
    select 'dispatches without driver', count(*)
    from public.dispatches d
    where not exists (select 1 from public.profiles p where p.id = d."driverId")
) as found
order by found.what;

-- pgops: stage always
do $$
declare
    accounts bigint;
begin
    select count(*) into accounts
    from auth.users u
    where not exists (select 1 from public.profiles p where p.id = u.id);
    if accounts > 0 then
        raise warning 'FAIL: % accounts have no profile; on_auth_user_created did not fire', accounts;
    else
        raise notice 'PASS: every account has its profile';
    end if;
end
$$;

-- pgops: stage always
select
    'deleted profiles' as "check",
    case
        when count(*) = 0 then 'PASS: status and date of deletion agree everywhere'
        else 'FAIL: ' || count(*) || ' profiles have a status and a date of deletion that disagree'
    end as verdict
from public.profiles
where (status = 'DELETED') <> ("deletedAt" is not null);

-- pgops: stage always
select
    'constraints and indexes' as "check",
    case
        when bad.list is null then 'PASS: none in public is NOT VALID or INVALID'
        else 'FAIL: ' || bad.list
    end as verdict
from (
    select string_agg(name, ', ' order by name) as list
    from (
        select conrelid::regclass || '.' || conname as name
        from pg_catalog.pg_constraint
        where connamespace = 'public'::regnamespace and not convalidated
        union all
        select i.indexrelid::regclass::text
        from pg_catalog.pg_index i
        join pg_catalog.pg_class c on c.oid = i.indexrelid
        where c.relnamespace = 'public'::regnamespace and not i.indisvalid
    ) as broken
) as bad;

-- pgops: stage always
select
    'row level security' as "check",
    case
        when count(*) = 0 then 'PASS: on for every table in public'
        else 'FAIL: off for ' || string_agg(c.relname, ', ' order by c.relname)
    end as verdict
from pg_catalog.pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relrowsecurity;

-- The migration marks old deletions without touching "updatedAt": were it the clock's, all would share one moment.

-- Untouched updatedAt
select
    'untouched updatedAt' as "check",
    case
        when count(*) <= 1 then 'SKIP: fewer than two old deletions to compare'
        when count(distinct "updatedAt") > 1 then '✓ PASS: ' || count(*) || ' old deletions kept their own dates'
        else '✗ FAIL: all old deletions were "updated" at ' || min("updatedAt")
    end as verdict
from public.profiles
where "deletionReason" = 'unknown (before audit)';

\echo
\echo '== 5. Performance'

select
    c.relname as "table",
    pg_catalog.pg_size_pretty(pg_catalog.pg_total_relation_size(c.oid)) as size,
    pg_catalog.pg_size_pretty(pg_catalog.pg_indexes_size(c.oid)) as indexes
from pg_catalog.pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
order by pg_catalog.pg_total_relation_size(c.oid) desc, c.relname;

-- pgops: stage always
do $$
declare
    started timestamptz := clock_timestamp();
    took numeric;
    someone uuid;
begin
    for someone in select p.id from public.profiles p order by p.id limit 200 loop
        perform 1 from public.catering_requests r where r."userId" = someone order by r."createdAt" desc limit 5;
    end loop;
    took := round(extract(epoch from clock_timestamp() - started) * 1000);
    if took <= 2000 then
        raise notice 'PASS: the last orders of 200 clients in % ms', took;
    else
        raise warning 'WARNING: the last orders of 200 clients took % ms, more than 2000', took;
    end if;
end
$$;

-- An audit trail on an empty table cannot be timed; whether its index can serve it can be asked.
begin;

do $$
declare
    plan text := '';
    line text;
begin
    if to_regclass('public.user_audits') is null then
        raise notice 'SKIP: audit trail by user, public.user_audits is not there yet';
        return;
    end if;
    perform set_config('enable_seqscan', 'off', true);
    for line in
        explain select * from public.user_audits a
        where a."userId" = '00000000-0000-0000-0000-000000000000' order by a."createdAt" desc limit 20
    loop
        plan := plan || line;
    end loop;
    if plan like '%idx_user_audits_userid%' then
        raise notice '✓ PASS: the audit trail of one user is read by its index';
    else
        raise warning '⚠ WARNING: the audit trail of one user is read without its index: %', plan;
    end if;
end
$$;

rollback;

-- What the audit costs a writer: a hundred changes, taken back.
begin;

do $$
declare
    started timestamptz := clock_timestamp();
    took numeric;
begin
    update public.profiles p
    set "companyName" = 'validation'
    where p.id in (select q.id from public.profiles q order by q.id limit 100);
    took := round(extract(epoch from clock_timestamp() - started) * 1000);
    if took <= 2000 then
        raise notice 'PASS: a hundred profiles changed in % ms', took;
    else
        raise warning 'WARNING: a hundred changes of profiles took % ms, more than 2000', took;
    end if;
end
$$;

rollback;

\echo
\echo 'End. Look for verdicts other than the good one.'
