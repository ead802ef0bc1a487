# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.html: one file that loads nothing, made by Jinja2 from the same sections as report.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.report import page_template
from ansible_collections.pgops.supabase.plugins.module_utils.report.headline import ending, headline
from ansible_collections.pgops.supabase.plugins.module_utils.report.plots import latency_plot
from ansible_collections.pgops.supabase.plugins.module_utils.report.section import Documents, Section
from ansible_collections.pgops.supabase.plugins.module_utils.report.sections import written_sections
from ansible_collections.pgops.supabase.plugins.module_utils.report.style import STYLE
from ansible_collections.pgops.supabase.plugins.module_utils.report.timeline import moment, timeline
from ansible_collections.pgops.supabase.plugins.module_utils.report.written import NOT_SIGNED
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord, RunVerdict

_TONES: dict[RunVerdict, str] = {
    "migrated": "good",
    "adopted": "good",
    "restored": "good",
    "backed_up": "good",
    "dry_run": "good",
    "rolled_back": "warn",
    "nothing_to_do": "warn",
    "running": "warn",
    "not_applied": "bad",
    "needs_attention": "bad",
}
_CELL_TONES = {
    "PASS": "good",
    "FAIL": "bad",
    "WARNING": "warn",
    "WAIVED": "warn",
    "SKIP": "plain",
    "equal": "good",
    "differs": "bad",
    "new": "plain",
}


@dataclass(frozen=True)
class Tile:
    """One figure at the head of the page."""

    name: str
    value: str
    more: str = ""


def page(run: RunRecord, documents: Documents, directory: Path | None = None) -> str:
    """The report as one HTML file.

    :param directory: where the documents lie, for the foot of the page.
    :raises ImportError: when Jinja2 is not installed.
    """
    sections = list(written_sections(run, documents))
    # What went wrong is read before anything else.
    sections.sort(key=lambda section: section.title != "Failure")
    word, _colon, how = ending(run, documents).partition(": ")
    try:
        plot, plot_missing = latency_plot(documents), ""
    except ImportError:
        plot, plot_missing = (
            "",
            "The plot needs the Python package pygal, which is not installed where this report was made.",
        )
    from markupsafe import Markup

    text: str = (
        environment()
        .get_template("report")
        .render(
            run=run,
            directory=directory,
            headline=headline(run, documents),
            word=word,
            how=how[:1].upper() + how[1:],
            tone=tone_of_run(run),
            tiles=list(_tiles(run, documents)),
            named=_named(sections),
            timeline=timeline(run, documents),
            plot=Markup(plot),
            plot_missing=plot_missing,
        )
    )
    return text


def sections_page(
    sections: Iterable[Section], *, title: str, eyebrow: str, how: str, foot: str, tone: Literal["good", "warn", "bad"]
) -> str:
    """Sections of anything else than a run as one HTML file of the same form.

    :raises ImportError: when Jinja2 is not installed.
    """
    named = _named(list(sections))
    template = environment().get_template("sections")
    text: str = template.render(title=title, eyebrow=eyebrow, how=how, foot=foot, tone=tone, named=named)
    return text


def tone_of_run(run: RunRecord) -> str:
    """Whether a verdict is good news, a warning or bad news: the page's colour. The word itself is always there too."""
    return "bad" if run.verdict == "dry_run" and run.failure else _TONES[run.verdict]


def environment() -> Any:
    """Jinja2 with the page's templates. Every value is escaped; names come from databases, where anything may be a name."""
    from jinja2 import DictLoader, Environment, StrictUndefined
    from markupsafe import Markup

    templates = {
        "layout": page_template.LAYOUT,
        "parts": page_template.PARTS,
        "report": page_template.REPORT,
        "sections": page_template.SECTIONS,
        "timeline": page_template.TIMELINE,
        "plot": page_template.PLOT,
        "runs": page_template.RUNS,
        "projects": page_template.PROJECTS,
    }
    made = Environment(
        loader=DictLoader(templates), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals.update(style=Markup(STYLE), not_signed=NOT_SIGNED)
    made.tests.update(
        command=lambda text: text.startswith("ansible-playbook "),
        verdict=lambda text: text.split(" ")[0] in _CELL_TONES and len(text) < 30,
    )
    made.filters["tone_of"] = lambda text: _CELL_TONES[text.split(" ")[0]]
    return made


def _named(sections: list[Section]) -> list[tuple[str, Section]]:
    """Each section with a name of its own for links: two files of a dry run may have one title."""
    return [
        (f"s{number}-{re.sub('[^a-z0-9]+', '-', section.title.lower()).strip('-')[:40]}", section)
        for number, section in enumerate(sections, 1)
    ]


def _tiles(run: RunRecord, documents: Documents) -> Iterator[Tile]:
    began = moment(run.started_at)
    if began is not None:
        yield Tile("Started", f"{began:%H:%M:%S}", f"{began.tzname()}, {began.day} {began:%B %Y}")
    if run.duration_seconds is not None:
        work = next(
            (documents[name] for name in ("migration", "rollback", "restore", "adoption") if name in documents), {}
        )
        spent = work.get("duration_seconds")
        yield Tile(
            "Took",
            f"{run.duration_seconds:.1f} s",
            "" if spent is None else f"{spent:.2f} s of it on the change itself",
        )
    yield Tile("By", run.operator)
    preflight = documents.get("preflight", {})
    if preflight.get("database"):
        yield Tile("Database", preflight["database"], f"PostgreSQL {preflight.get('server_version', 'not known')}")
    if migrations := documents.get("migration", {}).get("migrations"):
        yield Tile(
            "Migrations",
            str(len(migrations)),
            number(sum(item.get("statements", 0) for item in migrations), "statement"),
        )
    before, after = (documents.get(f"counts_{stage}", {}).get("total") for stage in ("before", "after"))
    if after is not None:
        yield Tile("Rows", f"{after:,}", "" if before is None else f"{before:,} before")
    checked = documents.get("validation_after") or documents.get("migration", {}).get("validation") or {}
    if checked:
        more = f"{checked['failed']} failed, {number(checked['warnings'], 'warning')}"
        yield Tile("Checks", f"{checked['passed']} passed", more)
