# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of gates: their names, who let one pass and why, and what they say together. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.gates.documents import GateResult
from ansible_collections.pgops.supabase.plugins.module_utils.gates.rules import Judgement
from ansible_collections.pgops.supabase.plugins.module_utils.validation.documents import Verdict

# In the order in which they are read and shown.
GATES = (
    "identity",
    "pooler",
    "privileges",
    "versions",
    "disk",
    "long_transactions",
    "prepared_transactions",
    "invalid_objects",
    "replication_lag",
    "git",
    "lint",
    "approval",
    "window",
    "lease",
    "backup_age",
    "rehearsal",
)
# Waiving these takes away what keeps a run from hitting another database, or half of a session.
LOUD_GATES = ("identity", "pooler")


def require_valid_waivers(waivers: Mapping[str, object]) -> dict[str, str]:
    """The waivers as given, each with a reason.

    :raises InputError: when a gate is unknown or a reason is missing.
    """
    unknown = sorted(set(waivers) - set(GATES))
    if unknown:
        raise InputError(
            f"There is no gate {', '.join(unknown)} to waive",
            where="waivers",
            next_step=f"The gates are: {', '.join(GATES)}.",
        )
    for name, reason in waivers.items():
        if not isinstance(reason, str) or not reason.strip():
            raise InputError(
                f"Gate {name} cannot be waived without a reason",
                where=f"waivers.{name}",
                next_step="Say why in a sentence: it stands in the run's documents.",
            )
    return {name: str(reason).strip() for name, reason in waivers.items()}


def gate_result(name: str, judgement: Judgement, waivers: Mapping[str, str]) -> GateResult:
    """The gate as it stands in the table: a failure that is waived passes, and says so."""
    reason = waivers.get(name)
    if judgement.verdict != "FAIL" or reason is None:
        return GateResult(
            name=name, verdict=judgement.verdict, evidence=judgement.evidence, next_step=judgement.next_step
        )
    warning = "WAIVED AGAINST THE EVIDENCE, at the operator's own risk: " if name in LOUD_GATES else ""
    return GateResult(
        name=name,
        verdict="WAIVED",
        evidence=warning + judgement.evidence,
        waiver=reason,
        next_step=judgement.next_step,
    )


def overall(gates: Sequence[GateResult]) -> Verdict:
    """The table's verdict: a waived gate is worth a warning."""
    verdicts = {gate.verdict for gate in gates}
    if "FAIL" in verdicts:
        return "FAIL"
    return "WARNING" if verdicts & {"WARNING", "WAIVED"} else "PASS"
