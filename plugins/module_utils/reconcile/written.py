# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""reconcile.md: the report as Markdown. Pure."""

from __future__ import annotations

from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.documents import Reconciliation
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.sections import headline, sections


def markdown(found: Reconciliation) -> str:
    """The report for reconcile.md."""
    lines = [f"# {headline(found)}", ""]
    for section in sections(found):
        lines += section.as_markdown()
    return "\n".join(lines).rstrip() + "\n"
