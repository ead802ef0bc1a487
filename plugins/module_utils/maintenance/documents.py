# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of maintenance: who turned the application's writes off, how that was proven, and what an application noticed of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document

Strategy = Literal["database", "sql", "http", "tasks"]


@dataclass(kw_only=True)
class MaintenanceRecord:
    """Who turned the writes off, by which strategy, since when (the server's clock, UTC). A person's has no ``run_id``.

    ``left_behind``: the run that did is over, and nobody else will turn them on again.
    ``before``: what the strategy changed in the database, as it was before.
    """

    strategy: Strategy
    run_id: str | None
    operator: str
    host: str
    process: str | None
    since: str
    before: dict[str, Any] = field(default_factory=dict)
    left_behind: bool = False


@dataclass(kw_only=True)
class Proof:
    """One thing that was tried. ``expected`` is what had to come of it; ``passed`` is None where it could not be tried."""

    who: str
    tried: str
    expected: str
    found: str
    passed: bool | None


@dataclass(kw_only=True)
class MaintenanceReport(Document):
    """maintenance.json: the application off and on again. ``on`` is what the database says now, ``ours`` whether it is this run's or
    person's, ``seconds`` how long it was off; None while it is.

    ``sessions_ended`` were ended when it was turned off, ``sessions_renewed`` when it was turned on again: a session keeps the default
    that it began with.
    """

    kind: ClassVar[str] = "maintenance"
    on: bool
    ours: bool
    strategy: Strategy | None
    run_id: str | None = None
    operator: str | None = None
    host: str | None = None
    since: str | None = None
    until: str | None = None
    seconds: float | None = None
    proofs: list[Proof] = field(default_factory=list)
    sessions_ended: int = 0
    sessions_renewed: int = 0
    warnings: list[str] = field(default_factory=list)
