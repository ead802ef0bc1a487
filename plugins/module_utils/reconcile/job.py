# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two projects and git compared, with what to do about it. Reads only; what it writes are documents."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import new_id, utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_atomically, write_json
from ansible_collections.pgops.supabase.plugins.module_utils.base.progress import Progress
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import fingerprint
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.selection import without_ignored
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.snapshot import keep
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import MigrationFile, discover
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.differences import (
    Differences,
    by_severity,
    rows_of_tables,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.documents import (
    RISKS,
    HistoryFinding,
    ProjectLook,
    Reconciliation,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.findings import Findings
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.history import migrations, pairs
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.page import page
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.reading import ProjectState, read_project
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.sections import RISK_WORDS, headline, where
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.strategies import strategies
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.timeline import divergence, entries
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.written import markdown

_TOLD = 8
DOCUMENT_FILE, REPORT_FILE, PAGE_FILE = "reconcile.json", "reconcile.md", "reconcile.html"
NOT_COMPARED = [
    "rows themselves: tables are counted, their contents are not read",
    "casts, operator classes, text search objects, foreign servers, languages",
    "roles, and settings of roles and databases",
    "Storage's buckets and files, Auth's settings, Edge Functions, secrets of the vault, queues",
    "the platform's own schemas, but for policies and triggers of yours on their tables",
]


@dataclass(frozen=True)
class Named:
    """A project by its name in the inventory, and how to reach it."""

    name: str
    options: ConnectionOptions


@dataclass(frozen=True)
class ReconcileOptions:
    """What is compared, and where the documents go.

    :param settings: of sessions that may not write.
    :param schemas: the schemas to compare; by default the user's own.
    :param ignore: patterns of what may differ, by the keys of the catalog, C(cron job NAME) and C(migration VERSION_NAME).
    :param equal_rows: tables that have to have equally many rows on both sides.
    :param directory: in which a new one is made for the documents; None writes nothing.
    """

    supabase_dir: Path
    settings: SessionSettings
    schemas: Sequence[str] | None = None
    ignore: Sequence[str] = ()
    equal_rows: Sequence[str] = ()
    count_rows: bool = True
    directory: Path | None = None


def reconcile(source: Named, target: Named, options: ReconcileOptions) -> tuple[Reconciliation, Path | None]:
    """Compare two projects and git's files, and write C(reconcile.json), C(reconcile.md), C(reconcile.html) and both catalogs.

    :returns: the comparison, and the directory that was made for it.
    :raises InputError: when both are one project, or the directory cannot be written.
    :raises MigrationFileError: when the migrations directory is not usable.
    :raises ConnectionFailed: when a project cannot be reached.
    :raises BusyError: when a lock on an object held up the reading for too long.
    """
    if source.name == target.name:
        raise InputError(
            f"{source.name} would be compared with itself",
            where="source_name",
            next_step="Name another project: -e reconcile_source=<its name in the inventory>.",
        )
    began, files = time.monotonic(), discover(options.supabase_dir)
    progress = Progress("reconcile", target.name)
    states = []
    for project in (source, target):
        with progress.phase("read"):
            states.append(
                read_project(
                    project.name,
                    project.options,
                    options.settings,
                    schemas=options.schemas,
                    count_rows=options.count_rows,
                )
            )
    found = compare(files, states[0], states[1], ignore=options.ignore, equal_rows=options.equal_rows)
    found.duration_seconds = round(time.monotonic() - began, 3)
    return found, _write(found, states, options.directory) if options.directory else None


def compare(
    files: Sequence[MigrationFile],
    source: ProjectState,
    target: ProjectState,
    *,
    ignore: Sequence[str] = (),
    equal_rows: Sequence[str] = (),
) -> Reconciliation:
    """The comparison of two projects that were read with the files; pure but for the files' texts."""
    known = migrations(files, {"source": source, "target": target})
    paired = pairs(known)
    history = [
        finding
        for finding in Findings(known, paired, {"source": source, "target": target}).all()
        if not _is_ignored(f"migration {finding.version}_{finding.name}", ignore)
    ]
    old, new = without_ignored(target.catalog, ignore), without_ignored(source.catalog, ignore)
    look = Differences(
        new.catalog,
        old.catalog,
        names=(source.name, target.name),
        rows=(source.rows, target.rows),
        migrations=[m for m in known.values() if len(m.rows) == 1 or any(f.version == m.version for f in history)],
    )
    of_cron_jobs = look.of_cron_jobs(*_cron_jobs(source, target, ignore))
    differences = by_severity([*look.of_schema(), *of_cron_jobs, *look.of_rows(equal_rows)])
    ways = strategies(history, differences, source=source.name, target=target.name)
    return Reconciliation(
        reconciliation_id=new_id(),
        taken_at=utc_now(),
        duration_seconds=0.0,
        source=_look(source),
        target=_look(target),
        equal=not history and not differences,
        by_risk=_by_risk([*(f.risk for f in history), *(d.risk for d in differences)]),
        timeline=entries(known, paired, history),
        divergence=divergence(known),
        history=history,
        differences=differences,
        rows=rows_of_tables(source.rows, target.rows),
        strategies=ways,
        next_command=next((step.split("   #")[0] for way in ways for step in way.steps), None),
        ignored=old.left_out + new.left_out,
        notes=_notes(source, target),
        not_compared=[*NOT_COMPARED, *([] if source.rows is not None else ["rows: nobody counted them"])],
    )


def _cron_jobs(source: ProjectState, target: ProjectState, ignore: Sequence[str]) -> list[dict[str, Any]]:
    """The jobs to compare; none where one of the two does not show its own."""
    if source.cron_jobs is None or target.cron_jobs is None:
        return [{}, {}]
    return [
        {name: job for name, job in jobs.items() if not _is_ignored(f"cron job {name}", ignore)}
        for jobs in (source.cron_jobs, target.cron_jobs)
    ]


def in_short(found: Reconciliation, directory: Path | None) -> dict[str, Any]:
    """What the next tasks decide by, and a person is shown at once; the documents hold the rest.

    :param directory: where the documents are; None where none were written.
    """
    report = directory and next(
        (file for name in (PAGE_FILE, REPORT_FILE) if (file := directory / name).is_file()), None
    )
    return {
        "headline": headline(found),
        "equal": found.equal,
        "by_risk": found.by_risk,
        "history": len(found.history),
        "differences": len(found.differences),
        "first": first_of(found),
        "since": found.divergence[0].since if found.divergence else None,
        "next_command": found.next_command,
        "path": str(directory) if directory else None,
        "report": str(report) if report else None,
        "document": str(directory / DOCUMENT_FILE) if directory else None,
        "catalogs": {look.name: look.catalog for look in (found.source, found.target)},
    }


def first_of(found: Reconciliation) -> list[str]:
    """The first findings in a line each, the worst first; for a person at a terminal."""
    history = [(f.risk, f"{_word(f)}: {f.evidence}") for f in found.history]
    schema = [(d.risk, f"{d.object_type} {d.object_name} {where(d, found)}: {d.reason}") for d in found.differences]
    worst_first = sorted(history + schema, key=lambda item: RISKS.index(item[0]))
    return [f"{RISK_WORDS[risk].lower()}: {text}" for risk, text in worst_first[:_TOLD]]


def _word(finding: HistoryFinding) -> str:
    return f"{finding.finding.replace('_', ' ')} {finding.version}"


def _is_ignored(key: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _by_risk(risks: Sequence[str]) -> dict[str, int]:
    counted = Counter(risks)
    return {risk: counted.get(risk, 0) for risk in RISKS}


def _look(state: ProjectState) -> ProjectLook:
    return ProjectLook(
        name=state.name,
        place=state.options.place,
        server_version=state.version,
        taken_at=state.taken_at,
        schemas=state.schemas,
        fingerprint=fingerprint(state.catalog),
        objects=len(state.catalog),
        migrations=len(state.history),
        rows=None if state.rows is None else sum(state.rows.values()),
        notes=state.notes,
    )


def _notes(source: ProjectState, target: ProjectState) -> list[str]:
    versions = [state.version for state in (source, target)]
    if len({version.split(".", 1)[0] for version in versions}) == 1:
        return []
    return [
        f"The servers are of different major versions, {' and '.join(versions)}: PostgreSQL writes some definitions differently, "
        "so a difference may be one of wording only."
    ]


def _write(found: Reconciliation, states: Sequence[ProjectState], place: Path) -> Path:
    directory = place / found.reconciliation_id
    try:
        for state, look in zip(states, (found.source, found.target)):
            file = directory / f"catalog-{state.name}.json"
            keep(state.catalog, file)
            look.catalog = str(file)
        write_json(directory / DOCUMENT_FILE, found.as_dict())
        write_atomically(directory / REPORT_FILE, markdown(found).encode())
        # Jinja2 is not where the module runs, on a bastion for example; the text has all of it.
        with suppress(ImportError):
            write_atomically(directory / PAGE_FILE, page(found).encode())
    except OSError as error:
        raise InputError(
            f"The documents cannot be written: {error.strerror}",
            where=str(directory),
            next_step="Check project_state_dir in the inventory and the disk.",
        ) from error
    return directory
