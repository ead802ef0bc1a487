# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waivers: comments in a file that say which findings are accepted, and why. They stay on record."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import Position
from ansible_collections.pgops.supabase.plugins.module_utils.lint.batch import finding
from ansible_collections.pgops.supabase.plugins.module_utils.lint.documents import LintFinding
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Script, position_at

_WAIVER = re.compile(r"--\s*pgops:\s*allow\b[ \t]*(\S*)[ \t]*(.*)")


@dataclass(frozen=True)
class Waiver:
    """One waiver; it covers the lines from ``first_line`` to ``last_line``, or the whole file when they are None."""

    code: str
    reason: str
    position: Position
    first_line: int | None
    last_line: int | None

    def covers(self, item: LintFinding) -> bool:
        """Whether it is this finding that is waived; one on the file as a whole is, wherever the waiver stands."""
        if (item.code, item.file) != (self.code, self.position.file):
            return False
        if not item.statement:
            return True
        return self.first_line is None or self.last_line is None or self.first_line <= item.line <= self.last_line


def read_waivers(script: Script) -> list[Waiver]:
    """The waivers of a file. Only real comments count, not what stands in a string or in a function's body."""
    if "pgops:" not in script.text:
        return []
    from pglast import parser

    found = []
    for token in parser.scan(script.text):
        match = _WAIVER.match(script.text, token.start, token.end + 1) if token.name == "SQL_COMMENT" else None
        if match:
            position = position_at(script.file, script.text, token.start)
            first, last = _lines_covered(script, position.line)
            found.append(Waiver(match[1], match[2].strip(), position, first, last))
    return found


def _lines_covered(script: Script, line: int) -> tuple[int | None, int | None]:
    """The lines of the statement that a comment stands in, beside, or directly above, comments between; else none."""
    lines = script.text.split("\n")
    below = line + 1
    while below <= len(lines) and lines[below - 1].lstrip().startswith("--"):
        below += 1
    for statement in script.statements:
        first = statement.position.line
        last = first + statement.sql.count("\n")
        if first <= line <= last or first == below:
            return first, last
    return None, None


def apply_waivers(
    findings: Sequence[LintFinding], waivers: Sequence[Waiver], excluded: Sequence[str] = ()
) -> list[LintFinding]:
    """The findings with those marked that are waived, and what is to be said of the waivers themselves."""
    result: list[LintFinding] = []
    used: set[Waiver] = set()
    for item in findings:
        covering = [waiver for waiver in waivers if waiver.covers(item)]
        used.update(covering)
        reason = next((waiver.reason for waiver in covering if waiver.reason), None)
        result.append(replace(item, waived=True, waiver_reason=reason) if reason else item)
    for waiver in waivers:
        if not waiver.reason:
            result.append(
                finding(
                    "waiver-without-reason",
                    "warning",
                    waiver.position,
                    f"The waiver of {waiver.code or 'nothing'} gives no reason, so it does not count",
                    f"Write: -- pgops: allow {waiver.code or '<code>'} <why this is safe here>",
                )
            )
        elif waiver not in used and waiver.code not in excluded:
            result.append(
                finding(
                    "unused-waiver",
                    "notice",
                    waiver.position,
                    f"There is no finding {waiver.code} that this waiver would cover",
                    "Remove it, or check the code and its place: directly above its statement, or apart from any for the file.",
                )
            )
    return result
