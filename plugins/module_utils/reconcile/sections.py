# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sections of a reconciliation's report as data: what feeds reconcile.md and reconcile.html alike. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.documents import (
    RISKS,
    Difference,
    Reconciliation,
    Risk,
    Strategy,
)
from ansible_collections.pgops.supabase.plugins.module_utils.report.section import Section

RISK_WORDS: Mapping[Risk, str] = {
    "data_loss": "DATA LOSS",
    "security": "SECURITY",
    "availability": "AVAILABILITY",
    "cosmetic": "COSMETIC",
}
TIMELINES, STRATEGIES = "Timelines", "Strategies"
_RISK_MEANS: Mapping[Risk, str] = {
    "data_loss": "rows or values are gone when the one is brought to the other, or by what is already so",
    "security": "somebody can read or write on one side what they cannot on the other",
    "availability": "what works on one side fails on the other, or the next migration does",
    "cosmetic": "no statement has another result",
}


def headline(found: Reconciliation) -> str:
    """How it ended, in one line."""
    source, target = found.source.name, found.target.name
    if found.equal:
        return f"{target}: EQUAL to {source} and to git"
    of_risk = ", ".join(f"{count} {risk.replace('_', ' ')}" for risk, count in found.by_risk.items() if count)
    return f"{target}: DIFFERS from {source}: {of_risk}"


def sections(found: Reconciliation) -> list[Section]:
    """All sections in the order in which they are read; strategies are one each, after the impact."""
    made = [
        *_summary(found),
        *_timelines(found),
        *_divergence(found),
        *_history(found),
        *_next(found),
        *_differences(found),
        *_impact(found),
        *(section for strategy in found.strategies for section in _strategy(strategy)),
        *_risks(found),
        *_not_compared(found),
    ]
    return [section for section in made if section.rows]


def where(difference: Difference, found: Reconciliation) -> str:
    """On which side it is, in words."""
    words = {
        "only_source": f"only on {found.source.name}",
        "only_target": f"only on {found.target.name}",
        "only_git": "only in git",
    }
    return words.get(difference.direction, "differs")


def _summary(found: Reconciliation) -> Iterator[Section]:
    rows = [("result", headline(found).partition(": ")[2])]
    for role, look in (("target", found.target), ("compared with", found.source)):
        counted = "rows not counted" if look.rows is None else f"{look.rows:,} rows"
        rows.append(
            (
                role,
                f"{look.name}: PostgreSQL {look.server_version}, {number(look.migrations, 'migration')}, "
                f"{look.objects:,} objects, {counted}, schema {look.fingerprint[:16]}, read {look.taken_at}",
            )
        )
    rows.append(("history", number(len(found.history), "finding") if found.history else "git and both histories agree"))
    rows.append(("schema", number(len(found.differences), "difference") if found.differences else "equal"))
    if found.divergence:
        first = found.divergence[0]
        rows.append(("they differ since", f"{first.since or 'not known'}, after {first.after or 'the beginning'}"))
    if found.next_command:
        rows.append(("next", found.next_command))
    rows += [("note", note) for note in found.notes]
    rows += [("note", f"{look.name}: {note}") for look in (found.source, found.target) for note in look.notes]
    if found.ignored:
        rows.append(("ignored", number(found.ignored, "object or attribute")))
    yield Section("Summary", ("", ""), rows)


def _timelines(found: Reconciliation) -> Iterator[Section]:
    rows = [
        (
            f"{entry.version}_{entry.name}".rstrip("_"),
            "yes" if entry.in_git else "no",
            "yes" if entry.on_source else "no",
            "yes" if entry.on_target else "no",
            ", ".join(
                [
                    *(word.replace("_", " ") for word in entry.findings),
                    *([f"same as {entry.same_as}"] if entry.same_as else []),
                ]
            ),
        )
        for entry in found.timeline
    ]
    header = ("migration", "git", found.source.name, found.target.name, "says")
    yield Section(TIMELINES, header, rows, in_order=lambda row: row[1:4] == ("yes", "yes", "yes") and not row[4])


