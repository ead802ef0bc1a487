# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""age, the program that encrypts backups: the one that is installed, or Debian's, unpacked where nothing of the system changes."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

KEPT = Path(__file__).parents[2] / ".local" / "cache" / "age"


def directory() -> Path:
    """The directory of age and age-keygen. Without either the test is skipped, and the reason is in the summary."""
    installed = shutil.which("age")
    if installed and shutil.which("age-keygen"):
        return Path(installed).parent
    if not KEPT.is_dir():
        _unpack()
    return KEPT / "usr" / "bin"


def _unpack() -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("age is not installed, and this is no Debian whose package could be unpacked")
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT.parent) as name:
        got = subprocess.run(["apt-get", "download", "age"], cwd=name, check=False, capture_output=True, text=True)
        if got.returncode != 0:
            pytest.skip(f"age is not installed, and its package cannot be fetched: {got.stderr.strip()}")
        package, unpacked = next(Path(name).glob("age_*.deb")), Path(name) / "root"
        subprocess.run(["dpkg-deb", "-x", str(package), str(unpacked)], check=True, capture_output=True)
        try:
            unpacked.rename(KEPT)
        except OSError:
            # Another worker was faster.
            assert KEPT.is_dir()


def new_identity(path: Path) -> tuple[Path, str]:
    """A new private key in a file, and its public key."""
    subprocess.run([directory() / "age-keygen", "-o", path], check=True, capture_output=True)
    public = subprocess.run([directory() / "age-keygen", "-y", path], check=True, capture_output=True, text=True).stdout
    return path, public.strip()
