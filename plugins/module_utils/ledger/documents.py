# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of the lease, of what crash recovery finds, and of what a project has proven of a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document


@dataclass(kw_only=True)
class Lease(Document):
    """Who may work on a project now, and until when; times are the server's. ``expired``: anybody may take it over."""

    kind: ClassVar[str] = "lease"
    owner: str
    run_id: str | None
    operator: str
    host: str
    acquired_at: str
    renewed_at: str
    expires_at: str
    expired: bool
    taken_over_from: dict[str, Any] | None = None
    process: str | None = None


@dataclass(kw_only=True)
class HalfDoneMigration:
    """A file that runs outside a transaction and was cut short: the next apply goes on with it.

    ``finished``: how many of its statements are done. ``begun``: the statement that was not seen to end, None between two.
    """

    version: str
    finished: int
    begun: str | None
    run_id: str | None
    recorded_at: str


@dataclass(kw_only=True)
class PromotionProof:
    """What the project that is promoted from has proven of one file; ``problem`` says why that is not enough.

    ``together``: the versions, in order, whose change in the catalog is known only as one; ``catalog_change`` is theirs, and
    stands with the last of them. ``evidence`` says in words what is proven, and what is going to be compared when the file runs here.
    """

    version: str
    name: str
    sha256: str
    catalog_change: str | None
    described: list[str]
    problem: str | None
    evidence: str = ""
    together: list[str] = field(default_factory=list)
