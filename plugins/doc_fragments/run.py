# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment:
    """The options of a phase of a run."""

    DOCUMENTATION = r"""
options:
  run_id:
    description: Identifier of the run this task is a phase of; it stands in the ledger and in the documents.
    type: str
  run_dir:
    description:
      - Directory of the run. When given, the result is also written there as a JSON document.
      - Nothing is written in check mode.
    type: path
"""
