# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a run: what a person reads at the end, as text for the terminal, as Markdown and as a page for the record. Pure."""

from __future__ import annotations

from ansible_collections.pgops.supabase.plugins.module_utils.report.headline import headline
from ansible_collections.pgops.supabase.plugins.module_utils.report.section import Documents
from ansible_collections.pgops.supabase.plugins.module_utils.report.sections import sections, written_sections
from ansible_collections.pgops.supabase.plugins.module_utils.report.short import short_lines
from ansible_collections.pgops.supabase.plugins.module_utils.report.written import watch_command
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord

__all__ = ["headline", "markdown", "summary_lines"]


def summary_lines(run: RunRecord, documents: Documents, directory: str | None, *, full: bool = True) -> list[str]:
    """The report as text for the terminal.

    :param full: with what is in order too; else what somebody should look at, and how much there is of the rest. The failure
        is not in it then: it was said by the task that failed.
    """
    lines = [headline(run, documents)]
    found = sections(run, documents, full=full)
    kept = directory if run.verdict != "dry_run" else None
    watch = watch_command(run) if run.verdict == "migrated" and kept else None
    if not full:
        # The block of a failure ends with the directory.
        return lines + short_lines(found, None if run.failure else kept, watch)
    for section in found:
        lines += ["", *section.as_text()]
    if kept is not None:
        lines += ["", "Documents", f"  {kept}"]
    if watch is not None:
        lines += ["", "Watch it against what was before", f"  {watch}"]
    return lines


def markdown(run: RunRecord, documents: Documents) -> str:
    """The report as Markdown, for report.md."""
    lines = [f"# {headline(run, documents)}", ""]
    for section in written_sections(run, documents):
        lines += section.as_markdown()
    return "\n".join(lines).rstrip() + "\n"
