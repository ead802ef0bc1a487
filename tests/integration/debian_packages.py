# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of Debian's packages for the tests, unpacked into the clone. Nothing of the system changes."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest


def unpack(program: str, place: Path, packages: Callable[[], Sequence[str]]) -> None:
    """Have the packages' files below a directory, fetched once.

    Where that cannot be, the test is skipped, and the reason is in the summary.

    :param program: what it is for, for the reason.
    :param packages: is asked for their names only where they are to be fetched.
    """
    if place.is_dir():
        return
    if shutil.which("apt-get") is None:
        pytest.skip(f"{program} is not installed, and this is no Debian whose package could be unpacked")
    wanted = packages()
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as name:
        got = subprocess.run(["apt-get", "download", *wanted], cwd=name, check=False, capture_output=True, text=True)
        if got.returncode != 0:
            pytest.skip(f"{program} is not installed, and its packages cannot be fetched: {got.stderr.strip()}")
        unpacked = Path(name) / "root"
        for package in Path(name).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(unpacked)], check=True, capture_output=True)
        try:
            unpacked.rename(place)
        except OSError:
            # Another worker was faster.
            assert place.is_dir()
