# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary directories that tell whether their maker still lives: by a lock that ends with the process, however it ends.

A process that is killed cannot clean up. Whoever comes next finds what it left and can tell it from what is in use.
"""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_POLITE_ENDS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def claimed_directory(place: Path, prefix: str) -> Iterator[Path]:
    """Make a new private directory that is ours as long as this process lives or the block lasts; removing it is the caller's.

    :raises OSError: when it cannot be made.
    """
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        descriptor = _lock(path)
        if descriptor is not None:
            break
    try:
        yield path
    finally:
        os.close(descriptor)


@contextmanager
def abandoned_directories(place: Path, pattern: str) -> Iterator[list[Path]]:
    """Those of our own directories of this pattern whose makers are gone, claimed for the time of the block."""
    found: list[tuple[Path, int]] = []
    try:
        for path in sorted(place.glob(pattern)):
            descriptor = _lock(path) if _is_our_directory(path) else None
            if descriptor is not None:
                found.append((path, descriptor))
        yield [path for path, _descriptor in found]
    finally:
        for _path, descriptor in found:
            os.close(descriptor)


@contextmanager
def cleaning_up_when_ended() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise SystemExit, so that whatever cleans up on an error does so then too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _leave) for number in _POLITE_ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _frame: FrameType | None) -> None:
    # Once: what cleans up is not to be interrupted in turn.
    for polite in _POLITE_ENDS:
        signal.signal(polite, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _lock(path: Path) -> int | None:
    """A descriptor that holds the directory's lock, None when somebody else has it or the directory is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _is_our_directory(path: Path) -> bool:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return status.st_uid == os.geteuid()
