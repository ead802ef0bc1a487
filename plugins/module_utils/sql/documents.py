# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of what is known of a statement before it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class ExpectedLock:
    """A lock that a statement will take, told from its text."""

    relation: str
    mode: str
    where: str
