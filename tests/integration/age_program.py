# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""age, the program that encrypts backups: the one that is installed, or Debian's, unpacked where nothing of the system changes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.integration.debian_packages import unpack

KEPT = Path(__file__).parents[2] / ".local" / "cache" / "age"


def directory() -> Path:
    """The directory of age and age-keygen. Without either the test is skipped, and the reason is in the summary."""
    installed = shutil.which("age")
    if installed and shutil.which("age-keygen"):
        return Path(installed).parent
    unpack("age", KEPT, lambda: ["age"])
    return KEPT / "usr" / "bin"


def new_identity(path: Path) -> tuple[Path, str]:
    """A new private key in a file, and its public key."""
    subprocess.run([directory() / "age-keygen", "-o", path], check=True, capture_output=True)
    public = subprocess.run([directory() / "age-keygen", "-y", path], check=True, capture_output=True, text=True).stdout
    return path, public.strip()
