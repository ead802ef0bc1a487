# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three timelines side by side, and where the two projects' part. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Literal

from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import is_anothers
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.documents import (
    DivergencePoint,
    HistoryFinding,
    Side,
    TimelineEntry,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.history import Migration, Pair


def entries(
    found: Mapping[str, Migration], paired: Sequence[Pair], findings: Sequence[HistoryFinding]
) -> list[TimelineEntry]:
    """A line for each version, in order."""
    same = {pair.other.version: pair.kept.version for pair in paired}
    said: dict[str, list[str]] = {}
    for finding in findings:
        words = said.setdefault(finding.version, [])
        if finding.finding not in words:
            words.append(finding.finding)
    return [
        TimelineEntry(
            version=migration.version,
            name=migration.name,
            in_git=migration.file is not None,
            on_source="source" in migration.rows,
            on_target="target" in migration.rows,
            same_as=same.get(migration.version),
            findings=said.get(migration.version, []),
        )
        for migration in found.values()
    ]


def divergence(found: Mapping[str, Migration]) -> list[DivergencePoint]:
    """The stretches in which only one of the two histories goes on, the first one first.

    What git alone has is no divergence of the two.
    """
    points: list[DivergencePoint] = []
    after: str | None = None
    stretch: list[Migration] = []
    for migration in found.values():
        if len(migration.rows) == 2:
            points += _point(after, stretch)
            after, stretch = migration.label, []
        elif migration.rows:
            stretch.append(migration)
    return points + _point(after, stretch)


def _point(after: str | None, stretch: Sequence[Migration]) -> list[DivergencePoint]:
    if not stretch:
        return []
    on: dict[Side, list[str]] = {side: [m.label for m in stretch if side in m.rows] for side in ("source", "target")}
    since, kind = _since(stretch)
    return [DivergencePoint(after=after, source=on["source"], target=on["target"], since=since, since_is=kind)]


def _since(stretch: Sequence[Migration]) -> tuple[str | None, Literal["applied", "version"] | None]:
    """When the first of them was applied, where a ledger has applied all of them itself; else what the first version says."""
    events = [event for migration in stretch for event in migration.events.values()]
    if events and not any(is_anothers(event) for event in events) and all(migration.events for migration in stretch):
        return min(event.recorded_at for event in events), "applied"
    try:
        named = datetime.strptime(stretch[0].version, "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None, None
    return named.isoformat(), "version"
