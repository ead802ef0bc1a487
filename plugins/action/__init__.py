# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine, imported once for all tasks of a play: each task's process is forked from the one that imports this package.

Ansible imports it when it reads the first task that names a module of this collection. Its own loader compiles a collection's files in
every process anew; here they are loaded as Python loads any other, with their compiled form kept beside them.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

_PLUGINS = __name__.rpartition(".")[0]
_ENGINE = f"{_PLUGINS}.module_utils"


class _AsPythonLoads:
    """Finds the files of the engine and of the modules, and leaves all else, and the folders themselves, to Ansible."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith((f"{_ENGINE}.", f"{_PLUGINS}.modules.")):
            return None
        found = (FileFinder(place, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name) for place in path or ())
        return next((spec for spec in found if spec), None)


def _import_engine() -> None:
    """Import what modules import. Without its libraries there is nothing to import: each module says which one it misses."""
    sys.meta_path.insert(0, _AsPythonLoads)
    try:
        engine = importlib.import_module(_ENGINE)
        for module in pkgutil.walk_packages(engine.__path__, f"{_ENGINE}."):
            importlib.import_module(module.name)
    except ImportError:
        pass


_import_engine()
