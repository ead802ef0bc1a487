# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/runbook.md names nothing that does not exist, and has no row that nothing performs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from ansible_collections.pgops.supabase.plugins.module_utils.ledger import history
from ansible_collections.pgops.supabase.plugins.module_utils.notify.documents import Occasion
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunVerdict

CLONE = Path(__file__).resolve().parents[2]
PAGE = CLONE / "docs" / "runbook.md"
KINDS = "gate|module|role|playbook|task|variable|document|section|message|ledger|file"
REFERENCE = re.compile(rf"\b({KINDS}) `([^`]+)`")
# What a later release brings; nothing else may be open.
LATER: dict[str, int] = {}


def rows() -> Iterator[tuple[str, str, str]]:
    """The rows of all tables: what is asked for, what performs it, where the evidence is."""
    for line in PAGE.read_text("utf-8").splitlines():
        cells = tuple(cell.strip() for cell in line.strip("|").split(" | "))
        if line.startswith("|") and not line.startswith("|-") and not cells[0].startswith("the plan "):
            assert len(cells) == 3, line
            yield cells


def names_of_tasks() -> set[str]:
    """Every name of a task in playbooks and roles, without the number of its phase."""
    named: set[str] = set()
    for path in (*CLONE.glob("playbooks/*.yml"), *CLONE.glob("roles/*/tasks/*.yml")):
        named |= set(names_in(yaml.safe_load(path.read_text("utf-8"))))
    return named


def names_in(value: Any) -> Iterator[str]:
    """The names in a document of tasks, those in blocks too."""
    if isinstance(value, list):
        for item in value:
            yield from names_in(item)
    elif isinstance(value, dict):
        if isinstance(value.get("name"), str):
            yield re.sub(r"^\(\d+/\d+\) ", "", value["name"])
        for inner in value.values():
            yield from names_in(inner)


def variables() -> set[str]:
    """Every variable that a role declares."""
    files = CLONE.glob("roles/*/meta/argument_specs.yml")
    entries = [entry for path in files for entry in yaml.safe_load(path.read_text())["argument_specs"].values()]
    shared = yaml.safe_load((CLONE / "roles" / "project" / "defaults" / "main.yml").read_text())
    return {name for entry in entries for name in entry.get("options") or {}} | set(shared)


def source(*rooms: str) -> str:
    """The engine's text, of some rooms."""
    return "\n".join(
        path.read_text("utf-8")
        for room in rooms
        for path in sorted((CLONE / "plugins" / "module_utils" / room).glob("*.py"))
    )


TASKS, VARIABLES = names_of_tasks(), variables()
REPORT = source("report")
WRITTEN = "".join(path.read_text("utf-8") for path in CLONE.glob("plugins/*/**/*.py") if path.parent.name != "report")
EXISTS: dict[str, Callable[[str], bool]] = {
    "gate": lambda name: f'"{name}"' in source("gates") and f"| `{name}` |" in (CLONE / "docs/gates.md").read_text(),
    "module": lambda name: (CLONE / "plugins" / "modules" / f"{name}.py").is_file(),
    "role": lambda name: (CLONE / "roles" / name / "tasks").is_dir(),
    "playbook": lambda name: (CLONE / "playbooks" / f"{name}.yml").is_file(),
    "task": TASKS.__contains__,
    "variable": VARIABLES.__contains__,
    "document": lambda name: re.search(rf"[\"/]{re.escape(name.removeprefix('backup/'))}\"", WRITTEN) is not None,
    "section": lambda name: f'Section("{name}"' in REPORT,
    "message": lambda name: name in (*get_args(Occasion), *get_args(RunVerdict)),
    "ledger": lambda name: f"'{name}'" in Path(history.__file__).read_text("utf-8"),
    "file": lambda name: (CLONE / name).is_file(),
}


@pytest.mark.parametrize("kind, name", sorted(set(REFERENCE.findall(PAGE.read_text("utf-8")))))
def test_what_a_row_names_exists(kind: str, name: str) -> None:
    assert EXISTS[kind](name), f"there is no {kind} {name}"


@pytest.mark.parametrize("kind", sorted(EXISTS))
def test_what_does_not_exist_would_be_found(kind: str) -> None:
    assert not EXISTS[kind]("nothing_of_this_name")


def test_each_row_says_what_performs_it_and_where_the_evidence_is() -> None:
    every = list(rows())
    assert len(every) > 120
    for asked, performed, evidence in every:
        open_row = re.match(r"OPEN \((\w+)\)", performed)
        assert open_row or REFERENCE.search(performed) or "the same" in performed or "person" in performed, asked
        assert REFERENCE.search(evidence), asked


def test_nothing_is_open_but_what_a_later_release_brings() -> None:
    named = [match[1] for _asked, performed, _evidence in rows() for match in re.finditer(r"OPEN \((\w+)\)", performed)]
    assert {what: named.count(what) for what in set(named)} == LATER
