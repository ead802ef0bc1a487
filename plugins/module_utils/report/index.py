# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""index.html: the runs of a project with links to their reports, and the projects of a state directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_atomically
from ansible_collections.pgops.supabase.plugins.module_utils.report.page import environment, tone_of_run
from ansible_collections.pgops.supabase.plugins.module_utils.report.timeline import moment
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunEntry, RunRecord
from ansible_collections.pgops.supabase.plugins.module_utils.runs.records import (
    PAGE_FILE,
    REPORT_FILE,
    list_runs,
    load_documents,
)

INDEX_FILE = "index.html"
# Which document names the migrations of a run, the one that was done last first.
_DONE = ("rollback", "migration", "adoption")


@dataclass(frozen=True)
class IndexedRun:
    """One run as the index shows it; ``link`` is empty where it left no report."""

    run: RunRecord
    link: str
    tone: str
    began: str
    took: str
    migrations: list[str]


@dataclass(frozen=True)
class IndexedProject:
    """One project as the index of all shows it."""

    project: str
    link: str
    last: IndexedRun
    runs: int


def write_indexes(state_dir: Path, project: str, *, dry_run: bool = False) -> list[Path]:
    """Write the index of each project's runs, and of all projects; the files that were not so before.

    Hosts that do it at the same time write the same.

    :param project: gets an index also where it has no run yet.
    :raises InputError: when a directory cannot be written.
    """
    pages: dict[Path, str] = {}
    projects = []
    there = [path.name for path in state_dir.iterdir() if path.is_dir()] if state_dir.is_dir() else []
    for name in sorted({project, *there}):
        found, unreadable = list_runs(state_dir / name)
        entries = [indexed(entry) for entry in found]
        if entries:
            projects.append(IndexedProject(name, f"{quote(name)}/{INDEX_FILE}", entries[0], len(entries)))
        if entries or name == project:
            pages[state_dir / name / INDEX_FILE] = runs_page(name, entries, unreadable)
    pages[state_dir / INDEX_FILE] = projects_page(projects)
    changed = [file for file, text in pages.items() if not file.is_file() or file.read_bytes() != text.encode()]
    for file in [] if dry_run else changed:
        _write(file, pages[file])
    return changed


def _write(file: Path, text: str) -> None:
    try:
        write_atomically(file, text.encode())
    except OSError as error:
        raise InputError(
            f"The index of the runs cannot be written: {error.strerror}",
            where=str(file),
            next_step="Check project_state_dir in the inventory and the disk.",
        ) from error


def runs_page(project: str, entries: list[IndexedRun], unreadable: list[str]) -> str:
    """The index of a project's runs as HTML.

    :raises ImportError: when Jinja2 is not installed.
    """
    tone = entries[0].tone if entries else ""
    text: str = (
        environment().get_template("runs").render(project=project, entries=entries, unreadable=unreadable, tone=tone)
    )
    return text


def projects_page(entries: list[IndexedProject]) -> str:
    """The index of all projects as HTML; its colour is that of the worst last run.

    :raises ImportError: when Jinja2 is not installed.
    """
    tones = {entry.last.tone for entry in entries}
    worst = next((tone for tone in ("bad", "warn", "good") if tone in tones), "")
    text: str = environment().get_template("projects").render(entries=entries, tone=worst)
    return text


def indexed(entry: RunEntry) -> IndexedRun:
    """What the index says of a run. Its documents may be of an earlier release, or damaged: then it names no migrations."""
    directory, run = Path(entry.path), entry.run
    report = next((name for name in (PAGE_FILE, REPORT_FILE) if (directory / name).is_file()), None)
    began = moment(run.started_at)
    return IndexedRun(
        run=run,
        link=f"{quote(directory.name)}/{report}" if report else "",
        tone=tone_of_run(run),
        began=f"{began:%Y-%m-%d %H:%M:%S}" if began else run.started_at,
        took="" if run.duration_seconds is None else f"{run.duration_seconds:.1f} s",
        migrations=_migrations(directory),
    )


def _migrations(directory: Path) -> list[str]:
    try:
        documents = load_documents(directory)
    except InputError:
        return []
    done = next((documents[name].get("migrations") for name in _DONE if documents.get(name)), None) or []
    return [f"{item.get('version', '')}_{item.get('name', '')}" for item in done]
