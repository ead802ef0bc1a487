# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of a message and of where it arrived."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import Operation, RunVerdict

# What people can be told of: when a run is planned, that it began, how it ended, and what becomes of the application meanwhile and
# afterwards.
Occasion = Literal["announced", "started", "maintenance_on", "maintenance_off", "alert", "recovered"]
Event = Literal[Occasion, RunVerdict]


@dataclass(kw_only=True)
class Message(Document):
    """What the team is told, in its parts and as the text that people read."""

    kind: ClassVar[str] = "message"
    document_version: int = 2
    event: Event
    project: str
    run_id: str | None = None
    operation: Operation | None = None
    title: str
    reason: str | None = None
    # By their labels, in the order in which they are shown.
    facts: dict[str, str]
    next_steps: list[str]
    contacts: list[str]
    # The first line is the subject.
    text: str = ""


@dataclass(kw_only=True)
class Delivery:
    """What became of a message on one channel."""

    channel: str
    status: Literal["delivered", "failed", "not_wanted", "not_sent"]
    at: str
    # None: of the end of a run, as releases wrote it that told of nothing else.
    event: Event | None = None
    # Why it failed, or who of several recipients was refused.
    detail: str = ""


@dataclass(kw_only=True)
class Notification(Document):
    """notification.json: what the team was told during a run, and where it arrived."""

    kind: ClassVar[str] = "notification"
    document_version: int = 2
    messages: list[Message] = field(default_factory=list)
    deliveries: list[Delivery]
