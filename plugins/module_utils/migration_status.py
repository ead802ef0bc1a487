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
from ansible_collections.pgops.supabase.plugins.module_utils.migration_files import discover, read_script
from ansible_collections.pgops.supabase.plugins.module_utils.migration_state import describe, require_agreement
from ansible_collections.pgops.supabase.plugins.module_utils.script_runner import runnable


def migration_info(
    options: ConnectionOptions, supabase_dir: Path, *, check_files: bool = False, allow_out_of_order: bool = False
) -> MigrationInfo:
    """What is applied, pending, edited, out of order or without a file.

    :param check_files: also stop where files and database disagree, or where a pending file cannot be run.
    :raises HistoryError: with ``check_files``, when files and database disagree.
    :raises SqlScriptError: with ``check_files``, when a pending file cannot be run.
    :raises MigrationFileError: when the migrations directory is not usable.
    :raises ConnectionFailed: when the database cannot be reached.
    """
    files = discover(supabase_dir)
    with session(options, SessionSettings(read_only=True)) as connection:
        info = describe(connection, files)
    if check_files:
        for entry in require_agreement(info.migrations, allow_out_of_order=allow_out_of_order):
            if entry.file is not None:
                runnable(read_script(Path(entry.file)))
    return info
