# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The queries that read a schema as JSON, one per kind of object; ``model.py`` runs them.

Each returns rows of (key, definition): a readable name that is unique in the database, and a JSON object without OIDs,
attribute numbers or anything else that depends on the way the object came about. The parameter ``schemas`` is the list
of schemas to read, ``platform`` the schemas of the platform. They run with an empty search_path, so that PostgreSQL
writes every name outside pg_catalog with its schema. The catalogs are those of PostgreSQL 15 to 18.

An access list of NULL means the default of its kind (PostgreSQL, "System Catalog Information Functions", acldefault),
so it is replaced by that; a list's order has no meaning, so it is sorted. Members of an extension are left out: the
extension and its version stand for them. Constraints, triggers and indexes that a partition merely inherits are
created, and named, by PostgreSQL itself; where the parent's definition implies them they are left out.
"""

from __future__ import annotations


def _acl(column: str, kind: str, owner: str) -> str:
    """An access list as sorted text, the default where none is stored. Arguments are constants of this file."""
    return (
        f'(select array_agg(item::text order by item::text collate "C") '
        f"from unnest(coalesce({column}, acldefault('{kind}', {owner}))) as item)"
    )


def _sorted(array: str, where: str = "true") -> str:
    """A text array whose order has no meaning, sorted; NULL when nothing is in it."""
    return f'(select array_agg(item order by item collate "C") from unnest({array}) as item where {where})'


# Minor releases of November 2026 number each change of a column there. Nobody sets it, and pg_dump leaves it out.
_SERVERS_OWN_OPTION = "item !~ '^pg_attver='"


def _comment(catalog: str, oid: str, column: str = "0") -> str:
    """The comment on an object, NULL without one."""
    return (
        f"(select description from pg_description where objoid = {oid} "
        f"and classoid = 'pg_catalog.{catalog}'::regclass and objsubid = {column})"
    )


def _no_member(catalog: str, oid: str) -> str:
    """The condition that leaves out what belongs to an extension."""
    return (
        f"not exists (select from pg_depend as member where member.classid = 'pg_catalog.{catalog}'::regclass "
        f"and member.objid = {oid} and member.deptype = 'e')"
    )


_RELATION = "quote_ident(n.nspname) || '.' || quote_ident(c.relname)"
_OWN_SCHEMA = "n.nspname = any(%(schemas)s)"

SCHEMAS = f"""
select 'schema ' || quote_ident(n.nspname), json_strip_nulls(json_build_object(
    'owner', pg_get_userbyid(n.nspowner),
    'privileges', {_acl("n.nspacl", "n", "n.nspowner")},
    'comment', {_comment("pg_namespace", "n.oid")}))
