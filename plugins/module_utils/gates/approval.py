# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate of approval: what the signatures beside a plan are worth. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.pgops.supabase.plugins.module_utils.gates.documents import Approval
from ansible_collections.pgops.supabase.plugins.module_utils.gates.rules import SHOWN, Judgement, shown_list
from ansible_collections.pgops.supabase.plugins.module_utils.gates.signatures import (
    ApprovalFacts,
    Signature,
    sign_command,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.documents import MigrationPlan


@dataclass(frozen=True)
class ApprovalPolicy:
    """How many people have to sign, and who counts; no names: everybody among the allowed signers."""

    required: int
    approvers: tuple[str, ...] = ()


def judge_approval(policy: ApprovalPolicy, plan: MigrationPlan, found: ApprovalFacts) -> Judgement:
    """Enough different people signed the hash of what would run."""
    counted = approvals_that_count(policy, found.signatures)
    people = different_people(counted)
    said = shown_list([f"{item.principal} ({item.key})" for item in counted]) or "nobody"
    evidence = f"{people} of {policy.required} people signed the plan {plan.plan_hash[:16]}: {said}"
    passed_over = [
        f"{item.file}: {item.problem or 'its signer is not among the approvers'}"
        for item in found.signatures
        if item.principal not in {good.principal for good in counted}
    ]
    if passed_over:
        evidence += f". Not counted: {shown_list(passed_over)}"
    if people >= policy.required:
        return Judgement("PASS", f"{evidence}; allowed signers {found.signers_sha256[:16]}")
    if people < len(counted):
        evidence += ". Signatures that share a name or a key count once"
    if found.signed_before is not None:
        changed = shown_list(found.signed_before.changed)
        evidence += f". Signed was the plan {found.signed_before.plan_hash[:16]}, and since then: {changed}"
    who = f"one of {', '.join(policy.approvers[:SHOWN])}" if policy.approvers else "an allowed signer"
    return Judgement(
        "FAIL",
        evidence,
        f"Have {who} read the plan (playbook pgops.supabase.plan) and sign it with their own name for YOUR_NAME:\n"
        f"      {sign_command(plan.plan_hash, found.plans_dir)}\n"
        "    Where that is another machine, bring the signature here, through git for example",
    )


def approvals_that_count(policy: ApprovalPolicy, signatures: Iterable[Signature]) -> list[Approval]:
    """The good signatures of people whom the policy names."""
    return [
        Approval(principal=item.principal, key=item.key, file=item.file)
        for item in signatures
        if item.key is not None and (not policy.approvers or item.principal in policy.approvers)
    ]


def different_people(approvals: Sequence[Approval]) -> int:
    """How many people these are at least: who shares a name or a key with somebody may be the same person."""
    groups: list[set[str]] = []
    for approval in approvals:
        marks = {f"name {approval.principal.lower()}", f"key {approval.key}"}
        touched = [group for group in groups if group & marks]
        groups = [group for group in groups if not group & marks] + [marks.union(*touched)]
    return len(groups)
