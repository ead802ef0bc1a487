# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The follow-up of one run, some time later: what is left to do, and what the database says. It changes nothing in the database."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict, utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import (
    make_private_directory,
    read_json,
    write_atomically,
    write_json,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import user_schemas
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    fetch_all,
    fetch_value,
    server_version,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import taken_back
from ansible_collections.pgops.supabase.plugins.module_utils.report.page import sections_page
from ansible_collections.pgops.supabase.plugins.module_utils.review import queries
from ansible_collections.pgops.supabase.plugins.module_utils.review.documents import (
    Confirmation,
    Confirmations,
    MadeIndex,
    Period,
    PolicyFinding,
    Review,
    TableGrowth,
)
from ansible_collections.pgops.supabase.plugins.module_utils.review.policies import PolicyFacts, policy_findings
from ansible_collections.pgops.supabase.plugins.module_utils.review.sections import headline, markdown, sections
from ansible_collections.pgops.supabase.plugins.module_utils.review.tasks import Evidence, require_known, tasks_of
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord
from ansible_collections.pgops.supabase.plugins.module_utils.runs.records import load_documents, load_run
from ansible_collections.pgops.supabase.plugins.module_utils.schedule.job import read_jobs

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

FOLDER = "review"
DOCUMENT_FILE, REPORT_FILE, PAGE_FILE, DONE_FILE = "review.json", "review.md", "review.html", "done.json"
_DAYS = {"day1": 7, "week1": 30}
_SETTINGS = SessionSettings(read_only=True, lock_timeout_ms=5_000, statement_timeout_ms=60_000)
_ALWAYS_UNSEEN = (
    "PostgreSQL counts no use of a policy: of policies their text, their rights and the scans of their tables are held together",
    "scans on a replica are counted there; scans by validation scripts, which every run and every review executes, are counted here",
    "how old rows are, and what they are worth",
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a review is asked for.

    :param period: None takes the one that the age of the run says.
    :param done: names of tasks that the operator says are done.
    :param health: what the module health_info returned, None where it was not asked or failed.
    :param validation: what the module validation returned, None where there is no script or it could not be run.
    """

    run_dir: Path
    operator: str
    period: Period | None = None
    done: Sequence[str] = ()
    health: Mapping[str, Any] | None = None
    validation: Mapping[str, Any] | None = None
    schemas: Sequence[str] | None = None
    pretend: bool = False
    unseen: Sequence[str] = field(default_factory=list)


def review(options: ConnectionOptions, asked: Asked) -> tuple[bool, Review, Path]:
    """Review a run, and write review.json, review.md and review.html to C(review/<period>) in its directory.

    :returns: whether somebody's word was recorded anew, the review, and its directory.
    :raises InputError: when the directory is no run's, nothing was migrated in it, or a task is confirmed that there is not.
    """
    require_known(asked.done)
    run = load_run(asked.run_dir)
    if run.finished_at is None or run.verdict not in ("migrated", "adopted"):
        raise InputError(
            f"Run {run.run_id} has migrated nothing that could be reviewed: {run.verdict}",
            where=str(asked.run_dir),
            next_step="Name a run that did: -e review_run=..., from the playbook status or the index of the runs.",
        )
    documents = load_documents(asked.run_dir)
    period = asked.period or period_of(run.finished_at, utc_now())
    confirmed, is_new = _confirmed(asked)
    found = _look(options, asked, run, documents, period)
    found.tasks = tasks_of(_evidence(asked, documents, found), period, confirmed)
    directory = asked.run_dir / FOLDER / period
    if not asked.pretend:
        _write(directory, found, confirmed)
    return is_new, found, directory


def period_of(finished_at: str, now: str) -> Period:
    """Which review is due: of day 1 in the first week, of week 1 in the first month, later that of month 1."""
    days = (datetime.fromisoformat(now) - datetime.fromisoformat(finished_at)).days
    return "day1" if days < _DAYS["day1"] else "week1" if days < _DAYS["week1"] else "month1"


def _confirmed(asked: Asked) -> tuple[list[Confirmation], bool]:
    """What people have said so far, of each task the first word; and whether this review adds one."""
    file = asked.run_dir / FOLDER / DONE_FILE
    try:
        earlier = from_dict(Confirmations, read_json(file)).confirmed if file.is_file() else []
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"What was confirmed earlier cannot be read: {error}",
            where=str(file),
            next_step="Move the file away, and confirm the tasks again.",
        ) from error
    known = {one.task for one in earlier}
    new = [Confirmation(task=name, operator=asked.operator, at=utc_now()) for name in dict.fromkeys(asked.done)]
    new = [one for one in new if one.task not in known]
    return [*earlier, *new], bool(new)


def _look(
    options: ConnectionOptions, asked: Asked, run: RunRecord, documents: Mapping[str, Any], period: Period
) -> Review:
    health = asked.health or {}
    with session(options, _SETTINGS) as connection:
        schemas = list(asked.schemas or user_schemas(connection))
        found = Review(
            project=run.project,
            run_id=run.run_id,
            run_finished_at=run.finished_at or "",
            period=period,
            reviewed_at=utc_now(),
            operator=asked.operator,
            database=f"{options.login_db} on PostgreSQL {server_version(connection)}",
            statistics_since=fetch_value(connection, queries.RESET),
            tasks=[],
            indexes=[],
            policies=[],
            policies_total=0,
            growth=[],
            metrics=(health.get("sample") or {}).get("metrics") if health else None,
            unused_indexes=health.get("unused_indexes"),
            duplicate_indexes=health.get("duplicate_indexes"),
            not_seen=[*_ALWAYS_UNSEEN, *asked.unseen, *health.get("not_seen", [])],
        )
        _each(connection, found, "indexes", lambda: _made_indexes(connection, documents))
        _each(connection, found, "policies", lambda: _policies(connection, schemas, found))
        _each(connection, found, "growth", lambda: _growth(connection, schemas, documents))
        _each(connection, found, "jobs", lambda: _jobs(connection, found))
    if asked.health is None:
        found.not_seen.append(
            "metrics, unused indexes and duplicate ones: the module health_info was not asked, or failed"
        )
    return found


def _each(connection: PgConnection, found: Review, what: str, look: Any) -> None:
    """One part of it; what the server refuses is told as not seen, and is no reason to tell nothing."""
    import psycopg2

    try:
        with taken_back(connection, "pgops_review"):
            setattr(found, what, look())
    except psycopg2.Error as error:
        if connection.closed:
            raise
        found.not_seen.append(f"{what}: the server refused [{error.pgcode}]")


def _jobs(connection: PgConnection, found: Review) -> list[dict[str, Any]]:
    scheduled = read_jobs(connection)
    found.not_seen += scheduled.notes
    return [dataclasses.asdict(job) for job in scheduled.jobs]


def _made_indexes(connection: PgConnection, documents: Mapping[str, Any]) -> list[MadeIndex]:
    changes = documents.get("migration", {}).get("catalog_changes") or []
    made = [c["object_name"] for c in changes if c["object_type"] == "index" and c["change"] == "created"]
    there = {row[0]: row for row in fetch_all(connection, queries.MADE_INDEXES, [made])}
    indexes = []
    for name in made:
        _name, table, size, scans, keeps, table_scans = there.get(name, (name, "", None, None, False, None))
        indexes.append(
            MadeIndex(name=name, table=table, bytes=size, scans=scans, keeps_constraint=keeps, table_scans=table_scans)
        )
    return indexes


def _policies(connection: PgConnection, schemas: Sequence[str], found: Review) -> list[PolicyFinding]:
    facts = [
        PolicyFacts(
            table=table,
            policy=policy,
            command=command,
            permissive=permissive,
            enabled=enabled,
            using=using,
            check=check,
            roles=roles,
            reachable=reachable,
            touched=int(touched),
        )
        for table, policy, command, permissive, enabled, using, check, roles, reachable, touched in fetch_all(
            connection, queries.POLICIES, [schemas]
        )
    ]
    found.policies_total = len(facts)
    without = [
        PolicyFinding(
            table=table,
            policy="",
            says="row level security is on and there is no policy: only roles that bypass it see rows",
        )
        for (table,) in fetch_all(connection, queries.WITHOUT_POLICY, [schemas])
    ]
    return [*policy_findings(facts), *without]


def _growth(connection: PgConnection, schemas: Sequence[str], documents: Mapping[str, Any]) -> list[TableGrowth]:
    then = {(t["schema"], t["table"]): t["rows"] for t in documents.get("counts_after", {}).get("tables", [])}
    return [
        TableGrowth(name=f"{schema}.{table}", bytes=size, rows_now_estimate=rows, rows_then=then.get((schema, table)))
        for schema, table, size, rows in fetch_all(connection, queries.LARGEST_TABLES, [schemas])
    ]


def _evidence(asked: Asked, documents: Mapping[str, Any], found: Review) -> Evidence:
    return Evidence(
        documents=documents,
        notification=_document(asked.run_dir / "notification.json"),
        monitor=_document(asked.run_dir / "monitor.json"),
        validation=asked.validation,
        metrics=found.metrics,
        jobs=found.jobs,
        unused_indexes=None if found.unused_indexes is None else len(found.unused_indexes),
        unread_made_indexes=sum(index.scans == 0 and not index.keeps_constraint for index in found.indexes),
        policy_findings=len(found.policies),
    )


def _document(file: Path) -> Mapping[str, Any]:
    try:
        found = read_json(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(directory: Path, found: Review, confirmed: list[Confirmation]) -> None:
    make_private_directory(directory.parent)
    make_private_directory(directory)
    if confirmed:
        write_json(directory.parent / DONE_FILE, Confirmations(confirmed=confirmed).as_dict())
    write_json(directory / DOCUMENT_FILE, found.as_dict())
    write_atomically(directory / REPORT_FILE, markdown(found).encode())
    try:
        page = sections_page(
            sections(found),
            title=headline(found).split(": ", 1)[1].split(": ")[0].replace("REVIEW", "Review"),
            eyebrow=f"{found.project} · run {found.run_id}",
            how=headline(found).rsplit(": ", 1)[1],
            foot=f"Made by pgops.supabase. The same facts are in {REPORT_FILE}.",
            tone="warn" if found.left else "good",
        )
    except ImportError:
        # Jinja2 is not where the module runs, on a bastion for example; the text has all of it.
        return
    write_atomically(directory / PAGE_FILE, page.encode())
