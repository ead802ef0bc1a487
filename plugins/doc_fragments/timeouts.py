# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment:
    """The bounds of every statement."""

    DOCUMENTATION = r"""
options:
  lock_timeout_seconds:
    description:
      - How long a statement waits for a lock before it gives up; more than 0, since whoever waits holds up all who come after.
      - It holds for the whole session and cannot be switched off by V(RESET ALL) in a file.
    type: float
    default: 5.0
  statement_timeout_seconds:
    description: How long a statement may take. V(0) is no limit.
    type: float
    default: 600.0
"""
