# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a database is: one report of what its catalogs and statistics say, which changes nothing and fails for nothing that it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import given_document
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import user_schemas
from ansible_collections.pgops.supabase.plugins.module_utils.health import queries
from ansible_collections.pgops.supabase.plugins.module_utils.health.documents import HealthReport, IndexHealth
from ansible_collections.pgops.supabase.plugins.module_utils.health.metrics import ask_metrics, read_metrics
from ansible_collections.pgops.supabase.plugins.module_utils.health.sampling import Seen, look_around, take_sample
from ansible_collections.pgops.supabase.plugins.module_utils.health.statements import (
    TOP,
    Spent,
    slower_than,
    statements,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    fetch_all,
    session,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

DOCUMENT_NAME = "health.json"
# What takes longer is itself a burden.
SETTINGS = SessionSettings(lock_timeout_ms=1_000, statement_timeout_ms=30_000, read_only=True)
_NO_STATEMENTS = (
    "pg_stat_statements is installed but does not answer: it is not loaded, or its extension is older than its library"
)
_ALWAYS_UNSEEN = (
    "errors of statements: PostgreSQL counts rolled-back transactions, and writes what went wrong to its log alone",
    "bloat is an estimate from pg_stats, and sizes of the database are as of the last VACUUM or ANALYZE",
)


def health(
    options: ConnectionOptions,
    *,
    metrics: Sequence[Mapping[str, Any]] = (),
    schemas: Sequence[str] | None = None,
    baseline: Mapping[str, Any] | str | None = None,
    run_dir: Path | None = None,
) -> HealthReport:
    """Look at all that a database tells of itself.

    :param metrics: queries of the user's own, as the inventory has them.
    :param schemas: whose indexes are looked at; None: all but the platform's.
    :param baseline: an earlier report, as data or by its path, that statements are held against.
    :param run_dir: where the report is written as C(health.json).
    :raises InputError: when a metric or the baseline cannot be used.
    :raises ConnectionFailed: when there is no session.
    """
    asked = read_metrics(metrics)
    before = spent_in(_report_of(baseline)) if baseline is not None else None
    with session(options, SETTINGS) as connection:
        seen = look_around(connection)
        sample = take_sample(connection, seen)
        found = statements(connection, seen)
        own = list(schemas) if schemas is not None else user_schemas(connection)
        report = HealthReport(
            database=seen.database,
            server_version=seen.server_version,
            role=seen.role,
            in_recovery=seen.in_recovery,
            sample=sample,
            statements=None if found is None else found[:TOP],
            # Where nothing is counted, every index would be one.
            unused_indexes=_unused(connection, own) if seen.counts else [],
            duplicate_indexes=_duplicates(connection, own),
            not_seen=_not_seen(seen, counted=found is not None),
        )
        connection.rollback()
        if before is not None:
            report.slower_statements = slower_than(found or [], before)
        sample.metrics = ask_metrics(connection, asked)
    if run_dir:
        write_json(run_dir / DOCUMENT_NAME, report.as_dict())
    return report


def spent_in(report: HealthReport) -> dict[str, Spent]:
    """What the statements of a report had taken by then."""
    return {one.queryid: Spent(one.calls, one.total_seconds) for one in report.statements or []}


def _report_of(baseline: Mapping[str, Any] | str) -> HealthReport:
    return given_document(
        HealthReport,
        baseline,
        option="baseline",
        refusal="This is not the report of a database's health",
        next_step="Give the path of a health.json, or leave baseline out.",
    )


def _not_seen(seen: Seen, *, counted: bool) -> list[str]:
    missing = [_NO_STATEMENTS] if seen.statements_schema is not None and not counted else []
    return [*seen.not_seen, *missing, *_ALWAYS_UNSEEN]


def _unused(connection: PgConnection, schemas: Sequence[str]) -> list[IndexHealth]:
    return [
        IndexHealth(name=name, table=table, bytes=size, scans=scans)
        for name, table, size, scans in fetch_all(connection, queries.UNUSED_INDEXES, [list(schemas)])
    ]


def _duplicates(connection: PgConnection, schemas: Sequence[str]) -> list[IndexHealth]:
    return [
        IndexHealth(name=names[-1], table=table, bytes=size, same_as=names[:-1], scans=scans)
        for names, table, size, scans in fetch_all(connection, queries.DUPLICATE_INDEXES, [list(schemas)])
    ]
