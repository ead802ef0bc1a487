# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of a terminal in the documents: the script that makes them, and what is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

CLONE = Path(__file__).resolve().parents[3]
KEPT = sorted((CLONE / "docs" / "pictures").glob("*.svg"))
DRAWS = r"""
import sys
print("\033[32mfirst\033[0m line stays")
sys.stdout.write("working 1 of 2"); sys.stdout.flush()
sys.stdout.write("\r\033[2Kworking 2 of 2"); sys.stdout.flush()
print("\r\033[2Klast line in %s" % sys.argv[1])
sys.exit(3)
"""


def words(picture: Path) -> str:
    return " ".join("".join(ElementTree.parse(picture).getroot().itertext()).replace("\xa0", " ").split())


def record(picture: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "scripts/picture.py",
        *options,
        str(picture),
        "--",
        sys.executable,
        "-c",
        DRAWS,
        str(CLONE),
    ]
    return subprocess.run(command, cwd=CLONE, check=False, capture_output=True, encoding="utf-8", timeout=60)


def test_a_picture_shows_what_stays(tmp_path: Path) -> None:
    done = record(tmp_path / "a.svg")
    assert done.returncode == 3, done.stderr
    seen = words(tmp_path / "a.svg")
    assert "first line stays" in seen and "last line in ~/pgops.supabase" in seen
    assert "working 1 of 2" not in seen.partition("first line stays")[2]


def test_a_picture_shows_a_moment(tmp_path: Path) -> None:
    record(tmp_path / "a.svg", "--at", "1 of 2")
    seen = words(tmp_path / "a.svg").partition("first line stays")[2]
    assert "working 1 of 2" in seen and "working 2 of 2" not in seen
    assert record(tmp_path / "b.svg", "--at", "never").returncode == 1


@pytest.mark.parametrize("picture", KEPT, ids=lambda path: path.stem)
def test_each_kept_picture_is_whole_and_linked(picture: Path) -> None:
    seen = words(picture)
    assert "ansible-playbook" in seen and str(CLONE) not in seen
    pages = [CLONE / "README.md", *CLONE.glob("docs/*.md")]
    assert any(f"pictures/{picture.name}" in page.read_text("utf-8") for page in pages)


def test_there_are_pictures() -> None:
    assert KEPT
