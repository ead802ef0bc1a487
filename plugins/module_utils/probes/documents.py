# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of probes' results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document

Stage = Literal["before", "after"]
# V(answered): there was an HTTP answer. V(no_answer): nobody listened, or the answer did not come in time. V(not_asked): the request
# never reached the endpoint for a reason no migration has a part in: the name is not known, the certificate is not valid.
Reached = Literal["answered", "no_answer", "not_asked"]
# V(SKIP): it could not be asked, so nothing is known.
ProbeVerdict = Literal["PASS", "FAIL", "WARNING", "SKIP"]


@dataclass(kw_only=True)
class ProbeResult:
    """What one probe found. Durations are seconds, from before the connection is opened until the whole answer is read."""

    name: str
    method: str
    # Without its query, which may hold a key.
    url: str
    writes: bool
    verdict: ProbeVerdict
    # What is wrong; empty when nothing is.
    message: str = ""
    reached: Reached = "answered"
    status: int | None = None
    samples: int = 0
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    max_seconds: float | None = None
    # After the migration: what the 95th percentile was before, and what it has to be below.
    baseline_p95_seconds: float | None = None
    limit_seconds: float | None = None
    # What somebody should know though nothing failed, such as that a write could not be undone.
    notes: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class ProbeReport(Document):
    """probes-before.json and probes-after.json: how the application's endpoints answered."""

    kind: ClassVar[str] = "probes"
    stage: Stage
    started_at: str
    duration_seconds: float
    verdict: ProbeVerdict
    passed: int
    failed: int
    warnings: int
    skipped: int
    probes: list[ProbeResult]
