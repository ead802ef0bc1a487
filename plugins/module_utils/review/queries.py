# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries of a review. Each reads the catalog and the statistics; none reads a row of the user's tables."""

from __future__ import annotations

RESET = """
select pg_catalog.to_char(stats_reset at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"')
from pg_catalog.pg_stat_database where datname = pg_catalog.current_database()
"""
# What is partitioned has neither pages nor scans of its own: they are those of its partitions. Of all else the tree is empty.
_PARTS = "(select {0}.oid as oid union select relid::oid from pg_catalog.pg_partition_tree({0}.oid)) as part"
# Of the names that are asked for, as the catalog writes them, those that are there.
MADE_INDEXES = f"""
select pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), n.nspname || '.' || t.relname,
    (select pg_catalog.sum(pg_catalog.pg_relation_size(part.oid))::bigint from {_PARTS.format('c')}),
    (select pg_catalog.sum(pg_catalog.pg_stat_get_numscans(part.oid))::bigint from {_PARTS.format('c')}),
    i.indisunique or i.indisexclusion or exists (select from pg_catalog.pg_constraint k where k.conindid = c.oid),
    (select pg_catalog.sum(pg_catalog.pg_stat_get_numscans(part.oid))::bigint from {_PARTS.format('t')})
from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_class t on t.oid = i.indrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) = any(%s)
"""
# Scans of a table are those of the whole and those of its indexes.
POLICIES = f"""
select n.nspname || '.' || c.relname, p.polname, p.polcmd::text, p.polpermissive, c.relrowsecurity,
    coalesce(pg_catalog.pg_get_expr(p.polqual, p.polrelid), ''), coalesce(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), ''),
    array(select case r.role when 0 then 'public' else pg_catalog.pg_get_userbyid(r.role)::text end
        from pg_catalog.unnest(p.polroles) as r (role)),
    case when 0 = any(p.polroles) then true else exists (
        select from pg_catalog.unnest(p.polroles) as r (role) where (p.polcmd <> 'd' and pg_catalog.has_any_column_privilege(
            r.role, p.polrelid, case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' else 'select' end))
            or pg_catalog.has_table_privilege(r.role, p.polrelid,
                case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
                else 'select, insert, update, delete' end)) end,
    (select pg_catalog.sum(pg_catalog.pg_stat_get_numscans(part.oid) + pg_catalog.pg_stat_get_tuples_inserted(part.oid) + coalesce((
        select pg_catalog.sum(pg_catalog.pg_stat_get_numscans(i.indexrelid)) from pg_catalog.pg_index i where i.indrelid = part.oid), 0))
        from {_PARTS.format('c')})
from pg_catalog.pg_policy p join pg_catalog.pg_class c on c.oid = p.polrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%s) order by 1, 2
"""
WITHOUT_POLICY = """
select n.nspname || '.' || c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%s) and c.relkind in ('r', 'p') and c.relrowsecurity
    and not exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid)
order by 1
"""
LARGEST_TABLES = """
select n.nspname, c.relname, pg_catalog.pg_total_relation_size(c.oid),
    coalesce(nullif(pg_catalog.pg_stat_get_live_tuples(c.oid), 0), greatest(c.reltuples::bigint, 0))
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%s) and c.relkind in ('r', 'm')
order by 3 desc, 1, 2 limit 20
"""
