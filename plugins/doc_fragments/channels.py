# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment:
    """Who is told, and how."""

    DOCUMENTATION = r"""
options:
  templates:
    description:
      - A directory of Jinja2 templates that replace the text, C(<event>.j2) for one event or C(message.j2) for all that have none of
        their own. The first line is the subject. They have C(event), C(project), C(run_id), C(operation), C(title), C(reason),
        C(facts), C(next_steps), C(contacts) and C(mark).
      - A template that does not parse is refused in check mode; one that cannot be filled in is a warning, and the text is ours.
    type: path
  contacts:
    description: Whom to ask, in their own words; they close the message.
    type: list
    elements: str
    default: []
  channels:
    description: Where to send it. No two have the same name.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name, in results and warnings.
        type: str
        required: true
      type:
        description: A V(webhook) is sent JSON by POST; V(email) is handed to a mail server.
        type: str
        choices: [webhook, email]
        required: true
      events:
        description: What this channel wants to hear of, the verdicts of runs among it.
        type: list
        elements: str
        choices:
          [announced, started, migrated, adopted, rolled_back, restored, backed_up, not_applied, needs_attention, nothing_to_do,
           maintenance_on, maintenance_off, alert, recovered]
        default:
          [announced, started, migrated, adopted, rolled_back, restored, not_applied, needs_attention, maintenance_on,
           maintenance_off, alert, recovered]
      url:
        description: Address of the webhook. It is a secret. C(https), or C(http) to this machine.
        type: str
      payload:
        description:
          - V(slack) is an object with C(text), which others such as Mattermost and Google Chat take as well; V(discord) one with
            C(content); V(teams) an adaptive card; V(document) the message in its parts, for a receiver of one's own.
        type: str
        choices: [slack, discord, teams, document]
        default: slack
      headers:
        description: More headers for the webhook, such as a token. They are secrets.
        type: dict
        default: {}
      host:
        description: The mail server.
        type: str
      port:
        description: Its port. By default V(587) for O(channels[].encryption=starttls), V(465) for V(tls) and V(25) for V(none).
        type: int
      encryption:
        description: How the connection to the mail server is encrypted. With V(none) a password is sent to this machine only.
        type: str
        choices: [starttls, tls, none]
        default: starttls
      user:
        description: The name to log in with. Left out, nobody logs in.
        type: str
      password:
        description: Its password.
        type: str
      sender:
        description: Mail address of the sender.
        type: str
      recipients:
        description: Mail addresses of the recipients.
        type: list
        elements: str
      ca_cert:
        description: File with the authority that signed the server's certificate, where it is not one that the machine trusts.
        type: path
      timeout_seconds:
        description: Seconds to wait for an answer. It is tried three times where another answer is possible.
        type: float
        default: 10
"""
