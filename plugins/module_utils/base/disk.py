# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Room on a disk, and whether something failed for want of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import ToolError

FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)
# The same in the words of a program that runs in English.
_FULL = ("no space left on device", "disk quota exceeded")


def free_bytes(directory: Path) -> int:
    """What an ordinary user may still write there."""
    statistics = os.statvfs(directory)
    return statistics.f_bavail * statistics.f_frsize


def is_full(error: BaseException) -> bool:
    """Whether the disk was full for this process or for a program that it ran."""
    if isinstance(error, OSError):
        return error.errno in FULL_ERRORS
    return isinstance(error, ToolError) and says_full(str(error.details.get("stderr", "")))


def says_full(complaint: str) -> bool:
    """Whether a program complains of a full disk."""
    return any(reason in complaint.lower() for reason in _FULL)
