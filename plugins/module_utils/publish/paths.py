# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files a run is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def files_of(documents: Mapping[str, Mapping[str, Any]], supabase_dir: Path | None, more: Sequence[Path]) -> list[Path]:
    """The migrations that a run applied or took back, their rollbacks, the types that it generated, and what else was named."""
    files = list(more)
    if supabase_dir is not None:
        done = [m for name in ("migration", "rollback") for m in documents.get(name, {}).get("migrations", [])]
        for version in dict.fromkeys(m["version"] for m in done):
            files += [
                path
                for folder in ("migrations", "rollbacks")
                for path in (supabase_dir / folder).glob(f"{version}_*.sql")
            ]
    if types := documents.get("types"):
        files.append(Path(types["path"]))
    return files
