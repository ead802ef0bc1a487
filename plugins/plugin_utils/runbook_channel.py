# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What jobs tell of their progress: the channel that the callback opens, and what is running now."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.progress import SOCKET_VARIABLE

_LONGEST_DATAGRAM = 65536
_ENDS = ("end", "failed")
_STOP = {"stop": True}


class Running:
    """The phases of jobs that are running now."""

    def __init__(self) -> None:
        # By job, subject and phase: when it began, and the newest report of it.
        self._told: dict[tuple[str, str, str], tuple[float, Mapping[str, Any]]] = {}

    def take(self, report: Any, now: float) -> None:
        """Learn from one report, as :class:`Progress` makes them.

        :param now: when it came, in seconds of any clock.
        :raises ValueError: when it is none.
        """
        try:
            key = (str(report["job"]), str(report["subject"]), str(report["phase"]))
            event = report["event"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a report of progress: {report!r}") from error
        if event in _ENDS:
            self._told.pop(key, None)
        elif event == "begin":
            self._told[key] = (now, report)
        elif key in self._told:
            self._told[key] = (self._told[key][0], report)

    def clear(self) -> None:
        """The task has ended: a job that was killed could not say so."""
        self._told.clear()

    def now(self, now: float) -> list[tuple[Mapping[str, Any], float]]:
        """The newest report of each, and how many seconds it has been running."""
        return [(report, now - began) for began, report in self._told.values()]


class Channel:
    """A socket that the modules of this run reach by an environment variable, and a thread that listens at it.

    The thread runs beside Ansible, which forks its workers at any time: nothing that it calls may hold a lock of Python's
    streams.
    """

    def __init__(self, tick_seconds: float, heard: Callable[[Any], None], tick: Callable[[], None]) -> None:
        """Listen.

        :param heard: is called with each report.
        :param tick: is called at least every C(tick_seconds).
        :raises OSError: when there can be no socket, as in a temporary directory with a long path.
        """
        self._owner = os.getpid()
        self._directory = Path(tempfile.mkdtemp(prefix="pgops-progress-"))
        # An interrupted play has no end that callbacks are told.
        atexit.register(self._remove)
        self._address = self._directory / "socket"
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            receiver.bind(str(self._address))
        except OSError:
            receiver.close()
            self._remove()
            raise
        self._shown_before = os.environ.get(SOCKET_VARIABLE)
        os.environ[SOCKET_VARIABLE] = str(self._address)
        self._thread = threading.Thread(target=self._listen, args=(receiver, tick_seconds, heard, tick), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(json.dumps(_STOP).encode(), str(self._address))
        self._thread.join(timeout=2)
        os.environ.pop(SOCKET_VARIABLE, None)
        self._remove()

    @staticmethod
    def _listen(
        receiver: socket.socket, tick_seconds: float, heard: Callable[[Any], None], tick: Callable[[], None]
    ) -> None:
        last = time.monotonic()
        with receiver:
            receiver.settimeout(tick_seconds)
            while True:
                # Nothing new, or nothing that can be read: what runs goes on.
                with contextlib.suppress(TimeoutError, TypeError, ValueError):
                    message = json.loads(receiver.recv(_LONGEST_DATAGRAM))
                    if message == _STOP:
                        return
                    heard(message)
                if time.monotonic() - last >= tick_seconds:
                    tick()
                    last = time.monotonic()

    def _remove(self) -> None:
        # Not by the worker processes that Ansible forks.
        if self._owner == os.getpid():
            shutil.rmtree(self._directory, ignore_errors=True)
