# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures this collection beside its peers: ``make bench``, or ``python -m bench PART ...``; parts: apply, backup, restore,
maintenance."""

from __future__ import annotations

import argparse

from bench import apply, backup, maintenance, restore
from bench.server import running

PARTS = ("apply", "backup", "restore", "maintenance")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure this collection beside its peers.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"by default all: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender works (3)")
    parser.add_argument("--files", type=int, nargs="*", default=[100, 1000], help="migrations to apply (100 and 1000)")
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the database that is backed up (2)")
    asked = parser.parse_args()
    parts = asked.parts or PARTS
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    with running() as bench:
        if "apply" in parts:
            for files in asked.files:
                apply.measure(bench, files=files, rounds=asked.rounds)
        if {"backup", "restore"} & set(parts):
            backup.fill(bench, asked.gigabytes)
        if "backup" in parts:
            backup.measure(bench, rounds=asked.rounds)
        if "restore" in parts:
            restore.measure(bench, rounds=asked.rounds)
        if "maintenance" in parts:
            maintenance.measure(bench)


if __name__ == "__main__":
    main()
