# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The linter's findings as people read them: the same of many files is said once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from ansible_collections.pgops.supabase.plugins.module_utils.lint.documents import FindingGroup, LintFinding

# More places than these are counted.
_SHOWN = 3


def grouped(findings: Sequence[LintFinding]) -> list[FindingGroup]:
    """The findings in their order; where there are more than three of a code and level, they are one group."""
    same: dict[tuple[str, str, bool], list[LintFinding]] = {}
    for item in findings:
        same.setdefault((item.code, item.level, item.waived), []).append(item)
    groups = []
    for items in same.values():
        portions = [items] if len(items) > _SHOWN else [[item] for item in items]
        groups += [_group(portion) for portion in portions]
    return groups


def in_project(file: str) -> str:
    """A migration's or rollback's path from the folder of the project on: C(supabase/migrations/1_first.sql)."""
    return "/".join(PurePath(file).parts[-3:])


def _group(items: Sequence[LintFinding]) -> FindingGroup:
    first = items[0]
    places = [f"{in_project(item.file)}:{item.line}:{item.column}" for item in items]
    if len(items) == 1:
        where = places[0]
    else:
        files = len({item.file for item in items})
        count = f"{files} files" if files == len(items) else f"{len(items)} places in {files} file{'s' * (files > 1)}"
        where = f"{count}: {', '.join(places[:_SHOWN])} and {len(items) - _SHOWN} more"
    reasons = [(item.waiver_reason or "") if item.waived else item.reason for item in items]
    return FindingGroup(
        code=first.code,
        level=first.level,
        waived=first.waived,
        where=where,
        reason=reasons[0] if len(set(reasons)) == 1 else f"{reasons[0]}; and the like",
        fix=first.fix,
    )
