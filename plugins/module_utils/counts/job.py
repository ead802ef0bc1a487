# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact row counts of a whole project in one snapshot, and the job of the module row_counts.

Every row is counted once: ordinary tables and the leaves of partitioned ones. A partitioned table that is asked for by
name is counted as a whole. Foreign tables are left out, their rows are another server's; so are materialized views,
whose rows are derived.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    CountError,
    InputError,
    PrivilegeError,
    VerificationFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.base.progress import Progress
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import user_schemas
from ansible_collections.pgops.supabase.plugins.module_utils.counts.comparison import (
    CountContract,
    compare_counts,
    parse_table_name,
    read_baseline,
)
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import (
    CountComparison,
    RowCounts,
    RowDeclaration,
)
from ansible_collections.pgops.supabase.plugins.module_utils.counts.own import OwnWork
from ansible_collections.pgops.supabase.plugins.module_utils.counts.parallel import count_in_snapshot
from ansible_collections.pgops.supabase.plugins.module_utils.counts.tables import count_in_transaction, user_tables
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    execute,
    fetch_all,
    require_all_rows_visible,
    server_version,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import Table

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

__all__ = [
    "compare_counts",
    "count_in_transaction",
    "count_project",
    "count_tables",
    "read_baseline",
    "resolve_tables",
]


_SIMILAR = 0.7


def count_tables(
    options: ConnectionOptions,
    *,
    tables: Sequence[str] | None = None,
    schemas: Sequence[str] | None = None,
    workers: int = 2,
    statement_timeout_ms: int = 600_000,
    may_be_gone: Sequence[Table] = (),
    project: str | None = None,
) -> RowCounts:
    """Count the rows of tables exactly, all in one snapshot that parallel sessions share.

    :param tables: see :func:`resolve_tables`, as ``schemas`` and ``may_be_gone``.
    :param workers: sessions that count at the same time, at least 1.
    :param statement_timeout_ms: bound of each statement in milliseconds, 0 for none.
    :param project: of whom it is told how many tables are counted; the database's name by default.
    :raises CountError: when a table is missing or a count failed.
    :raises PrivilegeError: when row level security could hide rows from the role, or it may not read a table.
    :raises ConnectionFailed: when a session cannot be opened.
    """
    if workers < 1:
        raise InputError(
            "At least one worker has to count", where="option workers", next_step="Set workers to 1 or more."
        )
    settings = SessionSettings(statement_timeout_ms=statement_timeout_ms, row_security=False, read_only=True)
    started, taken_at = time.monotonic(), utc_now()
    with session(options, settings) as first:
        execute(first, "set transaction isolation level repeatable read, read only")
        require_all_rows_visible(first, "row counts")
        version = server_version(first)
        wanted = resolve_tables(first, tables, schemas, may_be_gone=may_be_gone)
        _require_readable(first, wanted)
        progress, total = Progress("count", project or options.login_db), len(wanted)
        with progress.phase("rows", tables_total=total):
            ordered = count_in_snapshot(
                options,
                settings,
                first,
                wanted,
                workers=workers,
                counted=lambda done: progress.at("rows", tables_done=done, tables_total=total),
            )
    return RowCounts(
        taken_at=taken_at,
        server_version=version,
        tables=ordered,
        total=sum(count.rows for count in ordered),
        duration_seconds=round(time.monotonic() - started, 3),
    )


def count_project(
    options: ConnectionOptions,
    *,
    tables: Sequence[str] | None = None,
    schemas: Sequence[str] | None = None,
    workers: int = 2,
    statement_timeout_ms: int = 600_000,
    baseline: Mapping[str, Any] | str | None = None,
    contract: CountContract | None = None,
    own: OwnWork | None = None,
    declarations: Sequence[RowDeclaration] = (),
    document: Path | None = None,
) -> tuple[RowCounts, CountComparison | None]:
    """The job of the module: count, write the document, and hold the counts against a baseline when there is one.

    :param baseline: a row counts document, or the path of one.
    :param own: what those who are judged did to the number of rows; see :func:`compare_counts`, as ``declarations``.
    :param document: file to write the counts to; written before they are judged, so that a failure can be looked at.
    :raises VerificationFailed: when the comparison's verdict is FAIL; both documents are in its details.
    """
    before = None if baseline is None else read_baseline(baseline)
    counts = count_tables(
        options,
        tables=tables,
        schemas=schemas,
        workers=workers,
        statement_timeout_ms=statement_timeout_ms,
        may_be_gone=[(count.schema, count.table) for count in before.tables] if before else (),
        project=document.parent.parent.name if document else None,
    )
    comparison = (
        None
        if before is None
        else compare_counts(before.tables, counts.tables, own=own, contract=contract, declarations=declarations)
    )
    if document is not None:
        write_json(document, counts.as_dict())
    if comparison is not None and comparison.verdict == "FAIL":
        raise _differ(counts, comparison, options.place)
    return counts, comparison


def _differ(counts: RowCounts, comparison: CountComparison, place: str) -> VerificationFailed:
    failed = [
        f"{change.schema}.{change.table} {change.message}" for change in comparison.tables if change.verdict == "FAIL"
    ]
    return VerificationFailed(
        f"Row counts differ from the baseline: {'; '.join(failed)}",
        where=place,
        state="nothing was changed by counting; the database is as it was found",
        next_step="Declare changes that are meant in the migration (-- pgops: rows public.notes +2) or in the contract "
        "(migrate_count_contract in the playbook); otherwise look at what wrote to these tables.",
        details={"result": {"row_counts": counts.as_dict(), "comparison": comparison.as_dict()}},
    )


