# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: notification
short_description: Show how far a backup or a restore is while it runs
version_added: 0.1.0
description:
  - Ansible shows a task when it has ended. A backup of a large project takes long, and this callback shows meanwhile which phase
    it is in, and how many tables and bytes of how many are done.
  - On a terminal it draws one line, which goes away when the work has ended. Elsewhere, as in the log of a CI system, it writes a
    line now and then, and none for work that is quickly done.
  - It writes to standard error, so what reads Ansible's standard output is not disturbed.
  - The modules tell it by datagrams on a socket that only this user can reach. They have to run on this machine, as projects'
    modules do (C(ansible_connection=local)). They never wait for it.
requirements:
  - enabled in C(callbacks_enabled) of C(ansible.cfg), or by C(ANSIBLE_CALLBACKS_ENABLED=pgops.supabase.progress)
options:
  interval:
    description: Seconds between two lines where standard error is no terminal.
    type: float
    default: 30
    env:
      - name: PGOPS_PROGRESS_INTERVAL
    ini:
      - section: pgops_progress
        key: interval
author:
  - pgops.supabase contributors (@pgops)
"""

import atexit
import contextlib
import json
import os
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

from ansible_collections.pgops.supabase.plugins.module_utils.base.progress import SOCKET_VARIABLE
from ansible_collections.pgops.supabase.plugins.module_utils.base.progress_text import ProgressText

_ERRORS = 2
_LONGEST_DATAGRAM = 65536
_ERASE_LINE = "\r\x1b[K"
_TICK_SECONDS = 1.0
# Between two phases nothing runs for a moment; a tick always comes a little late.
_LONGEST_GAP_SECONDS = 2 * _TICK_SECONDS
# What the callback itself tells its listener.
_STOP = "stop"
_ENDED_ON = "ended_on"


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible ships without types.
    """Draws what the modules tell."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "pgops.supabase.progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._directory: Path | None = None
        self._listener: threading.Thread | None = None

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Listen, and have the modules know where."""
        if self._listener is not None or os.environ.get(SOCKET_VARIABLE):
            return
        self._directory = Path(tempfile.mkdtemp(prefix="pgops-progress-"))
        # An interrupted play has no end that callbacks are told.
        atexit.register(self._remove, os.getpid())
        address = self._directory / "socket"
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            receiver.bind(str(address))
        except OSError as error:
            # A temporary directory with a path that is too long for a socket.
            receiver.close()
            self._display.warning(f"pgops.supabase.progress cannot listen at {address}: {error}")
            self._remove(os.getpid())
            return
        os.environ[SOCKET_VARIABLE] = str(address)
        interval = float(self.get_option("interval"))
        self._listener = threading.Thread(target=_listen, args=(receiver, interval), daemon=True)
        self._listener.start()

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task has ended on a host."""
        self._tell_listener({_ENDED_ON: str(result._host)})

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task has ended on a host, perhaps without a word of its own."""
        self._tell_listener({_ENDED_ON: str(result._host)})

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._tell_listener({_STOP: True})
            self._listener.join(timeout=_TICK_SECONDS)
            self._listener = None
            os.environ.pop(SOCKET_VARIABLE, None)
        self._remove(os.getpid())

    def _tell_listener(self, message: dict[str, Any]) -> None:
        if self._listener is not None:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(json.dumps(message).encode(), os.environ[SOCKET_VARIABLE])

    def _remove(self, owner: int) -> None:
        # Not by the worker processes that Ansible forks.
        if self._directory is not None and owner == os.getpid():
            shutil.rmtree(self._directory, ignore_errors=True)


def _listen(receiver: socket.socket, interval: float) -> None:
    """Show what is told until somebody says to stop.

    It runs beside Ansible, which forks its workers at any time: nothing here may hold a lock of Python's streams then, so it
    writes to the descriptor itself.
    """
    text = ProgressText()
    terminal = os.isatty(_ERRORS)
    drawn, written, busy = "", 0.0, -_LONGEST_GAP_SECONDS
    with receiver:
        receiver.settimeout(_TICK_SECONDS)
        while True:
            try:
                message = json.loads(receiver.recv(_LONGEST_DATAGRAM))
                if _STOP in message:
                    return
                if _ENDED_ON in message:
                    text.forget(message[_ENDED_ON])
                else:
                    text.take(message, time.monotonic())
            except (TimeoutError, TypeError, ValueError):
                # Nothing new, or nothing that can be read: what runs goes on.
                pass
            now = time.monotonic()
            line = text.line(now)
            if terminal:
                line = line[: shutil.get_terminal_size().columns - 1]
                if line != drawn:
                    _write(_ERASE_LINE + line)
                    drawn = line
            elif line:
                # The interval begins with the work; a moment between two phases is no end of it.
                if now - busy > _LONGEST_GAP_SECONDS:
                    written = now
                busy = now
                if now - written >= interval:
                    written = now
                    _write(f"{line}\n")


def _write(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(_ERRORS, text.encode())