from pg_namespace as n
where {_OWN_SCHEMA}
"""

TABLES = f"""
select case c.relkind when 'f' then 'foreign table ' else 'table ' end || {_RELATION}, json_strip_nulls(json_build_object(
    'owner', pg_get_userbyid(c.relowner),
    'persistence', case c.relpersistence when 'p' then 'permanent' when 'u' then 'unlogged' else 'temporary' end,
    'access method', (select amname from pg_am where oid = c.relam),
    'tablespace', (select spcname from pg_tablespace where oid = c.reltablespace),
    'partitioned', c.relkind = 'p',
    'partition key', pg_get_partkeydef(c.oid),
    'partition bound', pg_get_expr(c.relpartbound, c.oid),
    'inherits', (
        select array_agg(inhparent::regclass::text order by inhseqno) from pg_inherits where inhrelid = c.oid),
    'of type', nullif(c.reloftype, 0)::regtype::text,
    'options', {_sorted("c.reloptions")},
    'toast options', (select {_sorted("toast.reloptions")} from pg_class as toast where toast.oid = c.reltoastrelid),
    'row security', c.relrowsecurity,
    'row security forced', c.relforcerowsecurity,
    'replica identity', case c.relreplident
        when 'd' then 'default' when 'f' then 'full' when 'n' then 'nothing'
        else 'index ' || (
            select indexrelid::regclass::text from pg_index where indrelid = c.oid and indisreplident) end,
    'clustered on', (select indexrelid::regclass::text from pg_index where indrelid = c.oid and indisclustered),
    'server', (
        select quote_ident(s.srvname) from pg_foreign_table as f join pg_foreign_server as s on s.oid = f.ftserver
        where f.ftrelid = c.oid),
    'server options', (select {_sorted("ftoptions")} from pg_foreign_table where ftrelid = c.oid),
    'privileges', {_acl("c.relacl", "r", "c.relowner")},
    'comment', {_comment("pg_class", "c.oid")}))
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where {_OWN_SCHEMA} and c.relkind in ('r', 'p', 'f') and {_no_member("pg_class", "c.oid")}
"""

# A column's place is its rank: attribute numbers keep a gap for every column that was ever dropped.
COLUMNS = f"""
select 'column ' || {_RELATION} || '.' || quote_ident(a.attname), json_strip_nulls(json_build_object(
    'position', row_number() over (partition by a.attrelid order by a.attnum),
    'type', format_type(a.atttypid, a.atttypmod),
    'not null', a.attnotnull,
    'default', case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end,
    'generated', case when a.attgenerated <> '' then
        pg_get_expr(d.adbin, d.adrelid) || case a.attgenerated when 's' then ' stored' else ' virtual' end end,
    'identity', case a.attidentity when 'a' then 'always' when 'd' then 'by default' end,
    'collation', case when a.attcollation <> t.typcollation then nullif(a.attcollation, 0)::regcollation::text end,
    'storage', case when a.attstorage <> t.typstorage then case a.attstorage
        when 'p' then 'plain' when 'e' then 'external' when 'x' then 'extended' else 'main' end end,
    'compression', case a.attcompression when 'p' then 'pglz' when 'l' then 'lz4' end,
    'statistics target', nullif(a.attstattarget, -1),
    'options', {_sorted("a.attoptions", _SERVERS_OWN_OPTION)},
    'server options', {_sorted("a.attfdwoptions")},
    'privileges', (select array_agg(item::text order by item::text collate "C") from unnest(a.attacl) as item),
    'comment', {_comment("pg_class", "c.oid", "a.attnum")}))
from pg_attribute as a
join pg_class as c on c.oid = a.attrelid
join pg_namespace as n on n.oid = c.relnamespace
join pg_type as t on t.oid = a.atttypid
left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
where {_OWN_SCHEMA} and c.relkind in ('r', 'p', 'f', 'v', 'm', 'c') and a.attnum > 0 and not a.attisdropped
  and {_no_member("pg_class", "c.oid")}
