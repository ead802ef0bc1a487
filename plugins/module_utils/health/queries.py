# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The queries that ask a database how it is. They read PostgreSQL's catalogs and statistics, never a row of a table.

Sources: PostgreSQL, "The Cumulative Statistics System", "System Catalogs", "System Views", "Database Page Layout", "pg_stat_statements".
They hold for PostgreSQL 15 to 18; what only some have is asked for by name (C(reserved_connections), 16; C(conenforced), 18).
"""

from __future__ import annotations

FIRST_WITH_CONENFORCED = 180000

SERVER = """
select pg_catalog.current_database(), pg_catalog.current_setting('server_version'), pg_catalog.current_setting('server_version_num')::int,
    current_user, pg_catalog.pg_is_in_recovery(),
    pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
    pg_catalog.current_setting('track_counts')::boolean,
    (select extnamespace::regnamespace::text from pg_catalog.pg_extension where extname = 'pg_stat_statements')
"""

# Client sessions are what the limit is for. Workers and walsenders have limits of their own. Of what a role may not see, state and type
# are null.
CONNECTIONS = """
select coalesce(state, 'not shown'), count(*) from pg_catalog.pg_stat_activity
where backend_type = 'client backend' or (backend_type is null and usesysid is not null) group by 1 order by 1
"""
LIMIT = """
select pg_catalog.current_setting('max_connections')::int - pg_catalog.current_setting('superuser_reserved_connections')::int
    - coalesce(pg_catalog.current_setting('reserved_connections', true)::int, 0)
"""
TRANSACTIONS = """
select coalesce(max(extract(epoch from pg_catalog.clock_timestamp() - xact_start)), 0)::float8,
    count(*) filter (where state like 'idle in transaction%')
