-- One JSON object with what a project holds.
with counted as (
    -- Only XML lets plain SQL count a table whose name is found at run time.
    select
        n.nspname || '.' || c.relname as name,
        (xpath('/row/c/text()', query_to_xml(
            format('select count(*) as c from %I.%I', n.nspname, c.relname), false, true, ''
        )))[1]::text::bigint as n,
        (xpath('/row/m/text()', query_to_xml(
            format('select md5(string_agg(t::text, chr(10) order by t::text)) as m from %I.%I t', n.nspname, c.relname),
            false, true, ''
        )))[1]::text as md5
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('public', 'auth', 'storage') and c.relkind = 'r'
)
select jsonb_build_object(
    'history', (
        select jsonb_agg(version || '_' || name order by version) from supabase_migrations.schema_migrations
    ),
    'ledger', (
        select jsonb_agg(jsonb_build_object(
            'event', event, 'version', version, 'run_id', run_id, 'reason', details ->> 'reason'
        ) order by event_id)
        from pgops.ledger
    ),
    'counts', (select jsonb_object_agg(name, n) from counted),
    'contents', (select jsonb_object_agg(name, md5) from counted),
    -- A table that was dropped and made again has another number.
    'platform', (
        select jsonb_object_agg(relnamespace::regnamespace || '.' || relname, oid::bigint) from pg_class
        where relnamespace in ('auth'::regnamespace, 'storage'::regnamespace)
    ),
    'triggers', (
        select jsonb_agg(tgname order by tgname) from pg_trigger
        where not tgisinternal and tgrelid = 'public.profiles'::regclass
    ),
    'policies', (
        select jsonb_agg(tablename || ': ' || policyname order by tablename, policyname)
        from pg_policies where schemaname = 'public'
    ),
    'row_security', (
        select jsonb_agg(relname order by relname) from pg_class
        where relnamespace = 'public'::regnamespace and relkind = 'r' and relrowsecurity
    )
);
