# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are whole or absent: private, fsynced, renamed into place."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600
_BLOCK = 1024 * 1024


def sha256_of_bytes(content: bytes) -> str:
    """The SHA-256 of bytes in memory, as lowercase hex."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file, read in blocks so that memory stays flat."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def make_private_directory(path: Path) -> None:
    """Make a directory, and the missing ones above it, that only its owner can enter."""
    for missing in [p for p in (path, *path.parents) if not p.exists()][::-1]:
        missing.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)


def fsync_file(path: Path) -> None:
    """Have the file's content reach the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_directory(path: Path) -> None:
    """Have the directory's entries reach the disk; a rename is durable only after this (rename(2), fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes, *, mode: int = PRIVATE_FILE) -> None:
    """Write a file that is either the old one or the whole new one, whatever happens meanwhile.

    The temporary file lies in the target's directory, so that the rename stays within one file system.

    :raises OSError: when the directory cannot be written or the disk is full; the old file is then untouched.
    """
    make_private_directory(path.parent)
    descriptor, temporary_name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(temporary_name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def canonical_json(document: Any) -> bytes:
    """JSON whose bytes depend on the content alone: sorted keys, no spaces, UTF-8. What fingerprints are made of."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document atomically, indented for a person to read."""
    write_atomically(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON document.

    :raises FileNotFoundError: when there is none.
    :raises ValueError: when it is not JSON.
    """
    return json.loads(path.read_text(encoding="utf-8"))
