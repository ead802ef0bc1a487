# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell the team how a run began and ended and what happened around it, on every channel, each once."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict, utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import read_json, write_json
from ansible_collections.pgops.supabase.plugins.module_utils.notify.channels import (
    MailServer,
    Undelivered,
    Webhook,
    mail,
    post,
)
from ansible_collections.pgops.supabase.plugins.module_utils.notify.documents import (
    Delivery,
    Event,
    Message,
    Notification,
    Occasion,
)
from ansible_collections.pgops.supabase.plugins.module_utils.notify.forms import Payload, body, payload, subject
from ansible_collections.pgops.supabase.plugins.module_utils.notify.message import ended, happened, started
from ansible_collections.pgops.supabase.plugins.module_utils.notify.templates import check_templates, written
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import is_loopback
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord
from ansible_collections.pgops.supabase.plugins.module_utils.runs.records import load_documents, load_run

NOTIFICATION_FILE = "notification.json"
EVENTS: tuple[Event, ...] = (
    "announced",
    "started",
    "migrated",
    "adopted",
    "rolled_back",
    "restored",
    "backed_up",
    "not_applied",
    "needs_attention",
    "nothing_to_do",
    "maintenance_on",
    "maintenance_off",
    "alert",
    "recovered",
)


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A way to people, and the events that they want to hear of."""

    name: str
    events: Sequence[Event]
    to: Webhook | MailServer
    form: Payload = "slack"


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """What to tell of: the beginning or the end of a run, or something around it."""

    what: Occasion | Literal["ended"] = "ended"
    # Needed for the beginning and the end of a run; what else happens may have none.
    run_dir: Path | None = None
    # How the run ended, where its directory could not take that up; None: as it stands in the directory.
    run: RunRecord | None = None
    # Needed where there is no run.
    project: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    expected_seconds: float | None = None
    contacts: Sequence[str] = ()
    # Where the user's templates are; None: there are none.
    templates: Path | None = None


@dataclass(frozen=True, kw_only=True)
class NotifyOutcome:
    """What was told by now, and what became of the message on the channels that this call tried."""

    message: Message
    notification: Notification
    # Why the user's template could not be used for it; empty where it could.
    template_error: str
    tried: Sequence[Delivery]
    # Why the run's directory does not know of it, so that a second call tells the same people again; empty where it does.
    not_kept: str = ""

    @property
    def changed(self) -> bool:
        """Whether this call told anybody, or would have."""
        return any(delivery.status in ("delivered", "not_sent") for delivery in self.tried)


def check_channels(channels: Sequence[Channel], templates: Path | None = None) -> None:
    """See, before anything is done, that every channel is one, and every template of the user's.

    :raises InputError: when two have one name, an address is none, a secret would travel unencrypted, or a template does not parse.
    """
    if templates is not None:
        check_templates(templates, frozenset(EVENTS))
    names = [channel.name for channel in channels]
    for channel in channels:
        if names.count(channel.name) > 1:
            raise _refused(channel, "two channels have this name", "Give each a name of its own.")
        if isinstance(channel.to, Webhook):
            _check_webhook(channel, channel.to)
        else:
            _check_mail_server(channel, channel.to)
        if channel.to.ca_cert and not Path(channel.to.ca_cert).is_file():
            raise _refused(channel, f"there is no file {channel.to.ca_cert}", "Correct ca_cert, or leave it out.")


def notify(channels: Sequence[Channel], it: Occurrence, *, send: bool) -> NotifyOutcome:
    """Tell of something on every channel that wants to hear of it and was not told yet.

    A channel that fails keeps none of the others from being tried, and fails nothing: what became of each is in the result
    and, where there is a run, in C(notification.json); a second call tries again only those that failed. A template of the
    user's that cannot be filled in is replaced by ours.

    :param send: whether to send anything, or only to say what would be.
    :raises InputError: when a channel is none, or the directory is not that of such a run.
    """
    check_channels(channels)
    message = _message(it)
    template_error = ""
    try:
        message.text = written(message, it.templates)
    except InputError as error:
        template_error = str(error)
        message.text = written(message, None)
    notification = _told_before(it.run_dir) if it.run_dir else Notification(deliveries=[])
    notification.messages = [m for m in notification.messages if m.event != message.event] + [message]
    tried, not_kept = [], ""
    for channel in channels:
        before = [d for d in notification.deliveries if d.channel == channel.name and d.event in _same(message, it)]
        if any(delivery.status == "delivered" for delivery in before):
            continue
        if message.event not in channel.events:
            delivery = Delivery(channel=channel.name, event=message.event, status="not_wanted", at=utc_now())
        elif not send:
            delivery = Delivery(channel=channel.name, event=message.event, status="not_sent", at=utc_now())
        else:
            delivery = _deliver(channel, message)
        notification.deliveries = [d for d in notification.deliveries if d not in before] + [delivery]
        tried.append(delivery)
        if send and it.run_dir:
            # At once: a run that is killed here does not tell the same people again.
            not_kept = _keep(it.run_dir, notification)
    return NotifyOutcome(
        message=message, notification=notification, tried=tried, template_error=template_error, not_kept=not_kept
    )


def _message(it: Occurrence) -> Message:
    if it.what == "started":
        directory, machine = _run_dir(it), socket.gethostname()
        return started(
            load_run(directory),
            load_documents(directory),
            expected_seconds=it.expected_seconds,
            machine=machine,
            contacts=it.contacts,
        )
    if it.what == "ended":
        directory, machine = _run_dir(it), socket.gethostname()
        run = it.run or load_run(directory)
        if run.verdict == "running":
            raise InputError(
                f"The run {run.run_id} has not ended",
                where=str(directory),
                next_step="Close it first: run_record, state: finished.",
            )
        documents = load_documents(directory)
        return ended(run, documents, directory=str(directory.absolute()), machine=machine, contacts=it.contacts)
    run_id = load_run(it.run_dir).run_id if it.run_dir else None
    return happened(it.what, it.project, it.details, run_id=run_id, contacts=it.contacts)


def _run_dir(it: Occurrence) -> Path:
    if it.run_dir is None:
        raise InputError(f"There is no run that {it.what}", where="run_dir", next_step="Give the run's directory.")
    return it.run_dir


def _same(message: Message, it: Occurrence) -> tuple[Event | None, ...]:
    """The events of deliveries that are of this message; those without one are of ends of runs."""
    return (message.event, None) if it.what == "ended" else (message.event,)


def _deliver(channel: Channel, message: Message) -> Delivery:
    try:
        if isinstance(channel.to, Webhook):
            post(channel.to, payload(message, channel.form))
            refused = []
        else:
            refused = mail(channel.to, subject(message), body(message))
    except Undelivered as error:
        return Delivery(channel=channel.name, event=message.event, status="failed", at=utc_now(), detail=error.what)
    detail = f"refused: {', '.join(refused)}" if refused else ""
    return Delivery(channel=channel.name, event=message.event, status="delivered", at=utc_now(), detail=detail)


def _told_before(run_dir: Path) -> Notification:
    try:
        return from_dict(Notification, read_json(run_dir / NOTIFICATION_FILE))
    except FileNotFoundError:
        return Notification(deliveries=[])
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"What was told before cannot be read: {error}",
            where=str(run_dir / NOTIFICATION_FILE),
            next_step="Move it away, and everybody is told again.",
        ) from error


def _keep(run_dir: Path, notification: Notification) -> str:
    """Write it down; why that cannot be done keeps none of the other channels from being told."""
    try:
        write_json(run_dir / NOTIFICATION_FILE, notification.as_dict())
    except OSError as error:
        return f"{run_dir / NOTIFICATION_FILE}: {error.strerror}"
    return ""


def _check_webhook(channel: Channel, webhook: Webhook) -> None:
    try:
        parts = urlsplit(webhook.url)
        host = parts.hostname or ""
        # It is read from the text only when it is asked for.
        _port = parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https"):
        raise _refused(channel, "url is no address of HTTP", "Correct it: https://...")
    if parts.scheme == "http" and not is_loopback(host):
        raise _refused(
            channel,
            f"the message would travel to {host} unencrypted, and with it the address, which is a secret",
            "Use https; http is for this machine only.",
        )


def _check_mail_server(channel: Channel, server: MailServer) -> None:
    if not server.recipients:
        raise _refused(channel, "recipients is empty", "Name at least one.")
    for address in (server.sender, *server.recipients):
        if "@" not in address or any(character in address for character in "\r\n"):
            raise _refused(channel, f"{address!r} is no mail address", "Correct sender or recipients.")
    if server.user is not None and server.encryption == "none" and not is_loopback(server.host):
        raise _refused(
            channel, f"the password would travel to {server.host} unencrypted", "Use encryption: starttls, or tls."
        )


def _refused(channel: Channel, why: str, next_step: str) -> InputError:
    return InputError(f"The channel {channel.name} cannot be used: {why}", where="channels", next_step=next_step)
