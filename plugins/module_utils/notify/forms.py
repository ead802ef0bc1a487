# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the team reads about a run that has ended, in the forms that channels take. Pure.

Sources of the forms: Slack, "Formatting text for app surfaces" (the three characters that are escaped); Discord, "Execute
Webhook" (2,000 characters, C(allowed_mentions)); Microsoft Teams, "Create incoming webhooks with Workflows" (an adaptive card
in an attachment).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.notify.documents import Message
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunVerdict

Payload = Literal["slack", "discord", "teams", "document"]

_MARKS: dict[RunVerdict, str] = {
    "migrated": "\u2705",
    "adopted": "\u2705",
    "restored": "\u2705",
    "backed_up": "\u2705",
    "rolled_back": "\u26a0\ufe0f",
    "not_applied": "\u26a0\ufe0f",
    "needs_attention": "\U0001f6a8",
}
_DISCORD_CHARACTERS = 2000


def subject(message: Message) -> str:
    """The title on one line, with a mark that shows from afar whether all is well."""
    return " ".join(f"{_MARKS.get(message.verdict, '')} {message.title}".split())


def as_text(message: Message) -> str:
    """The whole message, the subject first."""
    return "\n".join([subject(message), *_lines(message)])


def body(message: Message) -> str:
    """The message without its subject."""
    return "\n".join(_lines(message)).strip() + "\n"


def payload(message: Message, form: Payload) -> dict[str, Any]:
    """What a webhook is sent, as JSON."""
    if form == "slack":
        return {"text": _escaped_for_slack(as_text(message))}
    if form == "discord":
        # Nobody is called by what stands in a reason or in an error.
        return {"content": _cut(as_text(message), _DISCORD_CHARACTERS), "allowed_mentions": {"parse": []}}
    if form == "teams":
        return _teams_card(message)
    return message.as_dict()


def _lines(message: Message) -> Iterator[str]:
    width = max((len(label) for label in message.facts), default=0)
    for label, value in message.facts.items():
        yield f"{label + ':':<{width + 1}} {value}"
    if message.next_steps:
        yield ""
        yield "Next:"
        yield from (f"{number}. {step}" for number, step in enumerate(message.next_steps, start=1))
    if message.contacts:
        yield ""
        yield f"Contact: {', '.join(message.contacts)}"


def _escaped_for_slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "\u2026"


def _teams_card(message: Message) -> dict[str, Any]:
    facts = [{"title": label, "value": value} for label, value in message.facts.items()]
    blocks: list[dict[str, Any]] = [
        {"type": "TextBlock", "text": subject(message), "weight": "bolder", "wrap": True},
        {"type": "FactSet", "facts": facts},
    ]
    closing = [f"{number}. {step}" for number, step in enumerate(message.next_steps, start=1)]
    if message.contacts:
        closing.append(f"Contact: {', '.join(message.contacts)}")
    blocks += [{"type": "TextBlock", "text": line, "wrap": True} for line in closing]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
    }
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }
