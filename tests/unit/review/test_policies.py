# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the text of a policy tells."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.review.policies import (
    PolicyFacts,
    called_per_row,
    policy_findings,
)

FINE = PolicyFacts(
    table="public.notes",
    policy="own",
    command="r",
    permissive=True,
    enabled=True,
    using="(owner = ( SELECT auth.uid() AS uid))",
    check="",
    roles=["authenticated"],
    reachable=True,
    touched=1,
)


@pytest.mark.parametrize(
    ("expression", "calls"),
    [
        ("", set()),
        ("true", set()),
        # As PostgreSQL writes a policy that follows the advice.
        ("(owner = ( SELECT auth.uid() AS uid))", set()),
        ("(( SELECT (auth.jwt() ->> 'role'::text)) = 'admin'::text)", set()),
        ("(owner = auth.uid())", {"auth.uid"}),
        ("((auth.jwt() ->> 'role'::text) = 'admin'::text)", {"auth.jwt"}),
        ("(tenant = (current_setting('app.tenant'::text, true))::uuid)", {"current_setting"}),
        # In a query of its own for each row it is asked for each row of that.
        ("(EXISTS ( SELECT 1 FROM members m WHERE ((m.team = notes.team) AND (m.who = auth.uid()))))", {"auth.uid"}),
        ("(EXISTS ( SELECT 1 FROM members m WHERE (m.who = ( SELECT auth.uid() AS uid))))", set()),
        ("(auth.uid() = ANY ( SELECT m.who FROM members m))", {"auth.uid"}),
        ("(auth.uid() IN ( SELECT notes.owner))", {"auth.uid"}),
        # A name alone is no call, and another schema's function is not Supabase's.
        ("(uid = 'auth.uid()'::text)", set()),
        ("(owner = app.uid())", set()),
        ("this does not parse", set()),
    ],
)
def test_what_is_called_for_each_row(expression: str, calls: set[str]) -> None:
    assert called_per_row(expression) == calls


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, []),
        ({"enabled": False}, ["never matters: row level security is off"]),
        ({"reachable": False}, ["never matters: authenticated may not select"]),
        ({"touched": 0}, ["nobody has read or written the table"]),
        ({"using": "(owner = auth.uid())", "check": "(owner = auth.uid())"}, ["auth.uid() is asked for each row"]),
    ],
)
def test_what_somebody_should_look_at(changes: dict[str, Any], says: list[str]) -> None:
    found = list(policy_findings([dataclasses.replace(FINE, **changes)]))
    assert len(found) == len(says) and all(text in one.says for text, one in zip(says, found))


def test_several_policies_for_the_same_are_one_finding() -> None:
    other = dataclasses.replace(FINE, policy="staff", command="*")
    [found] = policy_findings([FINE, other])
    assert (found.table, found.policy) == ("public.notes", "own, staff")
    assert found.says == "all of them are asked for select by authenticated; one policy would do"
    # Restrictive ones are all meant to hold, and other roles or commands are others.
    for changes in ({"permissive": False}, {"roles": ["anon"]}, {"command": "a"}):
        assert list(policy_findings([FINE, dataclasses.replace(FINE, policy="staff", **changes)])) == []
