# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment:
    """The application's endpoints, and what opens them."""

    DOCUMENTATION = r"""
options:
  probes:
    description: What to ask, in this order. No two have the same name.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What it probes, in messages and reports.
        type: str
        required: true
      url:
        description: Where to send it. A path, such as V(/rest/v1/profiles?limit=5), belongs to O(api_url).
        type: str
        required: true
      method:
        description: The method.
        type: str
        choices: [GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE]
        default: GET
      role:
        description:
          - The API's role that it is sent as, with the key of O(api_keys); for V(authenticated) with a token that is signed with
            O(jwt_secret) where there is no key. Left out, nothing is sent but O(probes[].headers).
        type: str
        choices: [anon, authenticated, service_role]
      user:
        description: The account, C(auth.users.id), that a token signed for V(authenticated) is of.
        type: str
      headers:
        description: More headers. They are secrets, and are shown nowhere.
        type: dict
        default: {}
      body:
        description: What is sent; a mapping or a list is sent as JSON.
        type: raw
      status:
        description: The statuses that are as expected. Empty is any of 2xx.
        type: list
        elements: int
        default: []
      expect:
        description: A JMESPath expression that has to be true of the JSON in the answer.
        type: str
      samples:
        description: How often it is sent, to measure its latency. A probe that writes is sent once.
        type: int
        default: 20
      timeout_seconds:
        description: Seconds to wait for the whole answer.
        type: float
        default: 10
      writes:
        description: Whether it changes anything. By default every method but V(GET), V(HEAD) and V(OPTIONS) does.
        type: bool
      given:
        description: SQL that is committed before the probe is sent, such as an account to work on. Write it so that it can run twice.
        type: str
      then:
        description:
          - A query that has to return true after the probe, within 10 seconds, such as whether the audit record is there. It can change
            nothing. C(current_setting('pgops.probe_started_at')::timestamptz) is the server's time just before the probe was sent.
          - In the V(before) stage only its syntax is looked at, because what it asks for may come with the migration.
        type: str
      undo:
        description:
          - SQL that is committed at last, whatever the probe found, and takes away what O(probes[].given) and the probe wrote. Without it
            what a probe writes stays; the module undoes nothing by itself.
        type: str
  api_url:
    description: Address of the project's API, which the keys belong to. C(https), or C(http) to this machine.
    type: str
  api_keys:
    description:
      - The API's keys by role. Under V(authenticated) stands a user's token, where it cannot be signed with O(jwt_secret).
    type: dict
    default: {}
    suboptions:
      anon:
        description: The anonymous, or publishable, key.
        type: str
      authenticated:
        description: A user's access token.
        type: str
      service_role:
        description: The service role's, or secret, key.
        type: str
  jwt_secret:
    description: The secret that the API's tokens are signed with (HS256).
    type: str
  api_ca_cert:
    description: File with the authority that signed the API's certificate, where it is not one that the machine trusts.
    type: path
"""
