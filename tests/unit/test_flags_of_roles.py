# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is given as -e flag=true is a string: a condition has to make a boolean of it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

CLONE = Path(__file__).resolve().parents[2]
WITHOUT_BOOL = r"(?:^|[\s(])({})\b(?!\s*\|\s*bool\b)(?!:)"
# Handed on whole to a module's option or to another variable, where it is made a boolean.
HANDED_ON = re.compile(r'^\s*\w+: "\{\{ \w+( \| default\(\w+\))? \}\}"$')


def test_every_flag_in_a_condition_may_be_a_string() -> None:
    flags: set[str] = set()
    for path in CLONE.glob("roles/*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            flags |= {name for name, option in entry.get("options", {}).items() if option.get("type") == "bool"}
    assert "preflight_mark" in flags
    used = re.compile(WITHOUT_BOOL.format("|".join(sorted(flags))))
    bare = [
        f"{path.relative_to(CLONE)}:{number}: {line.strip()}"
        for pattern in ("roles/*/tasks/*.yml", "playbooks/*.yml", "roles/*/templates/*")
        for path in sorted(CLONE.glob(pattern))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if used.search(line) and not HANDED_ON.match(line) and not line.lstrip().startswith("#")
    ]
    assert not bare, "\n".join(bare)
