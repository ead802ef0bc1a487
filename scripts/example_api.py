# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example application's HTTP API over a local project: started, waited for and stopped."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from clone import CLONE, write_private

PROGRAM = CLONE / "examples" / "ready_set" / "api.py"
_SECONDS = 15.0
_PAUSE = 0.05
# Those that this process started: it has to ask how they ended, or they stay on its list of children.
_started: dict[Path, subprocess.Popen[bytes]] = {}


def start(settings: Path, project_file: Path) -> None:
    """Have it run, its keys made when it is started; returns before it answers.

    :arg settings: where its address and its keys lie, for the owner of the clone only; its log is beside it.
    """
    if running(settings):
        return
    import jwt

    secret = secrets.token_urlsafe(32)
    keys = {role: jwt.encode({"role": role, "iss": "ready_set"}, secret) for role in ("anon", "service_role")}
    write_private(settings, json.dumps({"jwt_secret": secret, "keys": keys}))
    with settings.with_suffix(".log").open("ab") as log:
        # A session of its own: what ends the terminal's job does not end it.
        _started[settings] = subprocess.Popen(
            [sys.executable, str(PROGRAM), "--project", str(project_file), "--settings", str(settings)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def wait(settings: Path) -> str:
    """Its address, when it answers.

    :raises TimeoutError: when it does not.
    """
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        url = read(settings).get("url")
        try:
            if url and running(settings):
                with urllib.request.urlopen(f"{url}/health", timeout=5):
                    return str(url)
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(_PAUSE)
    raise TimeoutError(f"the example's API does not answer; its log is {settings.with_suffix('.log')}")


def stop(settings: Path) -> None:
    """Have it not run, and its keys gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + _SECONDS
        if running(settings) and (pid := read(settings).get("pid")):
            os.kill(pid, number)
        while running(settings) and time.monotonic() < until:
            time.sleep(_PAUSE)
    if ours := _started.pop(settings, None):
        ours.wait()
    settings.unlink(missing_ok=True)


def running(settings: Path) -> bool:
    """Whether it holds its lock."""
    try:
        with settings.with_suffix(".lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def read(settings: Path) -> dict[str, Any]:
    """Its settings, empty when there are none."""
    try:
        found: dict[str, Any] = json.loads(settings.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found
