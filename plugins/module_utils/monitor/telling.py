# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""People told of an episode: once when it begins, and once when it is over, on each channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ansible_collections.pgops.supabase.plugins.module_utils.monitor.documents import Episode, MonitorRecord
from ansible_collections.pgops.supabase.plugins.module_utils.notify.documents import Delivery
from ansible_collections.pgops.supabase.plugins.module_utils.notify.job import Channel, Occurrence, notify

_WATCHED = {
    "database": "The database",
    "api_errors": "The application's endpoints",
    "api_times": "How fast the application's endpoints answer",
    "connections": "Connections",
    "errors": "Transactions that are rolled back",
    "transactions": "Open transactions",
    "locks": "Waits for locks",
    "invalid": "Indexes and constraints",
}


@dataclass(frozen=True, kw_only=True)
class People:
    """Who is told, and how."""

    channels: Sequence[Channel] = ()
    contacts: Sequence[str] = ()
    # Where the user's templates are; None: there are none.
    templates: Path | None = None


def watched(key: str) -> str:
    """What is watched, in words."""
    return _WATCHED.get(key) or key.removeprefix("metric ")


def tell(people: People, record: MonitorRecord, page: str, keep: Callable[[], None]) -> list[str]:
    """Tell of what began and of what is over, on the channels that were not told yet; one that fails is tried at the next sample.

    :param page: where the watch can be read.
    :param keep: writes the record down, after each message: who is told is not told again by a watch that is started anew.
    :returns: what could not be told, in sentences.
    """
    problems = []
    for episode in record.episodes:
        # Who never heard that it began need not hear that it is over.
        if episode.until is None:
            problems += _tell(people, record, episode, "alert", page, keep)
        elif episode.reached:
            problems += _tell(people, record, episode, "recovered", page, keep)
    return problems


def _tell(
    people: People,
    record: MonitorRecord,
    episode: Episode,
    event: Literal["alert", "recovered"],
    page: str,
    keep: Callable[[], None],
) -> list[str]:
    told = episode.told if event == "alert" else episode.told_end
    wanted = [
        channel
        for channel in people.channels
        if channel.name not in told and (event == "alert" or channel.name in episode.reached)
    ]
    if not wanted:
        return []
    details = {"Watched": watched(episode.key), "What": episode.message, "Since": episode.since}
    if episode.until is not None:
        details["Until"] = episode.until
    it = Occurrence(
        what=event,
        project=record.project,
        details={**details, "Page": page},
        contacts=people.contacts,
        templates=people.templates,
    )
    deliveries: Sequence[Delivery] = notify(wanted, it, send=True).tried
    told += [delivery.channel for delivery in deliveries if delivery.status != "failed"]
    if event == "alert":
        episode.reached += [delivery.channel for delivery in deliveries if delivery.status == "delivered"]
    keep()
    return [
        f"the channel {delivery.channel} was not told of {event} ({watched(episode.key)}): {delivery.detail}"
        for delivery in deliveries
        if delivery.status == "failed"
    ]
