# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A contract for import-linter: what a room calls private (C(_name)) stays in that room."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output


def private_imports(package: str, folder: Path) -> list[str]:
    """Every import of another room's private name, as C(file:line name).

    :param package: the dotted name of the package whose subpackages are the rooms.
    :param folder: where that package lies.
    """
    found = []
    for file in sorted(folder.rglob("*.py")):
        here = file.relative_to(folder).parts[0]
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(package + "."):
                continue
            room, *inside = (node.module or "").removeprefix(package + ".").split(".")
            if room == here:
                continue
            private = [name for name in (*inside, *(alias.name for alias in node.names)) if name.startswith("_")]
            found += [f"{file.relative_to(folder)}:{node.lineno} {room}.{name}" for name in private]
    return found


class PrivateNamesContract(Contract):
    """No room imports a private name of another room."""

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Read the sources of the root package: the graph knows modules, not names."""
        package = self.session_options["root_packages"][0]
        spec = importlib.util.find_spec(package)
        assert spec is not None and spec.submodule_search_locations
        found = private_imports(package, Path(next(iter(spec.submodule_search_locations))))
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name each place."""
        for place in check.metadata["found"]:
            output.print_error(f"{place} is private to its room", bold=False)
