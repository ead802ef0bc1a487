# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database's schema as canonical JSON: read, hashed and compared.

Two catalogs are equal when their objects are: whatever order the objects were made in, whatever OIDs they have, and
whether or not a column was once added and dropped again. Not covered, because migrations of an application seldom make
them: casts, operator classes, text search objects, foreign servers, languages, roles, settings of roles and databases.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.files import canonical_json, sha256_of_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.expressions import canonical_expression
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, relation_of
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.queries import ALL_KINDS
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import taken_back

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

Catalog = dict[str, dict[str, Any]]
"""Readable key of an object (C(column public.profiles."deletedBy")) to its definition, ready for JSON."""

PLATFORM_SCHEMAS = (
    "_analytics",
    "_realtime",
    "_supavisor",
    "_timescaledb_cache",
    "_timescaledb_catalog",
    "_timescaledb_config",
    "_timescaledb_debug",
    "_timescaledb_functions",
    "_timescaledb_internal",
    "auth",
    "cron",
    "dbdev",
    "etl",
    "extensions",
    "graphql",
    "graphql_public",
    "net",
    "pgbouncer",
    "pgmq",
    "pgsodium",
    "pgsodium_masks",
    "pgtle",
    "realtime",
    "repack",
    "storage",
    "supabase_functions",
    "supabase_migrations",
    "tiger",
    "tiger_data",
    "timescaledb_experimental",
    "timescaledb_information",
    "topology",
    "vault",
)
"""The schemas that Supabase or its extensions own, after the list of the Supabase CLI's C(db dump) of what it leaves out."""

PLATFORM_EVENT_TRIGGERS = (
    "graphql_watch_ddl",
    "graphql_watch_drop",
    "issue_graphql_placeholder",
    "issue_pg_cron_access",
    "issue_pg_graphql_access",
    "issue_pg_net_access",
    "pgrst_ddl_watch",
    "pgrst_drop_watch",
)
"""The platform's event triggers, after supabase/postgres: their functions are in its schemas; some of them postgres owns."""

OWN_SCHEMA = "pgops"
"""Where this collection keeps its ledger: neither the user's nor the platform's."""

# What PostgreSQL writes an expression or a name with depends on these settings of the session.
_CANONICAL_SETTINGS = {
    "search_path": "",
    "quote_all_identifiers": "off",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    # No definition depends on it; but to compile the query takes longer than to run it.
    "jit": "off",
}

# Where the catalogs hold expressions.
_EXPRESSIONS = ("definition", "default", "generated", "using", "check")
# A function's body between quotes is the user's own text; one that begins with BEGIN ATOMIC or RETURN is PostgreSQL's writing.
_QUOTED_BODY = re.compile(r"\nAS [$']")

_DETAIL_LENGTH = 60
WITH_COLUMNS = frozenset({"table", "foreign table", "view", "materialized view", "type"})
"""The types of what may have columns."""


def user_schemas(connection: PgConnection) -> list[str]:
    """The schemas that are the user's own, in order: not PostgreSQL's, not Supabase's platform, not our ledger's."""
    rows = fetch_all(
        connection,
        """
        select nspname
        from pg_catalog.pg_namespace
        where nspname <> 'information_schema' and nspname !~ '^pg_' and nspname <> all(%s)
        order by nspname collate "C"
        """,
        [[*PLATFORM_SCHEMAS, OWN_SCHEMA]],
    )
    return [str(name) for (name,) in rows]


def read_catalog(connection: PgConnection, schemas: Sequence[str]) -> Catalog:
    """The objects of the schemas, and what belongs to them but lives elsewhere.

    That is triggers and policies on the platform's tables, extensions, event triggers, publications and default
    privileges. The open transaction is used, so what it has not committed is seen; nothing of the session is changed:
    not its settings, not its state. Without an open transaction one of its own is made and ended.

    :param schemas: schemas to read, usually :func:`user_schemas`; one that does not exist adds nothing.
    """
    parameters = {"schemas": list(schemas), "platform": [n for n in PLATFORM_SCHEMAS if n not in set(schemas)]}
    with _canonical_session(connection):
        # In one question: a run reads it several times, and over a network each question takes as long as all of them.
        kinds = (f"select key, definition::json from ({query}) as kind (key, definition)" for query in ALL_KINDS)
        rows = fetch_all(connection, " union all ".join(kinds), parameters)
    return {key: _canonical(definition) for key, definition in sorted(rows, key=itemgetter(0))}


def extension_requirements(connection: PgConnection) -> dict[str, list[str]]:
    """For the key of each extension that requires others, the keys of those. It is not in a catalog, and so in no fingerprint."""
    rows = fetch_all(
        connection,
        "select 'extension ' || quote_ident(e.extname), array_agg('extension ' || quote_ident(r.extname)) "
        "from pg_catalog.pg_depend d join pg_catalog.pg_extension e on e.oid = d.objid "
        "join pg_catalog.pg_extension r on r.oid = d.refobjid where d.classid = 'pg_catalog.pg_extension'::regclass "
        "and d.refclassid = 'pg_catalog.pg_extension'::regclass group by 1",
    )
    return dict(rows)


