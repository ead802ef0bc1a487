# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The risk of single differences, which of several is told, and what is a part of what."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.documents import Difference
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.job import compare
from tests.unit.reconcile.examples import state

TABLE = {"owner": "postgres", "privileges": ["postgres=arwdDxt/postgres"], "row security": True}


def differences(source: dict[str, Any], target: dict[str, Any], **rows: Any) -> list[Difference]:
    """What differs between two catalogs."""
    return compare([], state("dev", catalog=source, **rows), state("prod", catalog=target, **rows)).differences


@pytest.mark.parametrize(
    ("key", "one", "other", "risk"),
    [
        ("table public.a", TABLE, {**TABLE, "comment": "x"}, "cosmetic"),
        # The worst of what differs is what counts.
        ("table public.a", TABLE, {**TABLE, "comment": "x", "row security": False}, "security"),
        ("table public.a", TABLE, {**TABLE, "persistence": "unlogged", "owner": "x"}, "data_loss"),
        ("function public.f()", {"definition": "x SECURITY DEFINER"}, {"definition": "x"}, "security"),
        ("function public.f()", {"definition": "y"}, {"definition": "x"}, "availability"),
        ("view public.v", {"options": ["security_invoker=true"]}, {"options": []}, "security"),
        ("view public.v", {"options": ["security_invoker=on"]}, {"options": ["security_invoker=false"]}, "security"),
        ("view public.v", {"options": ["security_invoker=off"]}, {"options": []}, "availability"),
        ("view public.v", {"options": ["security_barrier=true"]}, {"options": []}, "availability"),
        ("constraint k on public.a", {"definition": "x ON DELETE CASCADE"}, {"definition": "x"}, "data_loss"),
        ("policy p on public.a", {"roles": ["anon"]}, {"roles": ["public"]}, "security"),
        ("policy p on public.a", {"roles": ["anon"]}, {"roles": ["anon"], "comment": "x"}, "cosmetic"),
        (
            "default privileges of postgres for tables in public",
            {"privileges": ["a"]},
            {"privileges": ["b"]},
            "security",
        ),
        ("extension x", {"version": "1"}, {"version": "2"}, "availability"),
        ("publication p", {"tables": {"public.a": {}}}, {}, "availability"),
    ],
)
def test_each_difference_has_its_risk_in_both_directions(
    key: str, one: dict[str, Any], other: dict[str, Any], risk: str
) -> None:
    for source, target in ((one, other), (other, one)):
        (only,) = differences({key: source}, {key: target})
        assert (only.direction, only.risk) == ("differs", risk) and only.reason.endswith(".")


def test_a_column_of_a_view_holds_no_rows_that_could_be_lost() -> None:
    view = {"view public.v": {"definition": "select 1 as a"}}
    more = {"view public.v": {"definition": "select 1 as a, 2 as b"}, "column public.v.b": {"type": "integer"}}
    assert {one.risk for one in differences(view, more)} == {"availability"}
    table = {"table public.v": TABLE}
    (only,) = differences(table, {**table, "column public.v.b": {"type": "integer"}})
    assert only.risk == "data_loss"


def test_jobs_that_one_project_does_not_show_are_not_compared() -> None:
    jobs = {"nightly": {"schedule": "@daily", "command": "0" * 64, "active": True, "role": "postgres"}}
    hidden = state("prod", cron_jobs=None)
    assert compare([], state("dev", cron_jobs=jobs), hidden).equal
    assert not compare([], state("dev", cron_jobs=jobs), state("prod")).equal


def test_a_table_is_told_once_with_all_that_came_with_it() -> None:
    catalog = {
        'table public."Odd one"': TABLE,
        'column public."Odd one".id': {"position": 1},
        'constraint "Odd one_pkey" on public."Odd one"': {"definition": "PRIMARY KEY (id)"},
        'index public."Odd one_pkey"': {
            "definition": 'CREATE UNIQUE INDEX "Odd one_pkey" ON public."Odd one" USING btree (id)'
        },
        'policy p on public."Odd one"': {"roles": ["anon"]},
        'sequence public."Odd one_id_seq"': {"owned by": 'public."Odd one".id'},
    }
    for rows, risk in (
        ({'public."Odd one"': 0}, "availability"),
        ({'public."Odd one"': 1}, "data_loss"),
        (None, "data_loss"),
    ):
        (only,) = differences({}, catalog, rows=rows)
        assert (only.object_type, only.object_name, only.direction, only.risk) == (
            "table",
            'public."Odd one"',
            "only_target",
            risk,
        )
        assert len(only.parts) == 4 and only.detail == "1 column"
    (only,) = differences(catalog, {}, rows={'public."Odd one"': 5})
    assert (only.direction, only.risk) == ("only_source", "availability")
    assert only.impact is not None and only.impact.source_rows == 5


def test_one_more_column_moves_no_other_but_another_order_is_told() -> None:
    table = {"table public.a": TABLE}
    two = {"column public.a.b": {"position": 1}, "column public.a.c": {"position": 2}}
    three = {
        "column public.a.new": {"position": 1},
        "column public.a.b": {"position": 2},
        "column public.a.c": {"position": 3},
    }
    assert [d.object_name for d in differences({**table, **three}, {**table, **two})] == ["public.a.new"]
    turned = {"column public.a.b": {"position": 2}, "column public.a.c": {"position": 1}}
    assert [(d.object_name, d.risk) for d in differences({**table, **two}, {**table, **turned})] == [
        ("public.a.b", "cosmetic"),
        ("public.a.c", "cosmetic"),
    ]
