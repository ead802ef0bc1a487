# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of what a run leaves in the application's repository: its types, and what was committed and pushed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document


@dataclass(kw_only=True)
class TypesReport(Document):
    """types.json: the file of types, what made it, and how many tables, views and enums the catalog and it agree on."""

    kind: ClassVar[str] = "types"
    path: str
    schemas: list[str]
    generator: str
    relations: int
    enums: int
    sha256: str
    changed: bool
    duration_seconds: float


@dataclass(kw_only=True)
class Publication(Document):
    """publish.json: the commit of a run, and whether the remote has it. No commit: there was nothing to publish.

    ``branch`` is the same here and on the remote; ``files`` are relative to the top of the work tree; ``pushed`` is true where
    the remote was asked and has the commit. Of a publication that failed, ``failure`` says why.
    """

    kind: ClassVar[str] = "publication"
    run_id: str
    branch: str
    remote: str
    commit: str | None = None
    subject: str | None = None
    files: list[str] = field(default_factory=list)
    pushed: bool = False
    failure: str | None = None
