# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role declares every variable that it reads, so that what the phases hand to each other can be read in one place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.template import Templar
from jinja2 import meta, nodes

CLONE = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in CLONE.glob("roles/*"))
# Ansible's own, and its functions in templates.
MAGIC = {
    "inventory_hostname",
    "inventory_dir",
    "playbook_dir",
    "hostvars",
    "omit",
    "lookup",
    "now",
    "undef",
    "query",
    "vars",
}
# Keywords whose value is an expression without braces.
EXPRESSIONS = ("when", "that", "failed_when", "changed_when", "until")
JINJA = Templar().environment


def declared(role: str) -> set[str]:
    """The options of the role's argument specification, of all its entry points."""
    entries = yaml.safe_load((CLONE / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    return {name for entry in entries.values() for name in entry.get("options") or {}}


def documents(role: str, *folders: str) -> Iterator[Any]:
    """The YAML documents of some of a role's folders."""
    for folder in folders:
        for path in sorted((CLONE / "roles" / role / folder).glob("*.yml")):
            yield yaml.safe_load(path.read_text())


def made(value: Any) -> set[str]:
    """What tasks make: registered, set, given to themselves, or counted through in a loop."""
    if isinstance(value, list):
        return set().union(*map(made, value))
    if not isinstance(value, dict):
        return set()
    names = set(value.get("ansible.builtin.set_fact", ()))
    # What is handed to another role has that role's name.
    if not {"ansible.builtin.import_role", "ansible.builtin.include_role"} & set(value):
        names |= set(value.get("vars", ()))
    names |= {value["register"]} if "register" in value else set()
    names |= {value["loop_control"]["loop_var"]} if "loop_control" in value else set()
    return names.union(*map(made, value.values()))


def texts(value: Any, expression: bool = False) -> Iterator[str]:
    """Every template below a value, expressions in braces."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from texts(item, name in EXPRESSIONS)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item, expression)
    elif isinstance(value, str):
        yield "{{ " + value + " }}" if expression else value


def read(role: str) -> set[str]:
    """The variables that the role's tasks, variables and templates read."""
    found = [text for document in documents(role, "tasks", "vars", "defaults") for text in texts(document)]
    found += [path.read_text() for path in sorted((CLONE / "roles" / role / "templates").glob("*.j2"))]
    return set().union(*map(undeclared, found))


def undeclared(text: str) -> set[str]:
    """The variables that a template takes from outside; what it sets in a branch only is its own all the same."""
    template = JINJA.parse(text)
    return meta.find_undeclared_variables(template) - {
        name.name for name in template.find_all(nodes.Name) if name.ctx == "store"
    }


def own(role: str) -> set[str]:
    """What the role has of itself."""
    names = declared(role)
    for document in documents(role, "vars", "defaults"):
        names |= set(document or {})
    return names.union(*map(made, documents(role, "tasks")))


@pytest.mark.parametrize("role", ROLES)
def test_a_role_declares_what_it_reads(role: str) -> None:
    unknown = {name for name in read(role) if not name.startswith("ansible_")} - MAGIC - own(role) - own("project")
    assert not unknown, f"{role} reads what it does not declare: {sorted(unknown)}"


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_makes_has_its_name(role: str) -> None:
    # A variable of the role project is handed to that role's expressions, which every role uses.
    strangers = {name for name in own(role) - declared(role) - own("project") if not name.startswith(f"{role}_")}
    assert not strangers, f"{role} makes what has not its name: {sorted(strangers)}"


def test_a_variable_that_is_read_in_any_place_is_found() -> None:
    tasks = yaml.safe_load(
        "[{block: [{debug: {msg: '{{ a | default(b.c) }}'}, when: [d, 'not e']}], vars: {f: '{{ g }}'}}, {set_fact: {}}]"
    )
    found = set().union(*map(undeclared, texts(tasks)))
    assert found == {"a", "b", "d", "e", "g"}
    assert made(tasks) == {"f"}
