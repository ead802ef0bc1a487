# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs that lose their disk or their process after COMMIT: the team hears of it, and the next run tidies up."""

from __future__ import annotations

from pathlib import Path

from tests.faults.kept import mounted
from tests.integration import receivers
from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject

WAIVERS = {"git": "a test", "identity": "a test", "lint": "a test"}
VERSION = "20260102000000"
# What the application's own tasks do when the run lets the writes on again: by then it is committed and verified.
FILLS_THE_DISK = """
- name: Fill the disk
  ansible.builtin.command: dd if=/dev/zero of={place}/filler bs=4k
  changed_when: true
  failed_when: false
  when: maintenance_state == "off"
"""


def test_a_disk_that_is_full_after_commit_is_told_and_keeps_nothing_stopped(
    project: LiveProject, tmp_path: Path
) -> None:
    project.psql(TABLES)
    for number in range(2):
        with mounted(tmp_path / f"runs{number}") as disk, receivers.web() as web:
            disk.resize(pages=4096)
            application = Application(project, tmp_path / "supabase")
            application.migration(f"{number + 1}_labels", f"create table public.labels{number} (id int primary key);")
            tasks = tmp_path / "maintenance.yml"
            tasks.write_text(FILLS_THE_DISK.format(place=disk.place))
            variables = {
                "project_state_dir": str(disk.place),
                "project_maintenance": {"strategy": "tasks", "tasks_file": str(tasks)},
                "preflight_waivers": WAIVERS,
                "project_channels": [
                    {"name": name, "type": "webhook", "url": web.url, "payload": "document", "timeout_seconds": 10}
                    for name in ("first", "second")
                ],
            }
            done = application.play("migrate", **variables)
            assert disk.pages == 4096 and done.returncode != 0, done.stdout
            assert project.psql(f"select to_regclass('public.labels{number}')") == f"labels{number}"
            assert application.versions()[-1] == str(number + 1)
            # The writes are on again, at once, and nobody says that they are not.
            assert project.psql("select count(*) from pgops.maintenance") == "0"
            said = " ".join((done.stdout + done.stderr).split())
            assert "maintenance.json: No space left on device" in said, done.stdout
            assert "could not be let on again" not in said and "FAILED - RETRYING" not in said, done.stdout
            # How it ended is told on each channel, though the first could not be written down.
            told = [(content["event"], content["title"]) for _path, _headers, content in web.received]
            ends = [title for event, title in told if event == "migrated"]
            assert len(ends) == 2 and all("only the record of the run is not whole" in end for end in ends), told
            assert "only the record of the run is not whole" in done.stdout
            (disk.place / "filler").unlink()
            tasks.write_text("[]\n")
            again = application.play("migrate", **variables)
            assert again.returncode == 0 and "nothing is pending" in again.stdout, again.stdout
