# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of a reconciliation: how two projects and the files in git differ, what that risks, and what to do.

The target is the project that is looked at, the source the one that it is compared with, such as production and development.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document

Side = Literal["source", "target"]
Place = Literal["git", "source", "target"]
Direction = Literal["only_source", "only_target", "only_git", "differs"]
Risk = Literal["data_loss", "security", "availability", "cosmetic"]
RISKS: tuple[Risk, ...] = ("data_loss", "security", "availability", "cosmetic")
"""From the worst to the least."""
Finding = Literal[
    "renumbered",
    "duplicate",
    "by_hand",
    "pending",
    "out_of_order",
    "not_applied",
    "without_file",
    "edited",
    "recorded_otherwise",
    "half_done",
]


@dataclass(kw_only=True)
class ProjectLook:
    """What was seen of one project in one snapshot. ``catalog`` is the file with its schema, as the module schema_info writes it.

    ``rows`` is None where nobody counted. ``notes`` is what needs a look on this project, whatever the other one has.
    """

    name: str
    place: str
    server_version: str
    taken_at: str
    schemas: list[str]
    fingerprint: str
    objects: int
    migrations: int
    rows: int | None
    catalog: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class HistoryFinding:
    """One way in which the histories of the projects and the files disagree.

    ``on``: the project whose history or schema the next step changes. ``other_version``: the other name of the same migration.
    ``would_change`` says what the next step changes, and what it does not.
    """

    finding: Finding
    version: str
    name: str
    on: Side
    direction: Direction
    risk: Risk
    reason: str
    evidence: str
    next_command: str
    would_change: str
    other_version: str | None = None


@dataclass(kw_only=True)
class Impact:
    """The table that a difference is about, and its exact rows on each side; None where it is not there, or was not counted."""

    table: str
    source_rows: int | None
    target_rows: int | None


@dataclass(kw_only=True)
class Difference:
    """One object that differs. ``parts``: what belongs to it and came or went with it. ``cause``: the migration that makes it.

    ``object_type`` is a kind of the catalog, V(cron job) or V(rows).
    """

    object_type: str
    object_name: str
    direction: Direction
    detail: str
    risk: Risk
    reason: str
    impact: Impact | None = None
    cause: str | None = None
    parts: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class TableRows:
    """The exact rows of one table on each side, None where there is no such table."""

    table: str
    source: int | None
    target: int | None


@dataclass(kw_only=True)
class TimelineEntry:
    """One version of the three timelines. ``same_as``: the version under which another place has the same migration."""

    version: str
    name: str
    in_git: bool
    on_source: bool
    on_target: bool
    same_as: str | None = None
    findings: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class DivergencePoint:
    """Where the two histories part: after which common version, and what each has there that the other has not.

    ``since``: when the first of it was applied, as a ledger says, else the time that its version names; None where neither does.
    """

    after: str | None
    source: list[str]
    target: list[str]
    since: str | None
    since_is: Literal["applied", "version"] | None


@dataclass(kw_only=True)
class Strategy:
    """One way to bring the two together."""

    name: str
    recommended: bool
    what: str
    pros: list[str]
    cons: list[str]
    steps: list[str]


@dataclass(kw_only=True)
class Reconciliation(Document):
    """reconcile.json: two projects and the files in git, compared.

    ``equal``: nothing was found, neither in the history nor in the schema. ``not_compared`` names what was not looked at.
    """

    kind: ClassVar[str] = "reconciliation"
    reconciliation_id: str
    taken_at: str
    duration_seconds: float
    source: ProjectLook
    target: ProjectLook
    equal: bool
    by_risk: dict[str, int]
    timeline: list[TimelineEntry]
    divergence: list[DivergencePoint]
    history: list[HistoryFinding]
    differences: list[Difference]
    rows: list[TableRows]
    strategies: list[Strategy]
    next_command: str | None
    ignored: int
    notes: list[str]
    not_compared: list[str]