"""

VIEWS = f"""
select case c.relkind when 'm' then 'materialized view ' else 'view ' end || {_RELATION},
json_strip_nulls(json_build_object(
    'owner', pg_get_userbyid(c.relowner),
    'definition', pg_get_viewdef(c.oid),
    'options', {_sorted("c.reloptions")},
    'populated', case when c.relkind = 'm' then c.relispopulated end,
    'access method', (select amname from pg_am where oid = c.relam),
    'tablespace', (select spcname from pg_tablespace where oid = c.reltablespace),
    'privileges', {_acl("c.relacl", "r", "c.relowner")},
    'comment', {_comment("pg_class", "c.oid")}))
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where {_OWN_SCHEMA} and c.relkind in ('v', 'm') and {_no_member("pg_class", "c.oid")}
"""

# A sequence's present value is data: it moves without any change of the schema.
SEQUENCES = f"""
select 'sequence ' || {_RELATION}, json_strip_nulls(json_build_object(
    'owner', pg_get_userbyid(c.relowner),
    'persistence', case c.relpersistence when 'p' then 'permanent' when 'u' then 'unlogged' else 'temporary' end,
    'type', format_type(s.seqtypid, null),
    'start', s.seqstart, 'increment', s.seqincrement, 'minimum', s.seqmin, 'maximum', s.seqmax,
    'cache', s.seqcache, 'cycle', s.seqcycle,
    'owned by', (
        select d.refobjid::regclass::text || '.' || quote_ident(a.attname)
        from pg_depend as d join pg_attribute as a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
        where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')
          and d.refclassid = 'pg_catalog.pg_class'::regclass),
    'privileges', {_acl("c.relacl", "s", "c.relowner")},
    'comment', {_comment("pg_class", "c.oid")}))
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
join pg_sequence as s on s.seqrelid = c.oid
where {_OWN_SCHEMA} and {_no_member("pg_class", "c.oid")}
"""

# Row types of tables, array types and multiranges come and go with what they belong to.
TYPES = f"""
select case t.typtype when 'd' then 'domain ' else 'type ' end || quote_ident(n.nspname) || '.' || quote_ident(t.typname),
json_strip_nulls(json_build_object(
    'owner', pg_get_userbyid(t.typowner),
    'kind', case t.typtype
        when 'e' then 'enum' when 'c' then 'composite' when 'd' then 'domain' when 'r' then 'range' else 'base' end,
    'labels', (select array_agg(enumlabel order by enumsortorder) from pg_enum where enumtypid = t.oid),
    'base type', case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end,
    'not null', case when t.typtype = 'd' then t.typnotnull end,
    'default', t.typdefault,
    'collation', case when t.typtype = 'd' then nullif(t.typcollation, 0)::regcollation::text end,
    'subtype', (
        select json_strip_nulls(json_build_object(
            'type', format_type(r.rngsubtype, null),
            'multirange', r.rngmultitypid::regtype::text,
            'collation', nullif(r.rngcollation, 0)::regcollation::text,
            'operator class', (
                select quote_ident(on_.nspname) || '.' || quote_ident(o.opcname)
                from pg_opclass as o join pg_namespace as on_ on on_.oid = o.opcnamespace where o.oid = r.rngsubopc),
            'canonical', nullif(r.rngcanonical, 0)::regprocedure::text,
            'difference', nullif(r.rngsubdiff, 0)::regprocedure::text))
        from pg_range as r where r.rngtypid = t.oid),
    'base', case when t.typtype = 'b' then json_build_object(
        'input', t.typinput::text, 'output', t.typoutput::text, 'length', t.typlen, 'by value', t.typbyval,
        'alignment', t.typalign, 'storage', t.typstorage, 'category', t.typcategory) end,
    'privileges', {_acl("t.typacl", "T", "t.typowner")},
    'comment', {_comment("pg_type", "t.oid")}))
from pg_type as t
join pg_namespace as n on n.oid = t.typnamespace
left join pg_class as c on c.oid = t.typrelid
where {_OWN_SCHEMA} and {_no_member("pg_type", "t.oid")}
  and (t.typtype in ('e', 'd', 'r') or t.typtype = 'c' and c.relkind = 'c'
       or t.typtype = 'b' and t.typisdefined and not exists (select from pg_type as e where e.typarray = t.oid))
"""

CONSTRAINTS = f"""
select 'constraint ' || quote_ident(k.conname) || ' on ' ||
    coalesce(quote_ident(n.nspname) || '.' || quote_ident(c.relname), k.contypid::regtype::text),
json_strip_nulls(json_build_object(
    'definition', pg_get_constraintdef(k.oid),
    'validated', k.convalidated,
    'enforcing triggers', (
        select string_agg(distinct case g.tgenabled
            when 'D' then 'disabled' when 'R' then 'replica' when 'A' then 'always' end, ', ')
        from pg_trigger as g where g.tgconstraint = k.oid and g.tgisinternal),
    'comment', {_comment("pg_constraint", "k.oid")}))
from pg_constraint as k
join pg_namespace as n on n.oid = k.connamespace
left join pg_class as c on c.oid = k.conrelid
where {_OWN_SCHEMA} and k.contype <> 't' and not (k.contype = 'f' and k.conparentid <> 0)
  and case when k.conrelid <> 0 then {_no_member("pg_class", "k.conrelid")}
      else {_no_member("pg_type", "k.contypid")} end
