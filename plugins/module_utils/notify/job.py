# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell the team how a run ended, on every channel, each once."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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
from ansible_collections.pgops.supabase.plugins.module_utils.notify.documents import Delivery, Message, Notification
from ansible_collections.pgops.supabase.plugins.module_utils.notify.forms import Payload, body, payload, subject
from ansible_collections.pgops.supabase.plugins.module_utils.notify.message import message_of
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import is_loopback
from ansible_collections.pgops.supabase.plugins.module_utils.runs.records import load_documents, load_run

NOTIFICATION_FILE = "notification.json"


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A way to people, and the verdicts that they want to hear of."""

    name: str
    verdicts: Sequence[str]
    to: Webhook | MailServer
    form: Payload = "slack"


@dataclass(frozen=True, kw_only=True)
class NotifyOutcome:
    """What was told by now, and what became of the message on the channels that this call tried."""

    notification: Notification
    tried: Sequence[Delivery]

    @property
    def changed(self) -> bool:
        """Whether this call told anybody, or would have."""
        return any(delivery.status in ("delivered", "not_sent") for delivery in self.tried)


def check_channels(channels: Sequence[Channel]) -> None:
    """See, before anything is done, that every channel is one.

    :raises InputError: when two have one name, an address is none, or a secret would travel unencrypted.
    """
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


def notify(channels: Sequence[Channel], run_dir: Path, contacts: Sequence[str], *, send: bool) -> NotifyOutcome:
    """Tell how the run of a directory ended on every channel that wants to hear of it and was not told yet.

    A channel that fails keeps none of the others from being tried, and fails nothing: what became of each is in the result
    and in C(notification.json), and a second call tries again only those that failed.

    :param send: whether to send anything, or only to say what would be.
    :raises InputError: when a channel is none, or the directory is not that of a run that has ended.
    """
    check_channels(channels)
    run = load_run(run_dir)
    if run.verdict == "running":
        raise InputError(
            f"The run {run.run_id} has not ended",
            where=str(run_dir),
            next_step="Close it first: run_record, state: finished.",
        )
    documents = load_documents(run_dir)
    message = message_of(
        run, documents, directory=str(run_dir.absolute()), machine=socket.gethostname(), contacts=contacts
    )
    told = _told_before(run_dir)
    deliveries = dict(told)
    tried = []
    for channel in channels:
        if channel.name in told and told[channel.name].status == "delivered":
            continue
        if run.verdict not in channel.verdicts:
            delivery = Delivery(channel=channel.name, status="not_wanted", at=utc_now())
        elif not send:
            delivery = Delivery(channel=channel.name, status="not_sent", at=utc_now())
        else:
            delivery = _deliver(channel, message)
        deliveries[channel.name] = delivery
        tried.append(delivery)
        if send:
            # At once: a run that is killed here does not tell the same people again.
            _keep(run_dir, message, deliveries)
    return NotifyOutcome(notification=Notification(message=message, deliveries=list(deliveries.values())), tried=tried)


def _deliver(channel: Channel, message: Message) -> Delivery:
    try:
        if isinstance(channel.to, Webhook):
            post(channel.to, payload(message, channel.form))
            refused = []
        else:
            refused = mail(channel.to, subject(message), body(message))
    except Undelivered as error:
        return Delivery(channel=channel.name, status="failed", at=utc_now(), detail=error.what)
    detail = f"refused: {', '.join(refused)}" if refused else ""
    return Delivery(channel=channel.name, status="delivered", at=utc_now(), detail=detail)


def _told_before(run_dir: Path) -> Mapping[str, Delivery]:
    try:
        before = from_dict(Notification, read_json(run_dir / NOTIFICATION_FILE))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"What was told before cannot be read: {error}",
            where=str(run_dir / NOTIFICATION_FILE),
            next_step="Move it away, and everybody is told again.",
        ) from error
    return {delivery.channel: delivery for delivery in before.deliveries}


def _keep(run_dir: Path, message: Message, deliveries: Mapping[str, Delivery]) -> None:
    try:
        write_json(
            run_dir / NOTIFICATION_FILE, Notification(message=message, deliveries=list(deliveries.values())).as_dict()
        )
    except OSError as error:
        raise InputError(
            f"What was told cannot be written down: {error.strerror}",
            where=str(run_dir / NOTIFICATION_FILE),
            state="the message was sent; the database is not touched by this",
            next_step="Check the disk.",
        ) from error


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
