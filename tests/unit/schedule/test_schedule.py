# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a crontab can have a schedule, and which runs are taken back whole."""

from __future__ import annotations

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import LedgerEvent
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.choice import runs_taken_back
from ansible_collections.pgops.supabase.plugins.module_utils.schedule.timer import require_crontab_schedule


@pytest.mark.parametrize(
    "schedule",
    [
        "0 3 * * *",
        "*/5 * * * *",
        "0-30/10 1,2,3 1 jan-mar mon-fri",
        "@daily",
        "  0 3 * * 7 ",
        "@reboot",
        "5,10 * * * sun",
    ],
)
def test_what_a_crontab_can_have(schedule: str) -> None:
    require_crontab_schedule("clean up", schedule)


@pytest.mark.parametrize(
    "schedule",
    [
        "30 seconds",
        "every day",
        "0 3 * *",
        "0 3 * * * root",
        "@often",
        "0 0 $ * *",
        "0 3 * * * ; rm",
        "a b c d e",
        "0 3 * * %",
    ],
)
def test_what_a_crontab_cannot_have(schedule: str) -> None:
    with pytest.raises(InputError, match="A crontab has no such schedule"):
        require_crontab_schedule("clean up", schedule)


def applied(number: int, run_id: str | None) -> LedgerEvent:
    return LedgerEvent(number, "now", "applied", str(number), "a", "0", run_id, "somebody")


@pytest.mark.parametrize(
    ("versions", "runs"),
    [({"3"}, set()), ({"2", "3"}, {"b"}), ({"1", "2", "3"}, {"a", "b"}), ({"4"}, set()), (set(), set())],
)
def test_a_run_of_which_something_stays_keeps_its_jobs(versions: set[str], runs: set[str]) -> None:
    ledger = [applied(1, "a"), applied(2, "b"), applied(3, "b"), applied(4, None)]
    assert runs_taken_back(ledger, versions) == runs
