# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is applied on a project and what is not; reads only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, PgopsError
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.documents import PromotionProof
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import list_history, read_ledger
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.lease import read_lease
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.promotion import prove
from ansible_collections.pgops.supabase.plugins.module_utils.maintenance.record import read_record
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.batches import load_pending
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.documents import MigrationInfo
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import discover, left_out
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.state import describe, require_agreement
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    session,
)


def migration_info(
    options: ConnectionOptions, supabase_dir: Path, *, check_files: bool = False, allow_out_of_order: bool = False
) -> tuple[MigrationInfo, PgopsError | None]:
    """What is applied, pending, edited, out of order or without a file, and the error that would stop an apply before it begins.

    :param check_files: whether to look for that error: files and database disagree, or a pending file cannot be run.
    :raises MigrationFileError: when the migrations directory is not usable.
    :raises ConnectionFailed: when the database cannot be reached.
    """
    files = discover(supabase_dir)
    with session(options, SessionSettings(read_only=True)) as connection:
        info = describe(connection, files, read_lease(connection))
        info.maintenance = read_record(connection)
    info.left_out = left_out(supabase_dir)
    if check_files:
        try:
            load_pending(files, require_agreement(info.migrations, allow_out_of_order=allow_out_of_order))
        except PgopsError as error:
            return info, error
    return info, None


def promotion_info(
    options: ConnectionOptions, supabase_dir: Path, *, versions: Sequence[str], origin: str
) -> list[PromotionProof]:
    """What the project that is promoted from, to which the options lead, has proven of each version's file.

    :raises InputError: when there is no file of a version.
    """
    files = {file.version: file for file in discover(supabase_dir)}
    unknown = [version for version in versions if version not in files]
    if unknown:
        raise InputError(
            f"There is no migration file of version {', '.join(unknown)}",
            where=str(supabase_dir / "migrations"),
            next_step="Give versions of this directory.",
        )
    with session(options, SessionSettings(read_only=True)) as connection:
        ledger, history = read_ledger(connection), {row.version for row in list_history(connection)}
    wanted = {version: (files[version].name, files[version].sha256) for version in versions}
    return prove(wanted, ledger, origin, history)
