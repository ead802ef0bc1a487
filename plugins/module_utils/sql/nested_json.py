# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON that nests as deep as SQL may: a thousand arms of UNION ALL are a thousand levels of the parser's tree."""

from __future__ import annotations

import json
import re
from typing import Any

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]|[^\s,:{}\[\]"]+')


def loads(text: str) -> Any:
    """What valid JSON holds, however deep; the standard library's decoder ends at the interpreter's limit."""
    try:
        return json.loads(text)
    except RecursionError:
        return _loads_without_recursion(text)


def _loads_without_recursion(text: str) -> Any:
    top: list[Any] = []
    open_containers: list[Any] = [top]
    key: str | None = None
    for token in _TOKEN.findall(text):
        if token in "]}":
            open_containers.pop()
            continue
        value: Any = {} if token == "{" else [] if token == "[" else json.loads(token)
        container = open_containers[-1]
        if isinstance(container, list):
            container.append(value)
        elif key is None:
            key = value
            continue
        else:
            container[key], key = value, None
        if token in "[{":
            open_containers.append(value)
    return top[0]
