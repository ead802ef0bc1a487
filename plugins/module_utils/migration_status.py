# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is applied on a project and what is not; reads only."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.connection import (
    ConnectionOptions,
    SessionSettings,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.documents import MigrationInfo
from ansible_collections.pgops.supabase.plugins.module_utils.migration_files import discover
from ansible_collections.pgops.supabase.plugins.module_utils.migration_state import describe


def migration_info(options: ConnectionOptions, supabase_dir: Path) -> MigrationInfo:
    """What is applied, pending, edited, out of order or without a file.

    :raises MigrationFileError: when the migrations directory is not usable.
    :raises ConnectionFailed: when the database cannot be reached.
    """
    files = discover(supabase_dir)
    with session(options, SessionSettings(read_only=True)) as connection:
        return describe(connection, files)