def _divergence(found: Reconciliation) -> Iterator[Section]:
    rows = [
        (
            point.after or "the beginning",
            ", ".join(point.source) or "-",
            ", ".join(point.target) or "-",
            (
                f"{point.since} ({'in the ledger' if point.since_is == 'applied' else 'by its version'})"
                if point.since
                else "-"
            ),
        )
        for point in found.divergence
    ]
    yield Section("Divergence points", ("after", f"{found.source.name} has", f"{found.target.name} has", "since"), rows)


def _history(found: Reconciliation) -> Iterator[Section]:
    names = {"source": found.source.name, "target": found.target.name}
    rows = [
        (
            RISK_WORDS[f.risk],
            f.finding.replace("_", " "),
            f"{f.version}_{f.name}".rstrip("_"),
            names[f.on],
            f"{f.evidence}. {f.reason}",
        )
        for f in found.history
    ]
    yield Section("History", ("risk", "finding", "migration", "on", "evidence, and why it matters"), rows)


def _next(found: Reconciliation) -> Iterator[Section]:
    rows = [(f"{f.finding.replace('_', ' ')} {f.version}", f.next_command, f.would_change) for f in found.history]
    yield Section("What to type for each", ("finding", "command", "what it changes"), rows)


def _differences(found: Reconciliation) -> Iterator[Section]:
    rows = []
    for d in found.differences:
        detail = "; ".join(filter(None, (d.detail, f"with {number(len(d.parts), 'part')}" if d.parts else "")))
        why = f"{d.reason} ({detail})" if detail else d.reason
        rows.append(
            (RISK_WORDS[d.risk], f"{d.object_type} {d.object_name}", where(d, found), why, d.cause or "no migration")
        )
    changes = f"why it matters (and from {found.target.name} to {found.source.name})"
    yield Section("Differences", ("risk", "object", "where", changes, "comes from"), rows)


def _impact(found: Reconciliation) -> Iterator[Section]:
    about: dict[str, int] = {}
    for difference in found.differences:
        if difference.impact:
            about[difference.impact.table] = about.get(difference.impact.table, 0) + 1
    rows = [
        (rows.table, _count(rows.source), _count(rows.target), str(about.get(rows.table, 0)))
        for rows in sorted(found.rows, key=lambda rows: (-about.get(rows.table, 0), rows.table))
    ]
    header = ("table", f"rows on {found.source.name}", f"rows on {found.target.name}", "differences")
    yield Section("Impact", header, rows, in_order=lambda row: row[3] == "0")


def _strategy(strategy: Strategy) -> Iterator[Section]:
    rows = [("what", strategy.what)]
    rows += [("for it", text) for text in strategy.pros]
    rows += [("against it", text) for text in strategy.cons]
    rows += [(f"step {place}", text) for place, text in enumerate(strategy.steps, 1)]
    word = ", recommended" if strategy.recommended else ""
    yield Section(f"Strategy: {strategy.name}{word}", ("", ""), rows)


def _risks(found: Reconciliation) -> Iterator[Section]:
    rows = []
    for risk in RISKS:
        if found.by_risk.get(risk):
            reasons = [d.reason for d in found.differences if d.risk == risk] + [
                f.reason for f in found.history if f.risk == risk
            ]
            worst = list(dict.fromkeys(reasons))
            more = f" And {len(worst) - 3} more reasons." if len(worst) > 3 else ""
            rows.append((RISK_WORDS[risk], str(found.by_risk[risk]), _RISK_MEANS[risk], " ".join(worst[:3]) + more))
    yield Section("Risks", ("risk", "number", "means", "here"), rows)


def _not_compared(found: Reconciliation) -> Iterator[Section]:
    yield Section("Not compared", ("",), [(text,) for text in found.not_compared])


def _count(rows: int | None) -> str:
    return "-" if rows is None else str(rows)
