#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: notification
short_description: Tell the team that a run began or how it ended, of maintenance and of alerts, by webhook or mail
version_added: 0.1.0
description:
  - Makes one message, by default from the documents of a run that has ended, with its verdict, the reason, what was applied or taken
    back, the failure, and what to do next, and sends it to every channel that wants to hear of such an event.
  - A channel that fails keeps none of the others from being told, and fails nothing. It is a warning, and stands in the result and in
    C(notification.json) in the run's directory. Called again, the module tries only what failed.
  - Of a failure only the first line is told, because the rest may quote rows.
  - Needs no database. The text is made by Jinja2, which comes with Ansible; on another machine than the controller it has to be there.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.channels
attributes:
  check_mode:
    support: full
    details:
      - Nothing is sent; channels and templates are checked, and the message is returned where O(run_dir) or O(project) is given.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  event:
    description:
      - What to tell. V(started) and V(ended) are of the run in O(run_dir); V(ended) is told as the event that its verdict names.
      - V(announced), V(maintenance_on), V(maintenance_off), V(alert) and V(recovered) are told of O(project) with O(details).
    type: str
    choices: [announced, started, ended, maintenance_on, maintenance_off, alert, recovered]
    default: ended
  run_dir:
    description:
      - The run to tell about, as returned by M(pgops.supabase.run_record). What is told during a run is told once, and kept in
        C(notification.json). In check mode it may be left out, and where O(project) says whom the event is of.
    type: path
  run:
    description:
      - How the run in O(run_dir) ended, as RV(pgops.supabase.run_record#module:run) of a task that could not write it there. By
        default it is read there.
    type: dict
  project:
    description: The project that the event is of, where it is neither the beginning nor the end of a run.
    type: str
    default: ""
  details:
    description: What to say of the event, by labels. V(Reason) is shown as the reason.
    type: dict
    default: {}
  expected_seconds:
    description: How long the run that begins is expected to take.
    type: float
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.run_record
"""

EXAMPLES = r"""
- name: Tell how the run ended
  pgops.supabase.notification:
    run_dir: "{{ report_run_dir }}"
    contacts: ["the database team, +49 30 1234"]
    channels:
      - name: releases
        type: webhook
        url: "{{ vault_releases_webhook }}"
      - name: on call
        type: email
        events: [rolled_back, needs_attention, alert]
        host: smtp.example.com
        user: pgops
        password: "{{ vault_smtp_password }}"
        sender: pgops@example.com
        recipients: [oncall@example.com]

- name: Tell that the application cannot write for a while
  pgops.supabase.notification:
    event: maintenance_on
    project: shop_prod
    details:
      Reason: the release of Tuesday
      By: the on-call engineer
    channels: "{{ project_channels }}"

- name: See that the channels can be used, before anything is done
  pgops.supabase.notification:
    channels: "{{ project_channels }}"
  check_mode: true
"""

RETURN = r"""
changed:
  description: Whether anybody was told.
  returned: always
  type: bool
message:
  description: The message in its parts and as text.
  returned: when O(run_dir) or O(project) is given
  type: dict
notification:
  description: What was told by now, as in C(notification.json) of a run.
  returned: when O(run_dir) or O(project) is given
  type: dict
  contains:
    messages:
      description: The messages, each in its parts and as text.
      type: list
      elements: dict
    deliveries:
      description:
        - What became of it on each channel. C(status) is V(delivered), V(failed), V(not_wanted), or V(not_sent) in check mode.
      type: list
      elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.module import run
from ansible_collections.pgops.supabase.plugins.module_utils.notify.arguments import CHANNELS_ARGUMENTS, channel_of
from ansible_collections.pgops.supabase.plugins.module_utils.notify.job import (
    Occurrence,
    check_channels,
    notify,
)
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord


def tell(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    channels = [channel_of(channel) for channel in params["channels"]]
    templates = Path(params["templates"]) if params["templates"] else None
    check_channels(channels, templates if module.check_mode else None)
    if params["run_dir"] is None and not params["project"]:
        return {"changed": False}
    it = Occurrence(
        what=params["event"],
        run_dir=Path(params["run_dir"]) if params["run_dir"] else None,
        run=from_dict(RunRecord, params["run"]) if params["run"] else None,
        project=params["project"],
        details={label: str(value) for label, value in params["details"].items()},
        expected_seconds=params["expected_seconds"],
        contacts=params["contacts"],
        templates=templates,
    )
    told = notify(channels, it, send=not module.check_mode)
    if told.template_error:
        module.warn(f"The text is ours and not your template's: {told.template_error}")
    if told.not_kept:
        module.warn(
            f"What was told could not be written down, and is told again when this is run again: {told.not_kept}"
        )
    for delivery in told.tried:
        if delivery.status == "failed":
            module.warn(f"The channel {delivery.channel} was not told: {delivery.detail}")
        elif delivery.detail:
            module.warn(f"The channel {delivery.channel} was told in part: {delivery.detail}")
    return {"changed": told.changed, "message": told.message.as_dict(), "notification": told.notification.as_dict()}


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "event": {
                "type": "str",
                "choices": ["announced", "started", "ended", "maintenance_on", "maintenance_off", "alert", "recovered"],
                "default": "ended",
            },
            "run_dir": {"type": "path"},
            "run": {"type": "dict"},
            "project": {"type": "str", "default": ""},
            "details": {"type": "dict", "default": {}},
            "expected_seconds": {"type": "float"},
            **CHANNELS_ARGUMENTS,
        },
        supports_check_mode=True,
    )
    of_a_run = module.params["event"] in ("started", "ended")
    if not module.check_mode and not module.params["run_dir"] and (of_a_run or not module.params["project"]):
        module.fail_json(
            msg=f"{'run_dir' if of_a_run else 'project'} is required; it may be left out in check mode only"
        )
    run(module, lambda: tell(module))


if __name__ == "__main__":
    main()