def resolve_tables(
    connection: PgConnection,
    tables: Sequence[str] | None = None,
    schemas: Sequence[str] | None = None,
    *,
    may_be_gone: Sequence[Table] = (),
) -> list[Table]:
    """The tables to count, as (schema, table), in order and each once.

    :param tables: names as :func:`parse_table_name` reads them. When given and not empty, these and no others.
    :param schemas: else all tables of these schemas; by default of the user's own.
    :param may_be_gone: tables whose absence is no error, because a comparison is to tell of it.
    :raises CountError: when a table or schema does not exist, or is of a kind that is not counted.
    """
    if not tables:
        wanted_schemas = list(schemas) if schemas else user_schemas(connection)
        _require_schemas(connection, wanted_schemas)
        return user_tables(connection, wanted_schemas)
    wanted = sorted({parse_table_name(name) for name in tables})
    rows = fetch_all(
        connection,
        """
        select n.nspname, c.relname, c.relkind
        from pg_catalog.pg_class as c
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p', 'f', 'v', 'm') and n.nspname not in ('pg_catalog', 'information_schema')
        """,
    )
    kinds = {(str(schema), str(table)): str(kind) for schema, table, kind in rows}
    missing = [table for table in wanted if table not in kinds and table not in may_be_gone]
    if missing:
        raise _missing_tables(missing, [table for table, kind in kinds.items() if kind in _COUNTED_KINDS])
    for table in wanted:
        if kinds.get(table, "r") not in _COUNTED_KINDS:
            raise CountError(
                f"{'.'.join(table)} is a {_KIND_NAMES[kinds[table]]}, which holds no rows of its own to count",
                where=_WHERE_TABLES,
                next_step="Leave it out; name the tables it draws from instead.",
            )
    return [table for table in wanted if table in kinds]


_COUNTED_KINDS = ("r", "p")
_KIND_NAMES = {"f": "foreign table", "v": "view", "m": "materialized view"}
_WHERE_TABLES = "option tables (project_count_tables)"


def _missing_tables(missing: Sequence[Table], existing: Sequence[Table]) -> CountError:
    by_table: dict[str, list[str]] = {}
    for schema, table in sorted(existing):
        by_table.setdefault(table.lower(), []).append(f"{schema}.{table}")
    described, similar = [], {}
    for schema, table in missing:
        name = f"{schema}.{table}"
        same = by_table.get(table.lower())
        close = difflib.get_close_matches(table.lower(), by_table, n=3, cutoff=_SIMILAR)
        similar[name] = same or [other for match in close for other in by_table[match]]
        hint = f" (similar: {', '.join(similar[name])})" if similar[name] else ""
        described.append(f"{name}{hint}")
    plural = len(missing) > 1
    return CountError(
        f"{'These tables do' if plural else 'This table does'} not exist: {', '.join(described)}",
        where=_WHERE_TABLES,
        next_step="Correct the name; upper and lower case matter, and a name without schema is in public.",
        details={"missing": [f"{schema}.{table}" for schema, table in missing], "similar": similar},
    )


def _require_schemas(connection: PgConnection, schemas: Sequence[str]) -> None:
    existing = {name for (name,) in fetch_all(connection, "select nspname from pg_catalog.pg_namespace")}
    missing = sorted(set(schemas) - existing)
    if missing:
        raise CountError(
            f"{'These schemas do' if len(missing) > 1 else 'This schema does'} not exist: {', '.join(missing)}",
            where="option schemas (project_schemas)",
            next_step=f"Correct the name. The user's own schemas there: {', '.join(user_schemas(connection)) or 'none'}",
            details={"missing": missing},
        )


def _require_readable(connection: PgConnection, tables: Sequence[Table]) -> None:
    """Refuse before counting for minutes what fails at the last table.

    :raises PrivilegeError: naming every table that the role may not SELECT.
    """
    rows = fetch_all(
        connection,
        """
        select current_user, n.nspname, c.relname
        from unnest(%s::text[], %s::text[]) as wanted(nspname, relname)
        join pg_catalog.pg_namespace as n on n.nspname = wanted.nspname
        join pg_catalog.pg_class as c on c.relnamespace = n.oid and c.relname = wanted.relname
        where not (pg_catalog.has_schema_privilege(n.oid, 'USAGE') and pg_catalog.has_table_privilege(c.oid, 'SELECT'))
        order by 2, 3
        """,
        [[schema for schema, _table in tables], [table for _schema, table in tables]],
    )
    if rows:
        role = rows[0][0]
        names = ", ".join(f"{schema}.{table}" for _role, schema, table in rows)
        raise PrivilegeError(
            f"Role {role} may not read {names}",
            where=f"role {role}",
            next_step=(
                "Connect as postgres, or grant it usage on the schema and select on "
                f"the table{'s' if len(rows) > 1 else ''}, or leave them out of tables (project_count_tables)."
            ),
            details={"tables": [f"{schema}.{table}" for _role, schema, table in rows]},
        )
