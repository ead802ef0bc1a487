# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module is run by the one action plugin."""

from __future__ import annotations

from pathlib import Path

import yaml

CLONE = Path(__file__).resolve().parents[2]


def test_every_module_is_routed() -> None:
    runtime = yaml.safe_load((CLONE / "meta" / "runtime.yml").read_text())
    modules = {path.stem for path in (CLONE / "plugins" / "modules").glob("*.py")}
    assert runtime["plugin_routing"]["modules"] == {
        name: {"action_plugin": "pgops.supabase.in_worker"} for name in modules
    }
