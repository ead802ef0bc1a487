# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work beside other work of the same process: waiting for a disk beside reading, say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_Result = TypeVar("_Result")


def in_background(work: Callable[[], _Result]) -> Future[_Result]:
    """Begin the work now; its result, or what it raised, is in the future.

    Unlike a thread of an executor this one holds up nobody: a process that is ended does not wait for it.
    """
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # pylint: disable=broad-exception-caught
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
