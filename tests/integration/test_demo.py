# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo as a newcomer runs it, in a copy of the clone: two screens that end with two reports, as the README shows them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CLONE

# A phase that takes minutes has the widest line.
SCREENS, LINES, COLUMNS = 2, 50, 115


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """The files of the clone elsewhere, with the same programs, as `make demo` leaves them; its servers are stopped afterwards."""
    clone = tmp_path / "clone"
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CLONE,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (CLONE / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((CLONE / name).read_bytes())
    (clone / ".venv").symlink_to(CLONE / ".venv")
    (clone / ".ansible/collections/ansible_collections/pgops").mkdir(parents=True)
    (clone / ".ansible/collections/ansible_collections/pgops/supabase").symlink_to(clone)
    yield clone
    demo(clone, "down")


def demo(clone: Path, step: str) -> str:
    """What a step of the demo prints into a file."""
    done = subprocess.run(
        [sys.executable, "scripts/demo.py", step],
        cwd=clone,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=900,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def shape(text: str) -> list[str]:
    """The lines without what differs from run to run, and without how wide a column is for it."""
    text = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]+|\b[0-9a-f]{12}\b|127\.0\.0\.1:\d+", "ID", text)
    return [
        re.sub(r" +", " ", re.sub(r"\d[\d.,]* (?:s|min|MB|kB)\b(?: \d+ s)?", "N", line)).rstrip()
        for line in text.splitlines()
    ]


def shown_in_readme() -> list[str]:
    """The README's first block, below the command."""
    block = re.search(r"```console\n(.*?)```", (CLONE / "README.md").read_text("utf-8"), re.DOTALL)
    assert block is not None
    return shape(block[1].split("$ make demo\n")[1])


def test_it_fits_on_two_screens_and_ends_with_two_reports(copy: Path) -> None:
    said = demo(copy, "up")
    lines = said.splitlines()
    assert len(lines) <= SCREENS * LINES, said
    assert max(map(len, lines)) <= COLUMNS, max(lines, key=len)
    for path in lines[-2:]:
        assert path.startswith("  .local/demo/runs/") and (copy / path.strip()).stat().st_size > 10_000
    # The README shows these lines, in this order, and leaves some out.
    rest = shape(said)
    for line in shown_in_readme():
        if line != "...":
            assert line in rest, (line, said)
            rest = rest[rest.index(line) + 1 :]
    again = demo(copy, "up").splitlines()
    assert len(again) <= LINES and sum("nothing is pending" in line for line in again) == 2, again
    assert shape("\n".join(again[-2:])) == shape("\n".join(lines[-2:]))
