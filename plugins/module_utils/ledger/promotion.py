# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a migration may go on to the next project: applied and verified on the one before, the same file, the same change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import VerificationFailed
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.documents import PromotionProof
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    LedgerEvent,
    is_anothers,
    newest_applied_events,
)


def prove(
    versions: Mapping[str, tuple[str, str]],
    ledger: Sequence[LedgerEvent],
    origin: str,
    history: Collection[str] = (),
) -> list[PromotionProof]:
    """What the project before has proven of each file; pure.

    :param versions: version to name and sha256 of the files that are to be applied.
    :param ledger: the events of the project they are promoted from.
    :param origin: that project's name, for the sentences.
    :param history: the versions in that project's history, whoever applied them.
    """
    events = newest_applied_events(ledger)
    proofs = [
        _proof(version, name, sha256, events.get(version), ledger, origin, by_another=version in history)
        for version, (name, sha256) in versions.items()
    ]
    _prove_together(proofs, events, origin)
    return proofs


def _prove_together(proofs: Sequence[PromotionProof], events: Mapping[str, LedgerEvent], origin: str) -> None:
    """What files did that one transaction applied without looking after each: comparable where the same files are promoted."""
    asked = [proof.version for proof in proofs]
    for last in proofs:
        event = events.get(last.version)
        change = event.details.get("batch_change") if event and not last.problem else None
        if event is None or change is None:
            continue
        together = list(event.details["batch"])
        end = asked.index(last.version) + 1
        if asked[max(0, end - len(together)) : end] != together:
            continue
        last.catalog_change, last.described, last.together = change, list(event.details["batch_changes"]), together
        for proof in proofs[end - len(together) : end]:
            if not proof.problem:
                proof.evidence = (
                    f"applied and verified on {origin} in one transaction of {len(together)} files; together they have to make the "
                    "same catalog change here"
                )


def require_same_change(
    proof: PromotionProof, change: str, described: Sequence[str], *, origin: str, state: str
) -> None:
    """The file did here what it did on the project before.

    :param change: hash of the catalog change that the file made here.
    :param described: that change in words.
    :raises VerificationFailed: when it is another one; names what was made only here and only there.
    """
    if proof.catalog_change is None or proof.catalog_change == change:
        return
    files, they = f"Migration {proof.version}_{proof.name} does", "it"
    if proof.together:
        they = "they"
        files = f"The {len(proof.together)} migrations from {proof.together[0]} to {proof.version} together do"
    here, there = set(described), set(proof.described)
    only_here = "; ".join(sorted(here - there)) or "nothing"
    only_there = "; ".join(sorted(there - here)) or "nothing"
    raise VerificationFailed(
        f"{files} not do here what {they} did on {origin}. Only here: {only_here}. Only there: {only_there}",
        where="pg_catalog",
        state=state,
        next_step=f"Compare the two schemas (module schema_diff); bring {origin} and this project together first.",
    )


def _proof(
    version: str,
    name: str,
    sha256: str,
    event: LedgerEvent | None,
    ledger: Sequence[LedgerEvent],
    origin: str,
    *,
    by_another: bool,
) -> PromotionProof:
    problem = None
    if event is None and by_another:
        problem = f"is applied on {origin} by another tool, and was not adopted there"
    elif event is None:
        problem = f"is not applied on {origin}"
    elif event.sha256 != sha256:
        problem = f"is another file than the one applied on {origin}"
    elif is_anothers(event) and not event.details["compared"]:
        reason = event.details.get("trusted", "no reason is on record")
        problem = f"was adopted on {origin} on trust, not compared with what was applied there ({reason})"
    elif not is_verified(event, ledger):
        problem = f"is applied on {origin}, but was not verified there"
    return PromotionProof(
        version=version,
        name=name,
        sha256=sha256,
        catalog_change=event.details.get("catalog_change") if event else None,
        described=list(event.details.get("catalog_changes", [])) if event else [],
        problem=problem,
        evidence=_evidence(event, origin) if event and not problem else "",
    )


def _evidence(event: LedgerEvent, origin: str) -> str:
    """What a file without a problem has behind it, and what is going to be compared."""
    if is_anothers(event):
        return (
            f"the file that another tool applied on {origin}, adopted and verified there; the catalog change that it made there "
            "is not known, so none is compared here"
        )
    if event.details.get("catalog_change") is None:
        return f"applied and verified on {origin}; its own catalog change was not read there, so none is compared here"
    return f"applied and verified on {origin}; it has to make the same catalog change here"


def is_verified(event: LedgerEvent, ledger: Sequence[LedgerEvent]) -> bool:
    """Whether an applied migration was verified: in its own transaction before COMMIT, or afterwards by an event; pure."""
    if event.details.get("verified") is True:
        return True
    return any(
        later.event == "verified" and later.version == event.version and later.sha256 == event.sha256
        for later in ledger
        if later.event_id > event.event_id
    )
