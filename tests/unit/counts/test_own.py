# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several transactions did to the number of rows, as one: plain data in and out."""

from __future__ import annotations

import dataclasses

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowChange
from ansible_collections.pgops.supabase.plugins.module_utils.counts.own import OwnWork

A, B, C = (("public", name) for name in "abc")


def test_changes_add_up_and_what_cancels_out_is_gone() -> None:
    assert OwnWork({A: 2, B: 1}).then(OwnWork({A: -2, C: 3})) == OwnWork({B: 1, C: 3})


def test_after_truncate_only_what_follows_counts() -> None:
    both = OwnWork({A: 2}).then(OwnWork({A: 5}, emptied=frozenset({A}))).then(OwnWork({A: -1}))
    assert both == OwnWork({A: 4}, emptied=frozenset({A}))


def test_a_table_that_is_renamed_takes_its_changes_along() -> None:
    there = OwnWork({A: 2}).then(OwnWork({B: 1}, renamed={A: B}))
    assert there == OwnWork({B: 3}, renamed={A: B})
    assert there.then(OwnWork(renamed={B: C})) == OwnWork({C: 3}, renamed={A: C})
    assert there.then(OwnWork(renamed={B: A})) == OwnWork({A: 3})


def test_a_table_that_was_dropped_and_comes_back_is_emptied() -> None:
    both = OwnWork(emptied=frozenset({A})).then(OwnWork({A: 3}))
    assert both == OwnWork({A: 3}, emptied=frozenset({A}))


def test_it_is_the_same_when_it_was_written_and_read() -> None:
    work = OwnWork({B: 1, C: -2}, emptied=frozenset({A, B}), renamed={("x", "old"): C})
    assert OwnWork.of(from_dict(RowChange, dataclasses.asdict(row)) for row in work.as_rows()) == work


def test_older_documents_are_read() -> None:
    assert OwnWork.of([from_dict(RowChange, {"schema": "public", "table": "a", "change": 2})]) == OwnWork({A: 2})
