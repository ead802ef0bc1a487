# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a module that tells people."""

from __future__ import annotations

from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.notify.channels import MailServer, Webhook
from ansible_collections.pgops.supabase.plugins.module_utils.notify.job import EVENTS, Channel

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_SELDOM_WANTED = ("backed_up", "nothing_to_do")
_CHANNEL: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "type": {"type": "str", "choices": ["webhook", "email"], "required": True},
    "events": {
        "type": "list",
        "elements": "str",
        "choices": list(EVENTS),
        "default": [event for event in EVENTS if event not in _SELDOM_WANTED],
    },
    "url": {"type": "str", "no_log": True},
    "payload": {"type": "str", "choices": ["slack", "discord", "teams", "document"], "default": "slack"},
    "headers": {"type": "dict", "no_log": True, "default": {}},
    "host": {"type": "str"},
    "port": {"type": "int"},
    "encryption": {"type": "str", "choices": ["starttls", "tls", "none"], "default": "starttls"},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "sender": {"type": "str"},
    "recipients": {"type": "list", "elements": "str"},
    "ca_cert": {"type": "path"},
    "timeout_seconds": {"type": "float", "default": 10.0},
}
CHANNELS_ARGUMENTS: dict[str, dict[str, Any]] = {
    "templates": {"type": "path"},
    "contacts": {"type": "list", "elements": "str", "default": []},
    "channels": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": _CHANNEL,
        "required_if": [("type", "webhook", ("url",)), ("type", "email", ("host", "sender", "recipients"))],
    },
}


def channel_of(params: dict[str, Any]) -> Channel:
    """A channel as the engine takes it."""
    to: Webhook | MailServer
    if params["type"] == "webhook":
        to = Webhook(
            url=params["url"],
            headers={name: str(value) for name, value in params["headers"].items()},
            ca_cert=params["ca_cert"],
            timeout_seconds=params["timeout_seconds"],
        )
    else:
        to = MailServer(
            host=params["host"],
            port=params["port"] or _PORTS[params["encryption"]],
            encryption=params["encryption"],
            sender=params["sender"],
            recipients=params["recipients"],
            user=params["user"],
            password=params["password"],
            ca_cert=params["ca_cert"],
            timeout_seconds=params["timeout_seconds"],
        )
    return Channel(name=params["name"], events=params["events"], to=to, form=params["payload"])
