# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions that PostgreSQL writes in two ways are one."""

from __future__ import annotations

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.expressions import canonical_expression


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("CHECK ((((a >= 1) AND (a <= 2)) AND (b > 0)))", "CHECK (((a >= 1) AND (a <= 2) AND (b > 0)))"),
        ("CHECK (((a >= 1) AND (a <= 2) AND (b > 0)))", "CHECK (((a >= 1) AND (a <= 2) AND (b > 0)))"),
        ("((a AND b) AND (c AND d))", "(a AND b AND c AND d)"),
        ("((a OR b) AND (c OR d))", "((a OR b) AND (c OR d))"),
        ("(((a OR b) OR c) AND d)", "((a OR b OR c) AND d)"),
        (
            "((s)::text = ANY ((ARRAY['a'::character varying, 'b, c'::character varying])::text[]))",
            "((s)::text = ANY (ARRAY[('a'::character varying)::text, ('b, c'::character varying)::text]))",
        ),
        ("(x = ANY (ARRAY[1, 2]))", "(x = ANY (ARRAY[1, 2]))"),
        ("((m = ANY ((ARRAY[f(1, 2), g])::public.\"Odd []\"[])) AND q)", "((m = ANY (ARRAY[(f(1, 2))::public.\"Odd []\", (g)::public.\"Odd []\"])) AND q)"),
        ("(a = ' AND (' )", "(a = ' AND (' )"),
        ("(((a = ') AND (') AND b) AND (c = E'\\') AND '))", "((a = ') AND (') AND b AND (c = E'\\') AND '))"),
        ('("x AND y" AND ("z)" AND w))', '("x AND y" AND "z)" AND w)'),
        ("sum(x) OVER (ORDER BY y ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)", None),
        ("unbalanced ( AND", None),
        (
            "SELECT t.a\n   FROM t\n  WHERE (((t.a > 1) AND (t.b > 2)) AND (t.c > 3));",
            "SELECT t.a\n   FROM t\n  WHERE ((t.a > 1) AND (t.b > 2) AND (t.c > 3));",
        ),
    ],
)  # fmt: skip
def test_one_form(written: str, canonical: str | None) -> None:
    expected = written if canonical is None else canonical
    assert canonical_expression(written) == expected
    assert canonical_expression(expected) == expected
