# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When each phase of a run began and how long it took, for the picture. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.report.section import Documents
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord

# What a document's phase is called, and the kind that gives its bar a colour.
_PHASES = {
    "preflight": ("Gates", "check"),
    "manifest": ("Backup", "keep"),
    "probes_before": ("Probes before", "check"),
    "counts_before": ("Counts before", "check"),
    "validation_before": ("Validation before", "check"),
    "migration": ("Apply, check, commit", "change"),
    "adoption": ("Adoption", "change"),
    "restore": ("Restore", "change"),
    "counts_after": ("Counts after", "check"),
    "validation_after": ("Validation after", "check"),
    "probes_after": ("Probes after", "check"),
    "rollback": ("Rollback", "back"),
}
_BEGINNINGS = ("started_at", "taken_at", "checked_at")


@dataclass(frozen=True)
class Bar:
    """One phase: seconds from the left edge, its length in seconds, and both as percentages of the whole."""

    label: str
    kind: str
    begin: float
    seconds: float
    left: float
    width: float


@dataclass(frozen=True)
class Timeline:
    """The phases in their order; ``began`` is the left edge, ``seconds`` the length of the whole."""

    began: datetime
    seconds: float
    bars: list[Bar]


def timeline(run: RunRecord, documents: Documents) -> Timeline | None:
    """The picture's data; None where no phase says when it was (a run of an earlier release, or one that did nothing)."""
    spans = sorted(_spans(run, documents), key=lambda span: span[2])
    if not spans:
        return None
    began = min(span[2] for span in spans)
    opened = moment(run.started_at)
    if opened is not None:
        began = min(began, opened)
    end = max((begin - began).total_seconds() + seconds for _label, _kind, begin, seconds in spans)
    if (finished := moment(run.finished_at)) is not None:
        end = max(end, (finished - began).total_seconds())
    end = end or 1.0
    bars = []
    for label, kind, begin, seconds in spans:
        offset = (begin - began).total_seconds()
        left, width = round(100 * offset / end, 2), round(100 * seconds / end, 2)
        bars.append(Bar(label, kind, offset, seconds, left, width))
    return Timeline(began, end, bars)


def _spans(run: RunRecord, documents: Documents) -> Iterator[tuple[str, str, datetime, float]]:
    for name, (label, kind) in _PHASES.items():
        document = documents.get(name) or {}
        begin = next((found for key in _BEGINNINGS if (found := moment(document.get(key)))), None)
        if begin is not None and document.get("duration_seconds") is not None:
            # A run may use a backup that was made before it.
            if name != "manifest" or document.get("run_id") in (None, run.run_id):
                yield label, kind, begin, float(document["duration_seconds"])
    yield from _without_writes(documents.get("maintenance") or {})


def _without_writes(maintenance: Mapping[str, Any]) -> Iterator[tuple[str, str, datetime, float]]:
    since = moment(maintenance.get("since"))
    if since is not None and maintenance.get("seconds") is not None:
        yield "Application's writes off", "off", since, float(maintenance["seconds"])


def moment(text: Any) -> datetime | None:
    """A time of a document; None where it has none that can be read, or none with a zone."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo is not None else None