"""

INDEXES = f"""
select 'index ' || {_RELATION}, json_strip_nulls(json_build_object(
    'definition', pg_get_indexdef(i.indexrelid),
    'valid', i.indisvalid,
    'ready', i.indisready,
    'parent', (select inhparent::regclass::text from pg_inherits where inhrelid = c.oid),
    'tablespace', (select spcname from pg_tablespace where oid = c.reltablespace),
    'statistics targets', (
        select json_object_agg(attnum, attstattarget order by attnum) from pg_attribute
        where attrelid = c.oid and attstattarget >= 0),
    'comment', {_comment("pg_class", "c.oid")}))
from pg_index as i
join pg_class as c on c.oid = i.indexrelid
join pg_namespace as n on n.oid = c.relnamespace
where {_OWN_SCHEMA} and {_no_member("pg_class", "i.indrelid")} and {_no_member("pg_class", "c.oid")}
"""

FUNCTIONS = f"""
select case p.prokind when 'p' then 'procedure ' when 'a' then 'aggregate ' else 'function ' end ||
    quote_ident(n.nspname) || '.' || quote_ident(p.proname) || '(' || oidvectortypes(p.proargtypes) || ')',
json_strip_nulls(json_build_object(
    'owner', pg_get_userbyid(p.proowner),
    'definition', case when p.prokind <> 'a' then pg_get_functiondef(p.oid) end,
    'aggregate', (
        select json_strip_nulls(json_build_object(
            'result', pg_get_function_result(p.oid), 'arguments', pg_get_function_arguments(p.oid),
            'parallel', p.proparallel, 'kind', g.aggkind, 'direct arguments', g.aggnumdirectargs,
            'transition', g.aggtransfn::text, 'state', format_type(g.aggtranstype, null), 'space', g.aggtransspace,
            'final', nullif(g.aggfinalfn::oid, 0)::regprocedure::text, 'final extra', g.aggfinalextra,
            'final modify', g.aggfinalmodify, 'combine', nullif(g.aggcombinefn::oid, 0)::regprocedure::text,
            'serialize', nullif(g.aggserialfn::oid, 0)::regprocedure::text,
            'deserialize', nullif(g.aggdeserialfn::oid, 0)::regprocedure::text,
            'sort operator', nullif(g.aggsortop, 0)::regoperator::text, 'initial', g.agginitval,
            'moving transition', nullif(g.aggmtransfn::oid, 0)::regprocedure::text,
            'moving inverse', nullif(g.aggminvtransfn::oid, 0)::regprocedure::text,
            'moving final', nullif(g.aggmfinalfn::oid, 0)::regprocedure::text,
            'moving state', nullif(format_type(nullif(g.aggmtranstype, 0), null), '-'),
            'moving initial', g.aggminitval))
        from pg_aggregate as g where g.aggfnoid = p.oid),
    'privileges', {_acl("p.proacl", "f", "p.proowner")},
    'comment', {_comment("pg_proc", "p.oid")}))
from pg_proc as p
join pg_namespace as n on n.oid = p.pronamespace
where {_OWN_SCHEMA} and {_no_member("pg_proc", "p.oid")}
"""

# A trigger on a table of the platform is the user's when its function comes from elsewhere than its table. It belongs to
# the database and not to a schema that is read, as a policy there does.
TRIGGERS = f"""
select 'trigger ' || quote_ident(g.tgname) || ' on ' || {_RELATION}, json_strip_nulls(json_build_object(
    'definition', pg_get_triggerdef(g.oid),
    'enabled', case g.tgenabled
        when 'O' then 'origin' when 'D' then 'disabled' when 'R' then 'replica' else 'always' end,
    'comment', {_comment("pg_trigger", "g.oid")}))
from pg_trigger as g
join pg_class as c on c.oid = g.tgrelid
join pg_namespace as n on n.oid = c.relnamespace
join pg_proc as p on p.oid = g.tgfoid
join pg_namespace as pn on pn.oid = p.pronamespace
where not g.tgisinternal and g.tgparentid = 0 and {_no_member("pg_trigger", "g.oid")}
  and {_no_member("pg_class", "c.oid")}
  and ({_OWN_SCHEMA} or n.nspname = any(%(platform)s) and pn.nspname <> n.nspname)
