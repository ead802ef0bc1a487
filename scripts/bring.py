# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scripts share that bring other projects' releases, for the tests to compare with."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PIP = (sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "--quiet")


@contextmanager
def one_at_a_time(home: Path) -> Iterator[None]:
    """Let the tests' workers wait for each other instead of installing into one directory."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(what: str, command: Sequence[str | Path], env: Mapping[str, str]) -> None:
    """Run one step of the installation.

    :raises SystemExit: it failed; what it said comes with it.
    """
    print(f"==> {what}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [str(word) for word in command],
        env=env,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nerror: this failed, so the tests that need it cannot run: {what}")
