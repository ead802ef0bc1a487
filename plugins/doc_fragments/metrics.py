# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment:
    """Metrics of the user's own."""

    DOCUMENTATION = r"""
options:
  metrics:
    description:
      - What to ask the database beside its statistics, such as how many audit records were made in the last hour.
      - Each query is one C(SELECT) in a read-only transaction that is rolled back. Of its rows one number is kept, and nothing else.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What it is, in messages and reports. No two have the same name.
        type: str
        required: true
      query:
        description: The query. Its first 1000 rows are looked at.
        type: str
        required: true
      expect:
        description:
          - >-
            A JMESPath expression that has to be true of the rows, a list of mappings by column: V([0].audits >= `1`). Left out,
            the number is only shown.
        type: str
      value:
        description: A JMESPath expression for the number that is kept. By default it is the first column of the first row.
        type: str
      timeout_seconds:
        description: How long the query may take.
        type: float
        default: 5
"""
