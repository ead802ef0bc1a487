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

_ENGINE = f"{__name__.rpartition('.')[0]}.module_utils"


class _AsPythonLoads:
    """Finds the engine's files, and leaves all else to Ansible."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith(f"{_ENGINE}."):
            return None
        found = (FileFinder(place, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name) for place in path or ())
        return next((spec for spec in found if spec), None)


def _import_engine() -> None:
    """Import what modules import. Without its libraries there is nothing to import: each module says which one it misses."""
    engine = importlib.import_module(_ENGINE)
    before = list(sys.meta_path)
    sys.meta_path.insert(0, _AsPythonLoads)
    try:
        for module in pkgutil.walk_packages(engine.__path__, f"{_ENGINE}."):
            importlib.import_module(module.name)
    except ImportError:
        pass
    finally:
        sys.meta_path[:] = before


_import_engine()
