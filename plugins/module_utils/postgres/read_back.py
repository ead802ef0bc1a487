# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look at what is there after COMMIT. Success is what a new session finds, not what the committing one believes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    NotSeen,
    PgopsError,
    State,
    reason_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    session,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


# Waits between the looks, in seconds: a network or a server that comes back after a moment is no reason to doubt a COMMIT.
PAUSES_SECONDS: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
_SETTINGS = SessionSettings(read_only=True, lock_timeout_ms=5_000, statement_timeout_ms=60_000)
_T = TypeVar("_T")


def read_back(options: ConnectionOptions, look: Callable[[PgConnection], _T], *, committed: str, next_step: str) -> _T:
    """Look in a new session, again where that cannot be done; what is wrong with what was read is judged by the caller.

    :param committed: the state as a sentence, should the database not be there to be looked at.
    :param next_step: what to do then.
    :returns: what ``look`` returns.
    :raises NotSeen: when it could not be read in about a minute.
    """
    import psycopg2

    for pause in (*PAUSES_SECONDS, None):
        try:
            with session(options, _SETTINGS) as connection:
                return look(connection)
        except (PgopsError, psycopg2.Error) as error:
            if pause is None:
                raise NotSeen(
                    f"After COMMIT the database could not be looked at: {reason_of(error)}",
                    where=options.place,
                    state=State(committed, "unknown"),
                    next_step=next_step,
                ) from error
            time.sleep(pause)
    raise AssertionError("the last look returns or raises")
