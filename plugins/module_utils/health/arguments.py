# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a module that asks metrics of the user's own."""

from __future__ import annotations

from typing import Any

METRICS_ARGUMENTS: dict[str, dict[str, Any]] = {
    "metrics": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "query": {"type": "str", "required": True},
            "expect": {"type": "str"},
            "value": {"type": "str"},
            "timeout_seconds": {"type": "float", "default": 5.0},
        },
    },
}
