# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the text of policies, their rights and the scans of their tables tell. Pure.

PostgreSQL counts no use of a policy: what is slow is told by Supabase's own advice (Supabase, "Row Level Security", "RLS performance
recommendations": call functions with a select; name the roles; database advisor 0003 auth_rls_initplan and 0006
multiple_permissive_policies), what never matters by what cannot reach it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.review.documents import PolicyFinding
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import parse_script
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import strings

_OF_THE_SESSION = frozenset(
    ("auth.uid", "auth.jwt", "auth.role", "auth.email", "current_setting", "pg_catalog.current_setting")
)
_COMMANDS = {"*": "all", "r": "select", "a": "insert", "w": "update", "d": "delete"}
_MOST_ROLES = 3


@dataclass(frozen=True, kw_only=True)
class PolicyFacts:
    """A policy as the catalog has it; ``reachable``: whether one of its roles has the right that it is about."""

    table: str
    policy: str
    command: str
    permissive: bool
    enabled: bool
    using: str
    check: str
    roles: Sequence[str]
    reachable: bool
    # Scans of the table and rows inserted, since the statistics were reset.
    touched: int


def policy_findings(policies: Sequence[PolicyFacts]) -> Iterator[PolicyFinding]:
    """What somebody should look at, policy by policy; nothing of what is in order."""
    for policy in policies:
        for says in _says(policy):
            yield PolicyFinding(table=policy.table, policy=policy.policy, says=says)
    yield from _several(policies)


def _says(policy: PolicyFacts) -> Iterator[str]:
    if not policy.enabled:
        yield "never matters: row level security is off for the table"
    if not policy.reachable:
        yield f"never matters: {', '.join(policy.roles)} may not {_COMMANDS[policy.command]} there anyway"
    if policy.enabled and policy.touched == 0:
        yield "nobody has read or written the table since the statistics were reset"
    calls = sorted({*called_per_row(policy.using), *called_per_row(policy.check)})
    if calls:
        names = ", ".join(f"{name}()" for name in calls)
        yield f"slow with many rows: {names} is asked for each row; (select {calls[0]}()) asks once"


def _several(policies: Sequence[PolicyFacts]) -> Iterator[PolicyFinding]:
    """Permissive policies of one table, role and command are all asked, for each row that the first does not let through."""
    groups: dict[tuple[str, str], dict[str, list[str]]] = {}
    for policy in policies:
        if policy.permissive and policy.enabled:
            commands = "rawd" if policy.command == "*" else policy.command
            for role in policy.roles:
                for command in commands:
                    groups.setdefault((policy.table, role), {}).setdefault(command, []).append(policy.policy)
    told: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (table, role), by_command in groups.items():
        for command, names in by_command.items():
            if len(names) > 1:
                told.setdefault((table, tuple(names)), []).append(f"{_COMMANDS[command]} by {role}")
    for (table, policies_of_it), where in told.items():
        shown = ", ".join(where[:_MOST_ROLES]) + (", ..." if len(where) > _MOST_ROLES else "")
        yield PolicyFinding(
            table=table,
            policy=", ".join(policies_of_it),
            says=f"all of them are asked for {shown}; one policy would do",
        )


def called_per_row(expression: str) -> set[str]:
    """Which functions that tell of the session an expression calls for each row: those that stand in no SELECT without FROM."""
    if not expression:
        return set()
    try:
        [statement] = parse_script("policy", f"select {expression}").statements
    except (SqlScriptError, ValueError):
        return set()
    [select] = [statement.node["targetList"]] if "targetList" in statement.node else [[]]
    return set(_calls(select))


def _calls(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _calls(item)
    elif isinstance(node, dict):
        if "SubLink" in node and "fromClause" not in node["SubLink"].get("subselect", {}).get("SelectStmt", {}):
            # Asked once, whatever is in it; what is compared with its answer is outside of it.
            yield from _calls(node["SubLink"].get("testexpr"))
            return
        if "FuncCall" in node:
            name = ".".join(strings(node["FuncCall"]["funcname"]))
            if name in _OF_THE_SESSION:
                yield name.removeprefix("pg_catalog.")
        for inner in node.values():
            yield from _calls(inner)
