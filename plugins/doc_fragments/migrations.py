# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment:
    """The options of modules that read the project's migrations."""

    DOCUMENTATION = r"""
options:
  supabase_dir:
    description:
      - The project's folder in Supabase's layout; it holds C(migrations/) and C(rollbacks/).
    type: path
    required: true
"""

    LOCKING = r"""
options:
  lock_wait_seconds:
    description: How long to wait for another apply or rollback on the same project to end.
    type: float
    default: 10.0
  retries:
    description:
      - How often the whole transaction is tried again when it could not get a lock in O(lock_timeout_seconds) or was the
        victim of a deadlock. There is a growing, jittered pause between the tries.
    type: int
    default: 3
  schemas:
    description: The schemas whose catalog is compared. By default every schema that is the user's own.
    type: list
    elements: str
"""

    BASELINE = r"""
options:
  baseline:
    description:
      - The counts from before, as returned by M(pgops.supabase.row_counts) in RV(pgops.supabase.row_counts#module:row_counts),
        or the path of its C(counts-before.json).
      - When given, what the transaction did to the number of rows of these tables is judged before it commits.
    type: raw
"""
