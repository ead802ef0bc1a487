# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to bring two projects together, what speaks for each and against it, and the one that fits what was found. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.documents import (
    Difference,
    HistoryFinding,
    Strategy,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.findings import playbook

# In this order: what only the history says first, then text, then what changes a schema.
_HISTORY = ("half_done", "renumbered", "duplicate", "by_hand")
_TEXT = ("without_file", "edited", "recorded_otherwise")
_FILES = ("not_applied", "pending", "out_of_order")


def strategies(
    history: Sequence[HistoryFinding], differences: Sequence[Difference], *, source: str, target: str
) -> list[Strategy]:
    """What can be done, the recommended one first; nothing where nothing was found."""
    if not history and not differences:
        return []
    unexplained = [d for d in differences if d.cause is None]
    steps = list(_steps(history, unexplained, source=source, target=target))
    made = [_step_by_step(steps)]
    if differences:
        made += [_bridge(source, target), _follow(source, target, differences)]
    if history:
        made.append(_baseline(source, target))
    return made


def _steps(
    history: Sequence[HistoryFinding], unexplained: Sequence[Difference], *, source: str, target: str
) -> Iterator[str]:
    """The commands of the recommended way, in order, each once."""
    said: set[str] = set()
    for kinds in (_HISTORY, _TEXT):
        for finding in history:
            if finding.finding in kinds and finding.next_command not in said:
                said.add(finding.next_command)
                yield f"{finding.next_command}   # on {_of(finding, source, target)}: {finding.finding.replace('_', ' ')} {finding.version}"
    for side, name in (("source", source), ("target", target)):
        # All or nothing: it can be done when no row is without its file any more.
        if any(f.on == side and "--status applied" in f.next_command for f in history):
            yield f"{playbook('adopt', name)}   # what was repaired is taken into the ledger, where the files are what was applied"
    # The two may wait for the same files: a playbook takes all that are pending, and its widest form is enough.
    for side, name in (("source", source), ("target", target)):
        waiting = [f for f in history if f.finding in _FILES and (f.on == side or f.finding == "not_applied")]
        if waiting:
            late = [f for f in waiting if "allow_out_of_order" in f.next_command]
            options = ["-e preflight_allow_out_of_order=true"] if late else []
            versions = ", ".join(dict.fromkeys(f.version for f in waiting))
            yield f"{playbook('migrate', name, *options)}   # {versions}"
    if unexplained:
        number = f"{len(unexplained)} difference{'' if len(unexplained) == 1 else 's'}"
        yield f"{_bridge_command(target)}   # {number} that no migration accounts for"
    yield f"{playbook('reconcile', target)}   # again: nothing may be left"


def _of(finding: HistoryFinding, source: str, target: str) -> str:
    return source if finding.on == "source" else target


def _step_by_step(steps: list[str]) -> Strategy:
    return Strategy(
        name="Step by step",
        recommended=True,
        what="First the history is made to say what is so, then the files that wait are applied, then a bridge closes the rest.",
        pros=[
            "Each step is proven before the next one, and each can be taken back",
            "Git stays the one text that makes both projects",
            "The history's repair touches no object and no row",
        ],
        cons=["It is several steps, and somebody reads each finding", "Until the last one the two differ"],
        steps=steps,
    )


def _bridge(source: str, target: str) -> Strategy:
    return Strategy(
        name=f"One bridge from {target} to {source}",
        recommended=False,
        what=f"One drafted migration has {target} be what {source} is, whatever the histories say.",
        pros=[
            "One file to review, to rehearse and to roll back",
            "It does not depend on how the difference came about",
        ],
        cons=[
            f"What only {target} has, a fix that was made there for instance, is taken away unless somebody keeps it",
            "The files that wait have to be recorded as applied afterwards",
            "A draft knows schemas, not intentions: what fills new columns has to be written by a person",
        ],
        steps=[
            _bridge_command(target),
            "git add, review, then " + playbook("rehearse", target),
            playbook("migrate", target),
        ],
    )


def _follow(source: str, target: str, differences: Sequence[Difference]) -> Strategy:
    kept = sum(d.direction == "only_target" for d in differences)
    return Strategy(
        name=f"{source} follows {target}",
        recommended=False,
        what=f"{target} is right: what it has of its own goes into git as a migration, and what {source} alone has is given up.",
        pros=[
            f"{target} is not touched",
            f"The {kept} objects that only {target} has come into git" if kept else "No downtime",
        ],
        cons=[f"What was developed on {source} is lost, or has to be made again"],
        steps=[
            f"supabase db pull --linked   # linked to {target}; read it before it is committed",
            playbook("migrate", source),
        ],
    )


def _baseline(source: str, target: str) -> Strategy:
    return Strategy(
        name="A new baseline",
        recommended=False,
        what=f"The schema of {target} becomes one file that begins the history anew, recorded as applied on both.",
        pros=["The past need not be understood", "A new project is made by one file"],
        cons=[
            "Who wrote what, and why, is in git's log only",
            "Rollbacks and proofs of single migrations are worth nothing any more",
            f"{source} has to be equal to {target} first, or is made anew",
        ],
        steps=[
            "supabase migration squash --linked",
            "supabase migration repair --linked --status applied <version>   # on both",
        ],
    )


def _bridge_command(target: str) -> str:
    return playbook("reconcile", target, "-e reconcile_bridge=true")