"""

RULES = f"""
select 'rule ' || quote_ident(r.rulename) || ' on ' || {_RELATION}, json_strip_nulls(json_build_object(
    'definition', pg_get_ruledef(r.oid),
    'enabled', case r.ev_enabled
        when 'O' then 'origin' when 'D' then 'disabled' when 'R' then 'replica' else 'always' end,
    'comment', {_comment("pg_rewrite", "r.oid")}))
from pg_rewrite as r
join pg_class as c on c.oid = r.ev_class
join pg_namespace as n on n.oid = c.relnamespace
where {_OWN_SCHEMA} and r.rulename <> '_RETURN' and {_no_member("pg_class", "c.oid")}
"""

POLICIES = f"""
select 'policy ' || quote_ident(p.polname) || ' on ' || {_RELATION}, json_strip_nulls(json_build_object(
    'command', case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
        when 'd' then 'delete' else 'all' end,
    'kind', case when p.polpermissive then 'permissive' else 'restrictive' end,
    'roles', (
        select array_agg(name order by name collate "C") from (
            select case when role = 0 then 'public' else quote_ident(pg_get_userbyid(role)) end as name
            from unnest(p.polroles) as role) as roles),
    'using', pg_get_expr(p.polqual, p.polrelid),
    'check', pg_get_expr(p.polwithcheck, p.polrelid),
    'comment', {_comment("pg_policy", "p.oid")}))
from pg_policy as p
join pg_class as c on c.oid = p.polrelid
join pg_namespace as n on n.oid = c.relnamespace
where ({_OWN_SCHEMA} or n.nspname = any(%(platform)s)) and {_no_member("pg_class", "c.oid")}
"""

DEFAULT_PRIVILEGES = """
select 'default privileges of ' || quote_ident(pg_get_userbyid(d.defaclrole)) || ' for ' || case d.defaclobjtype
        when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types'
        when 'n' then 'schemas' else 'large objects' end || coalesce(' in ' || quote_ident(n.nspname), ''),
json_build_object('privileges',
    (select array_agg(item::text order by item::text collate "C") from unnest(d.defaclacl) as item))
from pg_default_acl as d
left join pg_namespace as n on n.oid = d.defaclnamespace
where d.defaclnamespace = 0 or n.nspname = any(%(schemas)s)
"""

EXTENSIONS = f"""
select 'extension ' || quote_ident(e.extname), json_strip_nulls(json_build_object(
    'schema', quote_ident(n.nspname),
    'version', e.extversion,
    'comment', {_comment("pg_extension", "e.oid")}))
from pg_extension as e
join pg_namespace as n on n.oid = e.extnamespace
"""

PUBLICATIONS = f"""
select 'publication ' || quote_ident(p.pubname), json_strip_nulls(json_build_object(
    'owner', pg_get_userbyid(p.pubowner),
    'all tables', p.puballtables,
    'insert', p.pubinsert, 'update', p.pubupdate, 'delete', p.pubdelete, 'truncate', p.pubtruncate,
    'via root', p.pubviaroot,
    'schemas', (
        select array_agg(quote_ident(n.nspname) order by n.nspname collate "C")
        from pg_publication_namespace as pn join pg_namespace as n on n.oid = pn.pnnspid where pn.pnpubid = p.oid),
    'tables', (
        select json_object_agg({_RELATION}, json_strip_nulls(json_build_object(
            'where', pg_get_expr(r.prqual, r.prrelid),
            'columns', (
                select array_agg(a.attname order by a.attname collate "C") from pg_attribute as a
                where a.attrelid = r.prrelid and a.attnum = any(r.prattrs)))) order by {_RELATION} collate "C")
        from pg_publication_rel as r
        join pg_class as c on c.oid = r.prrelid
        join pg_namespace as n on n.oid = c.relnamespace
        where r.prpubid = p.oid and {_OWN_SCHEMA}),
    'comment', {_comment("pg_publication", "p.oid")}))
