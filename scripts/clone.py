# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands behind ``make`` share: where the clone's things lie, and the environment they run in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
BIN = CLONE / ".venv" / "bin"
ANSIBLE_HOME = CLONE / ".ansible"
COLLECTIONS = ANSIBLE_HOME / "collections"
LOCAL = CLONE / ".local"
NAMESPACE, NAME = "pgops", "supabase"

# The user's own settings would change what is tested and demonstrated.
_UNWANTED_PREFIXES = ("ANSIBLE_", "MOLECULE_", "PYTEST_")
_UNWANTED = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


def environment(collections: Path = COLLECTIONS, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a tool of the clone: its own Ansible, its own caches, nothing of the user's.

    :arg collections: the folder that holds ``ansible_collections``.
    :arg base: the environment to start from; by default this process's.
    """
    inherited = os.environ if base is None else base
    kept = {
        name: value
        for name, value in inherited.items()
        if name not in _UNWANTED and not name.startswith(_UNWANTED_PREFIXES)
    }
    cache = LOCAL / "cache"
    return {
        **kept,
        "PATH": os.pathsep.join([str(BIN), kept.get("PATH", os.defpath)]),
        "VIRTUAL_ENV": str(BIN.parent),
        # Ansible refuses a locale that is not UTF-8.
        "LC_ALL": "C.UTF-8",
        # Given as a variable because Ansible ignores an ansible.cfg that lies in a folder others may write to.
        "ANSIBLE_CONFIG": str(CLONE / "ansible.cfg"),
        "ANSIBLE_HOME": str(ANSIBLE_HOME),
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        # Modules are unpacked in the clone, not in a home directory, which a service account may not have.
        "ANSIBLE_REMOTE_TEMP": str(ANSIBLE_HOME / "tmp"),
        "BLACK_CACHE_DIR": str(cache / "black"),
        "XDG_CACHE_HOME": str(cache),
        "PYTHONUNBUFFERED": "1",
    }


def say(message: str) -> None:
    """Tell the reader what happens next."""
    print(f"==> {message}", flush=True)


def project_files() -> list[Path]:
    """Return the clone's files that git tracks or would track, relative to the clone.

    :raises SystemExit: git is missing or the clone is not a git repository.
    """
    # A clone that belongs to someone else is listed all the same: nothing of its configuration is run by ls-files.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=CLONE, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        sys.exit("error: git is not installed (Debian: apt-get install git)")
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: git cannot list the files of {CLONE}: {error.stderr.strip()}")
    return [Path(name) for name in listing.split("\0") if name and (CLONE / name).is_file()]


def copy_project(target: Path) -> None:
    """Make ``target`` a fresh copy of the clone's files, without the generated ones and without links."""
    shutil.rmtree(target, ignore_errors=True)
    for name in project_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CLONE / name, target / name)


def run(command: Sequence[str | Path], env: Mapping[str, str], cwd: Path = CLONE) -> None:
    """Run one command with its output on this terminal.

    :raises SystemExit: it failed; the exit code is the command's own.
    """
    returncode = subprocess.run([str(word) for word in command], cwd=cwd, env=dict(env), check=False).returncode
    if returncode:
        sys.exit(returncode if returncode > 0 else 128 - returncode)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
