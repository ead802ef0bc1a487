# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The map of the rooms shows the rooms that there are, in the order that import-linter holds them to."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
ENGINE = CLONE / "plugins" / "module_utils"
PAGE = (CLONE / "docs" / "architecture.md").read_text("utf-8")


def test_the_map_has_the_layers_of_the_import_contract() -> None:
    contracts = tomllib.loads((CLONE / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    assert re.findall(r'L\d+\["([^"]+)"\]', PAGE) == layers


def test_the_map_and_the_table_name_every_room_and_no_other() -> None:
    mapped = re.findall(r"\w+", " ".join(re.findall(r'L\d+\["([^"]+)"\]', PAGE)))
    folders = {path.parent.name for path in ENGINE.glob("*/*.py")}
    assert sorted(mapped) == sorted(folders | {"module"})
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == mapped


def test_each_file_that_the_page_names_is_there() -> None:
    files = re.findall(r"`(\w+/\w+\.py)`", PAGE)
    assert files and all((ENGINE / name).is_file() for name in files)
