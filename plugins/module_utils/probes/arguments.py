# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a module that asks the application's endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.probes.declared import Api

_PROBE: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "url": {"type": "str", "required": True},
    "method": {
        "type": "str",
        "choices": ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"],
        "default": "GET",
    },
    "role": {"type": "str", "choices": ["anon", "authenticated", "service_role"]},
    "user": {"type": "str"},
    "headers": {"type": "dict", "no_log": True, "default": {}},
    "body": {"type": "raw"},
    "status": {"type": "list", "elements": "int", "default": []},
    "expect": {"type": "str"},
    "samples": {"type": "int", "default": 20},
    "timeout_seconds": {"type": "float", "default": 10.0},
    "writes": {"type": "bool"},
    "given": {"type": "str"},
    "then": {"type": "str"},
    "undo": {"type": "str"},
}
_KEYS: dict[str, dict[str, Any]] = {
    role: {"type": "str", "no_log": True} for role in ("anon", "authenticated", "service_role")
}
PROBES_ARGUMENTS: dict[str, dict[str, Any]] = {
    "probes": {"type": "list", "elements": "dict", "required": True, "options": _PROBE},
    "api_url": {"type": "str"},
    "api_keys": {"type": "dict", "options": _KEYS, "default": {}, "no_log": True},
    "jwt_secret": {"type": "str", "no_log": True},
    "api_ca_cert": {"type": "path"},
}


def api_of(params: Mapping[str, Any]) -> Api:
    """The project's API, of a module that takes C(PROBES_ARGUMENTS)."""
    return Api(
        url=params["api_url"],
        keys={role: key for role, key in params["api_keys"].items() if key},
        jwt_secret=params["jwt_secret"],
        ca_cert=params["api_ca_cert"],
    )
