# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements with CONCURRENTLY, and the same without, which a transaction takes. Pure."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Statement, reason_not_transactional


def runs_without_concurrently(statement: Statement) -> bool:
    """Whether a statement has a form without CONCURRENTLY that does the same in a transaction, and has others wait.

    An index that is made or dropped, and a partition that is detached (their reference pages).
    """
    return statement.tag in ("IndexStmt", "DropStmt", "AlterTableStmt") and bool(reason_not_transactional(statement))


def without_concurrently(statement: Statement) -> Statement:
    """That form; what is left of it stays at its place in the file."""
    from pglast.parser import scan

    sql = statement.sql
    word = next(token for token in scan(sql) if token.name == "CONCURRENTLY")
    blanked = f"{sql[: word.start]}{' ' * (word.end - word.start + 1)}{sql[word.end + 1 :]}"
    return dataclasses.replace(statement, sql=blanked, node=_not_concurrent(statement.node))


def _not_concurrent(node: Any) -> Any:
    """A node without the flag, wherever it is in it."""
    if isinstance(node, dict):
        return {name: _not_concurrent(value) for name, value in node.items() if name != "concurrent"}
    return [_not_concurrent(item) for item in node] if isinstance(node, list) else node
