# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A message in the forms that channels take. Pure.

Sources of the forms: Slack, "Formatting text for app surfaces" (the three characters that are escaped); Discord, "Execute
Webhook" (2,000 characters, C(allowed_mentions)); Microsoft Teams, "Create incoming webhooks with Workflows" (an adaptive card
in an attachment).
"""

from __future__ import annotations

from typing import Any, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.notify.documents import Message

Payload = Literal["slack", "discord", "teams", "document"]

_DISCORD_CHARACTERS = 2000


def subject(message: Message) -> str:
    """The first line of the text."""
    return " ".join(message.text.partition("\n")[0].split())


def body(message: Message) -> str:
    """The text without its first line."""
    return message.text.partition("\n")[2].strip() + "\n"


def payload(message: Message, form: Payload) -> dict[str, Any]:
    """What a webhook is sent, as JSON."""
    if form == "slack":
        return {"text": _escaped_for_slack(message.text)}
    if form == "discord":
        # Nobody is called by what stands in a reason or in an error.
        return {"content": _cut(message.text, _DISCORD_CHARACTERS), "allowed_mentions": {"parse": []}}
    if form == "teams":
        return _teams_card(message)
    return message.as_dict()


def _escaped_for_slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "\u2026"


def _teams_card(message: Message) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [
        {"type": "TextBlock", "text": subject(message), "weight": "bolder", "wrap": True},
        *(
            {"type": "TextBlock", "text": line, "wrap": True, "spacing": "small"}
            for line in body(message).splitlines()
            if line
        ),
    ]
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
