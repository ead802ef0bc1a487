# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the callback writes into a log while a phase says nothing for long."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest

from ansible_collections.pgops.supabase.plugins.callback import progress


def test_a_phase_that_says_nothing_for_long_is_told_of(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_TICK_SECONDS", 0.05)
    monkeypatch.setattr(progress, "_LONGEST_GAP_SECONDS", 0.5)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener = threading.Thread(target=progress._listen, args=(theirs, 0.2))
    listener.start()
    with ours:
        ours.send(json.dumps({"job": "backup", "subject": "prod", "phase": "restore", "event": "begin"}).encode())
        time.sleep(1)
        ours.send(b'{"stop": true}')
        listener.join()
    lines = capfd.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 5 and set(lines) <= {"backup prod: restore", "backup prod: restore, 1 s"}, lines
