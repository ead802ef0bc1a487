# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look at what is there after COMMIT. Success is what a new session finds, not what the committing one believes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    PgopsError,
    State,
    VerificationFailed,
    reason_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    session,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


@contextmanager
def read_back(options: ConnectionOptions, *, committed: str, next_step: str) -> Iterator[PgConnection]:
    """A new session to read with, and nothing else: what is wrong with what was read is judged after the block.

    :param committed: the state as a sentence, should the database not be there to be looked at.
    :param next_step: what to do then.
    :raises VerificationFailed: when the block cannot read what it wants to.
    """
    import psycopg2

    try:
        with session(options, SessionSettings(read_only=True)) as connection:
            yield connection
    except (PgopsError, psycopg2.Error) as error:
        raise VerificationFailed(
            f"After COMMIT the database could not be looked at: {reason_of(error)}",
            where=options.place,
            state=State(committed, "committed"),
            next_step=next_step,
        ) from error
