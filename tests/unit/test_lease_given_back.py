# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lease that cannot be given back keeps no phase behind it from running."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = ("adopt", "backup", "migrate", "restore", "rollback")


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_that_it_could_not_be_given_back_is_said_and_is_no_failure() -> None:
    (task,) = read("roles/project/tasks/lease_released.yml")
    assert task["block"][0]["pgops.supabase.run_lease"]["state"] == "released"
    assert [next(iter(set(said) & {"ansible.builtin.debug", "ansible.builtin.fail"})) for said in task["rescue"]] == [
        "ansible.builtin.debug"
    ]


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_no_playbook_gives_it_back_otherwise(playbook: str) -> None:
    text = (ROOT / "playbooks" / f"{playbook}.yml").read_text(encoding="utf-8")
    assert "tasks_from: lease_released" in text
    assert "state: released" not in text
