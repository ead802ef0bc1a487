# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real headless Chromium for the pages that people read: the installed one, or Debian's package unpacked into the clone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.integration.debian_packages import unpack
from tests.integration.live import CLONE

PACKAGES = ("chromium-headless-shell", "fonts-liberation")
KEPT = CLONE / ".local" / "cache" / "chromium"
# What apt would install beside it and that was not there before: "Inst NAME (VERSION ...", without an old version in brackets.
_NEW = re.compile(r"^Inst (\S+) \(", re.MULTILINE)
# Nothing of it is for a page that loads nothing, and a root user's Chromium has no sandbox.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> Path:
    """Chromium: the installed one, or Debian's package with the libraries that are missing. Nothing is installed.

    Without either the test is skipped, and the reason is in the summary.
    """
    for name in ("chromium", "chromium-headless-shell", "google-chrome"):
        if installed := shutil.which(name):
            return Path(installed)
    unpack("Chromium", KEPT, _missing_packages)
    return KEPT / "usr" / "lib" / "chromium" / "chromium-headless-shell"


def _missing_packages() -> list[str]:
    """Chromium's packages, and those that apt would install beside them."""
    planned = subprocess.run(
        ["apt-get", "install", "--simulate", "--no-install-recommends", *PACKAGES],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    if planned.returncode != 0:
        pytest.skip(f"Chromium is not installed, and Debian's package is not known here: {planned.stderr.strip()}")
    return _NEW.findall(planned.stdout)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running Chromium that can reach nothing but files of this machine."""
    program = find_chromium()
    environment: dict[str, str | float | bool] = dict(os.environ)
    if program.is_relative_to(KEPT):
        folders = {str(path.parent) for path in KEPT.glob("usr/lib/*-linux-gnu/**/*.so*")}
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(sorted(folders))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(ARGUMENTS), env=environment)
        try:
            yield browser
        finally:
            browser.close()
