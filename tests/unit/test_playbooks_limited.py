# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that changes projects takes those that somebody named, and a clone has the demo's inventory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CLONE = Path(__file__).resolve().parents[2]
READ_ONLY = {"plan", "reconcile", "review", "status"}
# They start servers of their own on this machine, and reach no project elsewhere. To remove them one asks.
LOCAL = {"local_project", "init"}
CHANGING = sorted({path.stem for path in CLONE.glob("playbooks/*.yml")} - READ_ONLY - LOCAL)


def play(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook in the clone, as its reader does; with the tasks, which Ansible's own callback shows."""
    return subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), *arguments],
        cwd=CLONE,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(CLONE / "ansible.cfg"),
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_STDOUT_CALLBACK": "default",
        },
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


@pytest.mark.parametrize("playbook", CHANGING)
def test_every_playbook_that_changes_projects_asks_first_and_has_nobody_without_an_answer(playbook: str) -> None:
    (only,) = yaml.safe_load((CLONE / "playbooks" / f"{playbook}.yml").read_text())
    assert only["hosts"] == f"{{{{ {playbook}_hosts | default('all' if ansible_limit is defined else 'localhost') }}}}"
    first = (only.get("pre_tasks") or only["tasks"])[0]
    assert first["ansible.builtin.import_role"] == {"name": "pgops.supabase.project", "tasks_from": "named"}
    assert first["tags"] == ["always"]
    assert first["vars"] == {
        "project_playbook": playbook,
        "project_hosts": f"{{{{ {playbook}_hosts | default('') }}}}",
    }


def test_forgetting_the_limit_runs_nothing_and_says_what_to_type() -> None:
    done = play("playbooks/migrate.yml")
    assert done.returncode == 2
    assert "does not take every project of the inventory by itself. Nothing was changed." in done.stdout
    assert "Next: add -l prod or -e migrate_hosts=prod" in done.stdout
    assert "ready_set" not in done.stdout and "Check the gates" not in done.stdout


@pytest.mark.parametrize(
    ("states", "arguments", "asks"),
    [
        (("started", "started"), ("-e", "local_project_state=absent"), True),
        # What the first host says is not what holds for all.
        (("started", "absent"), (), True),
        (("absent", "absent"), ("-l", "all"), False),
        (("absent", "absent"), ("-e", "local_project_hosts=one"), False),
    ],
)
def test_no_local_project_loses_its_data_unasked(
    states: tuple[str, str], arguments: tuple[str, ...], asks: bool, tmp_path: Path
) -> None:
    inventory = tmp_path / "inventory.yml"
    hosts = {name: {"local_project_state": state} for name, state in zip(("one", "two"), states)}
    inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": {"local_project_state_dir": str(tmp_path)}}}))
    done = play("playbooks/local_project.yml", "-i", str(inventory), *arguments)
    assert ("Next: add -l prod or -e local_project_hosts=prod" in done.stdout) is asks, done.stdout
    assert done.returncode == (2 if asks else 0), done.stdout
    assert ("Have the local project in the state asked for" in done.stdout.partition("TASK")[2]) is not asks


@pytest.mark.parametrize(
    ("arguments", "hosts"),
    [
        (("playbooks/status.yml",), {"ready_set_dev", "ready_set_prod"}),
        (("playbooks/migrate.yml", "-l", "prod"), {"ready_set_prod"}),
        (("playbooks/migrate.yml", "-e", "migrate_hosts=dev"), {"ready_set_dev"}),
        (("playbooks/rehearse.yml", "--skip-tags=always"), {"localhost"}),
    ],
)
def test_a_clone_has_the_inventory_of_the_demo(arguments: tuple[str, ...], hosts: set[str]) -> None:
    done = play(*arguments, "--list-hosts")
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.partition("hosts (")[2].split()[1:]) == hosts