from pg_catalog.pg_stat_activity
where backend_type = 'client backend' and datname = pg_catalog.current_database() and pid <> pg_catalog.pg_backend_pid()
"""
# waitstart may be null for a moment after the wait began (PostgreSQL, "pg_locks").
LOCK_WAITS = """
select count(distinct l.pid), coalesce(max(extract(epoch from pg_catalog.clock_timestamp() - l.waitstart)), 0)::float8
from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a using (pid)
where not l.granted and a.datname = pg_catalog.current_database() and coalesce(a.backend_type, 'client backend') = 'client backend'
"""
COUNTERS = """
select xact_commit, xact_rollback, blks_hit, blks_read, temp_files, temp_bytes, deadlocks,
    pg_catalog.to_char(stats_reset at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"')
from pg_catalog.pg_stat_database where datname = pg_catalog.current_database()
"""
WAL = """
select pg_catalog.pg_wal_lsn_diff(case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
    else pg_catalog.pg_current_wal_lsn() end, '0/0')::bigint
"""
REPLICAS = """
with here as (select case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
    else pg_catalog.pg_current_wal_lsn() end as lsn)
select 'standby ' || coalesce(nullif(application_name, ''), 'without a name'), state = 'streaming',
    pg_catalog.pg_wal_lsn_diff(here.lsn, replay_lsn)::bigint, extract(epoch from replay_lag)::float8
from pg_catalog.pg_stat_replication, here
union all
select 'slot ' || slot_name, active, pg_catalog.pg_wal_lsn_diff(here.lsn, coalesce(confirmed_flush_lsn, restart_lsn))::bigint, null
from pg_catalog.pg_replication_slots, here
order by 1
"""
# An index that CREATE INDEX CONCURRENTLY is building is not valid yet either; pg_stat_progress_create_index shows those of roles that
# the reader may see.
INVALID_INDEXES = """
with broken as materialized (select indexrelid from pg_catalog.pg_index where not indisvalid)
select 'index ' || n.nspname || '.' || c.relname
from broken b join pg_catalog.pg_class c on c.oid = b.indexrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'i' and not exists (select from pg_catalog.pg_stat_progress_create_index p where p.index_relid = b.indexrelid)
order by 1 limit 100
"""
INVALID_CONSTRAINTS = """
with broken as materialized (select k.conname, k.conrelid from pg_catalog.pg_constraint k where {broken})
select 'constraint ' || b.conname || ' of ' || n.nspname || '.' || c.relname
from broken b join pg_catalog.pg_class c on c.oid = b.conrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
order by 1 limit 100
"""
NOT_VALIDATED = "not k.convalidated"
NOT_VALIDATED_OR_ENFORCED = "(not k.convalidated or not k.conenforced)"

# One pass over pg_class. What was made by initdb has oids below 16384 (FirstNormalObjectId). Dead tuples are looked up for the largest
# tables only: a session that is new attaches to the statistics of each table that it asks for, which for ten thousand of them takes longer
# than everything else. pg_stat_user_tables would join and group all indexes besides.
TABLES = """
with every as materialized (
    select oid, relpages, relkind in ('r', 'm') and relpersistence <> 't' as is_table from pg_catalog.pg_class where oid >= 16384),
largest as materialized (select oid, relpages from every where is_table order by relpages desc, oid limit 200),
counted as materialized (select oid, relpages, pg_catalog.pg_stat_get_dead_tuples(oid) as dead from largest),
ranked as (
    (select oid from counted order by relpages desc, oid limit 10)
    union (select oid from counted where dead > 0 order by dead desc limit 5)),
totals as materialized (select count(*) filter (where is_table) as number,
    coalesce(sum(greatest(relpages, 0)), 0)::bigint * pg_catalog.current_setting('block_size')::int as size from every)
select t.number, t.size, (select coalesce(sum(dead), 0)::bigint from counted), r.oid, n.nspname || '.' || c.relname,
    e.relpages::bigint * pg_catalog.current_setting('block_size')::int, e.dead, pg_catalog.pg_stat_get_live_tuples(r.oid),
    pg_catalog.to_char(greatest(pg_catalog.pg_stat_get_last_vacuum_time(r.oid), pg_catalog.pg_stat_get_last_autovacuum_time(r.oid))
        at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"'),
    pg_catalog.to_char(greatest(pg_catalog.pg_stat_get_last_analyze_time(r.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(r.oid))
        at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"')
from totals t left join (ranked r join counted e using (oid) join pg_catalog.pg_class c using (oid)
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace) on true
"""
# It locks each table and its indexes for a moment, and so waits where somebody holds one exclusively.
SIZES = "select oid, pg_catalog.pg_total_relation_size(oid) from pg_catalog.unnest(%s::oid[]) as oid"
# An estimate: pages that the rows would take, if they lay side by side, against those that there are. A page has 24 bytes of head and 4
# for each row's pointer, a row 23 bytes of head, rounded up to 8 (PostgreSQL, "Database Page Layout"); the width is pg_stats' average.
# What is written out of line is not in it.
BLOAT = """
select c.oid, greatest(0, c.relpages * page.bytes - ceil(greatest(c.reltuples, 0)
    / greatest(1, floor((page.bytes - 24) * fill.factor / 100 / (4 + 24 + ceil(width.bytes / 8.0) * 8)))) * page.bytes)::bigint
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join (select pg_catalog.current_setting('block_size')::float8 as bytes) page
cross join lateral (select coalesce((select o.option_value::float8 from pg_catalog.pg_options_to_table(c.reloptions) o
    where o.option_name = 'fillfactor'), 100) as factor) fill
join lateral (select sum((1 - s.null_frac) * s.avg_width)::float8 as bytes from pg_catalog.pg_stats s
    where s.schemaname = n.nspname and s.tablename = c.relname and not s.inherited) width on width.bytes is not null
where c.oid = any(%s::oid[]) and c.reltuples >= 0
"""

# Without the text, which lies in a file that is read whole.
STATEMENT_COUNTERS = """
select queryid::text, sum(calls)::bigint, sum(total_exec_time)::float8 / 1000
from {schema}.pg_stat_statements(false)
where dbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()) and queryid is not null
group by queryid order by 3 desc limit %s
"""
STATEMENTS = """
select queryid::text, min(query), sum(calls)::bigint, sum(total_exec_time)::float8 / 1000, max(max_exec_time)::float8 / 1000,
    sum(rows)::bigint, sum(temp_blks_read + temp_blks_written)::bigint
from {schema}.pg_stat_statements
where dbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()) and queryid is not null
group by queryid order by 4 desc limit %s
"""

# Indexes that hold a constraint, are unique or identify rows for replication do their work unread.
UNUSED_INDEXES = """
select n.nspname || '.' || c.relname, n.nspname || '.' || t.relname, c.relpages::bigint * pg_catalog.current_setting('block_size')::int,
    pg_catalog.pg_stat_get_numscans(c.oid)
from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_class t on t.oid = i.indrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%s) and c.relkind = 'i' and i.indisvalid and not i.indisunique and not i.indisprimary and not i.indisexclusion
    and not i.indisreplident and pg_catalog.pg_stat_get_numscans(c.oid) = 0
    and not exists (select from pg_catalog.pg_constraint k where k.conindid = c.oid)
order by 3 desc, 1 limit 50
"""
# What does more than to be read comes first. Exclusion constraints alone may differ in their operators.
DUPLICATE_INDEXES = """
with alike as (
    select pg_catalog.array_agg(i.indexrelid
        order by not i.indisprimary, not i.indisexclusion, not i.indisreplident, not i.indisunique, i.indexrelid) as members
    from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = any(%s) and c.relkind = 'i' and i.indisvalid
    group by i.indrelid, c.relam, i.indkey::text, i.indclass::text, i.indcollation::text, i.indoption::text,
        coalesce(i.indexprs::text, ''), coalesce(i.indpred::text, '')
    having count(*) > 1 and pg_catalog.bool_or(not i.indisexclusion))
select pg_catalog.array_agg(n.nspname || '.' || c.relname order by m.place), min(n.nspname || '.' || t.relname),
    sum(c.relpages::bigint * pg_catalog.current_setting('block_size')::int) filter (where m.place > 1)::bigint,
    sum(pg_catalog.pg_stat_get_numscans(c.oid))::bigint
from alike cross join lateral pg_catalog.unnest(alike.members) with ordinality m (oid, place)
join pg_catalog.pg_class c on c.oid = m.oid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_index i on i.indexrelid = c.oid join pg_catalog.pg_class t on t.oid = i.indrelid
group by alike.members order by 3 desc, 1 limit 50
"""
