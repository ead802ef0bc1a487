# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lint's rule that a room's private names stay in it."""

from __future__ import annotations

from pathlib import Path

from private_names import private_imports


def test_only_another_rooms_private_names_are_found(tmp_path: Path) -> None:
    for room, text in {
        "low": "from engine.low.other import _mine\n",
        "high": "from engine.low.other import (\n    _theirs,\n    public,\n)\nfrom engine.low import _hidden\n",
    }.items():
        (tmp_path / room).mkdir()
        (tmp_path / room / "job.py").write_text(text, encoding="utf-8")
    assert private_imports("engine", tmp_path) == ["high/job.py:1 low._theirs", "high/job.py:5 low._hidden"]
