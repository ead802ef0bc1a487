# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example as an application of its own: a git repository with a remote, and the generator of its types."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from clone import COLLECTIONS, write_private

BRANCH = "main"
# Who commits in the demo, whatever the user's own git is set to; nothing of it leaves this machine.
_SETTINGS = {"user.name": "Ready Set", "user.email": "ready-set@example.com", "commit.gpgsign": "false"}


def have(app: Path, sources: Path) -> None:
    """Have the application's repository, with what the example holds now on its branch and on the remote beside it."""
    remote = app.with_suffix(".git")
    if not (app / ".git").is_dir() or not remote.is_dir():
        for folder in (app, remote):
            shutil.rmtree(folder, ignore_errors=True)
        _run("init", "--quiet", "--bare", f"--initial-branch={BRANCH}", str(remote))
        _run("init", "--quiet", f"--initial-branch={BRANCH}", str(app))
        _configure(app)
        git(app, "remote", "add", "origin", str(remote))
    shutil.copytree(sources, app / "supabase", dirs_exist_ok=True)
    if commit(app, "feat: the application's migrations, rollbacks and checks"):
        git(app, "push", "--quiet", "--set-upstream", "origin", BRANCH)


def branched(app: Path, copy: Path, branch: str, sources: Path) -> None:
    """A second work tree of the application on a branch of its own, with more files laid over it and committed."""
    shutil.rmtree(copy, ignore_errors=True)
    _run("clone", "--quiet", str(app.with_suffix(".git")), str(copy))
    _configure(copy)
    git(copy, "switch", "--quiet", "--create", branch)
    shutil.copytree(sources, copy / "supabase", dirs_exist_ok=True)
    commit(copy, f"feat: {branch}")


def commit(folder: Path, message: str) -> bool:
    """Commit what differs under C(supabase/), where something does."""
    git(folder, "add", "supabase")
    if not git(folder, "status", "--porcelain", "--untracked-files=no", "supabase"):
        return False
    git(folder, "commit", "--quiet", "--no-verify", f"--message={message}")
    return True


def have_generator(settings: Path, cache: Path) -> str:
    """Have the generator of TypeScript types, once for all demos of this clone, and write where it is for the inventory.

    Returns why there is none; empty where there is one.
    """
    sys.path.insert(0, str(COLLECTIONS))
    from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import PgopsError
    from ansible_collections.pgops.supabase.plugins.module_utils.publish.typegen import (
        find_generator,
        install_generator,
    )

    try:
        generator = find_generator(cache / "types.ts", cache) or install_generator(cache)
    except PgopsError as error:
        settings.unlink(missing_ok=True)
        return error.what
    write_private(settings, json.dumps({"generator_dir": str(generator.folder)}))
    return ""


def git(folder: Path, *arguments: str) -> str:
    """What git says in a folder."""
    return _run("-C", str(folder), *arguments)


def _configure(folder: Path) -> None:
    for name, value in _SETTINGS.items():
        git(folder, "config", name, value)


def _run(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