def fingerprint(catalog: Catalog) -> str:
    """The SHA-256 of a catalog: equal for equal schemas on servers of the same major version."""
    return sha256_of_bytes(canonical_json(catalog))


def compare_catalogs(
    before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> list[CatalogChange]:
    """What was created, changed and dropped, sorted by type and name.

    The columns of a relation that was created or dropped as a whole are told by number, not one by one.
    """
    relations_before, relations_after = _relations(before), _relations(after)
    columns_before, columns_after = _columns_of_relations(before), _columns_of_relations(after)
    changes = []
    for key in before.keys() | after.keys():
        object_type, name = CatalogKey.parse(key)
        if object_type == "column" and _told_by_number(relation_of(name), relations_before, relations_after):
            continue
        if key not in before:
            changes.append(_change("created", object_type, name, _number_of_columns(object_type, columns_after[name])))
        elif key not in after:
            changes.append(_change("dropped", object_type, name, _number_of_columns(object_type, columns_before[name])))
        elif before[key] != after[key]:
            changes.append(_change("changed", object_type, name, _definition_detail(before[key], after[key])))
    return sorted(changes, key=lambda change: (change.object_type, change.object_name))


def describe_changes(changes: Sequence[CatalogChange]) -> list[str]:
    """Each change as a sentence, in order."""
    return [f"{c.object_type} {c.object_name} {c.change}: {c.detail}".removesuffix(": ") for c in changes]


def change_fingerprint(changes: Sequence[CatalogChange]) -> str:
    """The hash of what was changed, equal wherever the same was."""
    return sha256_of_bytes(canonical_json(describe_changes(changes)))


@contextmanager
def _canonical_session(connection: PgConnection) -> Iterator[None]:
    """Settings under which definitions are canonical, inside a savepoint that takes them back."""
    from psycopg2.extensions import TRANSACTION_STATUS_IDLE

    own_transaction = connection.info.transaction_status == TRANSACTION_STATUS_IDLE
    if own_transaction and connection.autocommit:
        execute(connection, "begin")
    if own_transaction:
        execute(connection, "set transaction isolation level repeatable read, read only")
    try:
        with taken_back(connection, "pgops_catalog"):
            calls = ", ".join(["pg_catalog.set_config(%s, %s, true)"] * len(_CANONICAL_SETTINGS))
            execute(connection, f"select {calls}", [word for pair in _CANONICAL_SETTINGS.items() for word in pair])
            yield
    finally:
        if not connection.closed:
            if own_transaction and connection.autocommit:
                execute(connection, "rollback")
            elif own_transaction:
                connection.rollback()


def _canonical(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition whose expressions are the same before and after a dump and its restore."""
    for name in _EXPRESSIONS:
        text = definition.get(name)
        if isinstance(text, str) and not (text.startswith("CREATE OR REPLACE ") and _QUOTED_BODY.search(text)):
            definition[name] = canonical_expression(text)
    return definition


def _change(
    change: Literal["created", "changed", "dropped"], object_type: str, name: str, detail: str
) -> CatalogChange:
    return CatalogChange(change=change, object_type=object_type, object_name=name, detail=detail)


def _relations(catalog: Mapping[str, Any]) -> frozenset[str]:
    """The names of what may have columns; a table without any is one too."""
    return frozenset(name for object_type, name in map(CatalogKey.parse, catalog) if object_type in WITH_COLUMNS)


def _columns_of_relations(catalog: Mapping[str, Any]) -> Counter[str]:
    """The number of columns of each relation that has any."""
    return Counter(relation_of(name) for object_type, name in map(CatalogKey.parse, catalog) if object_type == "column")


def _told_by_number(relation: str, before: frozenset[str], after: frozenset[str]) -> bool:
    """Whether the relation came or went as a whole, so that its columns need no line each."""
    return (relation in before) != (relation in after)


def _number_of_columns(object_type: str, number: int) -> str:
    if object_type not in WITH_COLUMNS or not number:
        return ""
    return f"{number} column{'' if number == 1 else 's'}"


def _definition_detail(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    names = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    return "; ".join(f"{name}: {_value_detail(before.get(name), after.get(name))}" for name in names)


def _value_detail(before: Any, after: Any) -> str:
    if isinstance(before, list | None) and isinstance(after, list | None):
        gone = [f"-{_short(item)}" for item in before or [] if item not in (after or [])]
        new = [f"+{_short(item)}" for item in after or [] if item not in (before or [])]
        return ", ".join(gone + new) or "order changed"
    old_text, new_text = _short(before), _short(after)
    return "changed" if old_text == new_text else f"{old_text} -> {new_text}"


def _short(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _DETAIL_LENGTH else text[: _DETAIL_LENGTH - 3] + "..."
