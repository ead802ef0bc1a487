# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of a message and of where it arrived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import Operation, RunVerdict


@dataclass(kw_only=True)
class Message(Document):
    """What the team is told about a run that has ended."""

    kind: ClassVar[str] = "message"
    run_id: str
    project: str
    operation: Operation
    verdict: RunVerdict
    title: str
    reason: str | None
    # By their labels, in the order in which they are shown.
    facts: dict[str, str]
    next_steps: list[str]
    contacts: list[str]


@dataclass(kw_only=True)
class Delivery:
    """What became of a message on one channel."""

    channel: str
    status: Literal["delivered", "failed", "not_wanted", "not_sent"]
    at: str
    # Why it failed, or who of several recipients was refused.
    detail: str = ""


@dataclass(kw_only=True)
class Notification(Document):
    """notification.json: what the team was told, and where it arrived."""

    kind: ClassVar[str] = "notification"
    message: Message | None
    deliveries: list[Delivery]