from pg_publication as p
"""

# One whose function is in a schema of the platform is the platform's.
EVENT_TRIGGERS = f"""
select 'event trigger ' || quote_ident(e.evtname), json_strip_nulls(json_build_object(
    'owner', pg_get_userbyid(e.evtowner),
    'event', e.evtevent,
    'tags', {_sorted("e.evttags")},
    'function', e.evtfoid::regprocedure::text,
    'enabled', case e.evtenabled
        when 'O' then 'origin' when 'D' then 'disabled' when 'R' then 'replica' else 'always' end,
    'comment', {_comment("pg_event_trigger", "e.oid")}))
from pg_event_trigger as e
join pg_proc as p on p.oid = e.evtfoid
join pg_namespace as n on n.oid = p.pronamespace
where n.nspname <> all(%(platform)s) and {_no_member("pg_event_trigger", "e.oid")}
"""

STATISTICS = f"""
select 'statistics ' || quote_ident(n.nspname) || '.' || quote_ident(s.stxname), json_strip_nulls(json_build_object(
    'owner', pg_get_userbyid(s.stxowner),
    'definition', pg_get_statisticsobjdef(s.oid),
    'statistics target', nullif(s.stxstattarget, -1),
    'comment', {_comment("pg_statistic_ext", "s.oid")}))
from pg_statistic_ext as s
join pg_namespace as n on n.oid = s.stxnamespace
where {_OWN_SCHEMA}
"""

COLLATIONS = f"""
select 'collation ' || quote_ident(n.nspname) || '.' || quote_ident(c.collname), jsonb_strip_nulls(
    to_jsonb(c) - array['oid', 'collname', 'collnamespace', 'collowner', 'collversion']
    || jsonb_build_object('owner', pg_get_userbyid(c.collowner), 'comment', {_comment("pg_collation", "c.oid")}))
from pg_collation as c
join pg_namespace as n on n.oid = c.collnamespace
where {_OWN_SCHEMA} and {_no_member("pg_collation", "c.oid")}
"""

OPERATORS = f"""
select 'operator ' || o.oid::regoperator::text, json_strip_nulls(json_build_object(
    'owner', pg_get_userbyid(o.oprowner),
    'function', o.oprcode::oid::regprocedure::text,
    'result', format_type(o.oprresult, null),
    'commutator', nullif(o.oprcom, 0)::regoperator::text,
    'negator', nullif(o.oprnegate, 0)::regoperator::text,
    'restrict', nullif(o.oprrest::oid, 0)::regprocedure::text,
    'join', nullif(o.oprjoin::oid, 0)::regprocedure::text,
    'hashes', o.oprcanhash, 'merges', o.oprcanmerge,
    'comment', {_comment("pg_operator", "o.oid")}))
from pg_operator as o
join pg_namespace as n on n.oid = o.oprnamespace
where {_OWN_SCHEMA} and o.oprcode <> 0 and {_no_member("pg_operator", "o.oid")}
"""

ALL_KINDS = (
    SCHEMAS,
    EXTENSIONS,
    TYPES,
    COLLATIONS,
    SEQUENCES,
    TABLES,
    COLUMNS,
    VIEWS,
    CONSTRAINTS,
    INDEXES,
    FUNCTIONS,
    OPERATORS,
    TRIGGERS,
    RULES,
    POLICIES,
    STATISTICS,
    DEFAULT_PRIVILEGES,
    PUBLICATIONS,
    EVENT_TRIGGERS,
)

# The kinds as they stand at the beginning of a key; some are two words.
OBJECT_TYPES = (
    "aggregate",
    "collation",
    "column",
    "constraint",
    "default privileges",
    "domain",
    "event trigger",
    "extension",
    "foreign table",
    "function",
    "index",
    "materialized view",
    "operator",
    "policy",
    "procedure",
    "publication",
    "rule",
    "schema",
    "sequence",
    "statistics",
    "table",
    "trigger",
    "type",
    "view",
)
