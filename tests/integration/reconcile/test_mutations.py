# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schemas and changes made by chance: each change is found once, with its direction and risk, and nothing else; pg_dump judges."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import SessionSettings
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.documents import Reconciliation
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.job import compare
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.reading import read_project
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.integration import generated_batches, snapshots
from tests.integration.live import LiveProject, NewProject
from tests.integration.reconcile.mutations import MUTATIONS, draw


def look(source: LiveProject, target: LiveProject) -> Reconciliation:
    """The comparison of two databases, without any files."""
    settings = SessionSettings(read_only=True)
    return compare([], *(read_project(name, p.options, settings) for name, p in (("one", source), ("two", target))))


def told(found: Reconciliation) -> set[tuple[str, str, str]]:
    """The differences in short."""
    return {(f"{d.object_type} {d.object_name}", d.direction, d.risk) for d in found.differences}


def same_by_pg_dump(*projects: LiveProject) -> bool:
    """Whether pg_dump writes the same."""
    one, other = map(snapshots.schema_dump, projects)
    return one == other


@pytest.mark.parametrize("number", range(10))
def test_every_change_is_found_and_classified_and_nothing_else(number: int, new_project: NewProject) -> None:
    source, target = new_project(), new_project()
    side = ("source", "target")[number % 2]
    changed, other = (source, target) if side == "source" else (target, source)
    drawn = draw(number, side, SUPERUSER)
    # What a batch gets wrong it gets wrong on both.
    batch = "\n".join(generated_batches.batch(number).values())
    for project in (source, target):
        project.psql(f"{generated_batches.START}\n\\set ON_ERROR_STOP off\n{batch}\n;rollback;")
        project.psql(drawn.before, SUPERUSER)
    for _time in range(2):
        assert told(look(source, target)) == set() and same_by_pg_dump(source, target)
    changed.psql(drawn.change, SUPERUSER)
    for _time in range(2):
        found = look(source, target)
        assert told(found) == drawn.told
        assert len(found.differences) == len(drawn.told) and not found.equal
        assert not same_by_pg_dump(source, target)
    other.psql(drawn.change, SUPERUSER)
    assert told(look(source, target)) == set() and same_by_pg_dump(source, target)


def test_chance_draws_every_change() -> None:
    def alone(number: int) -> Any:
        return draw(number, "source", "postgres").change

    everything = "".join(map(alone, range(200)))
    for mutation in MUTATIONS:
        longest = max(mutation.change.replace("{", "}").split("}")[::2], key=len)
        assert longest in everything
