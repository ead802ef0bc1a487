# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom PostgreSQL's programs run as: it refuses root.

For root a server runs under a user id that nobody else has, or, where that one could not reach the programs or the data (below
/root, say), in a user namespace of its own.
"""

from __future__ import annotations

import os
import pwd
import random
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import LocalProjectError, ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import CompletedProgram, run_program

NOBODY = 65534
# Ids that systemd sets aside for users who exist only while a service runs (systemd.io/UIDS-GIDS, "Dynamic service users").
PASSING_IDS = range(61184, 65520)
_PROBE_SECONDS = 60
_IN_A_USER_NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")


@dataclass(frozen=True)
class Account:
    """How PostgreSQL's programs are run so that they are not root: as somebody else, or behind a prefix."""

    unprivileged_id: int | None = None
    prefix: tuple[str, ...] = ()

    def run(self, argv: list[Path | str], **options: Any) -> CompletedProgram:
        """Run one program to its end, away from a working directory that the account could not enter."""
        return run_program(
            [*self.prefix, *argv], env={}, cwd=Path("/"), unprivileged_id=self.unprivileged_id, **options
        )


def make_account(directory: Path, pg_bin: Path) -> Account:
    """Choose how to run the server over a new, empty directory, and hand the directory to that account.

    :raises LocalProjectError: when we are root and there is no way to be anybody else.
    """
    if os.geteuid() != 0:
        return Account()
    failures = []
    for account, owner in ((Account(unprivileged_id=NOBODY), NOBODY), (Account(prefix=_IN_A_USER_NAMESPACE), 0)):
        try:
            os.chown(directory, owner, owner)
            # The shell asks as the account: a directory above that it may not enter shows only this way.
            probe: list[Path | str] = ["/bin/sh", "-c", 'test -w "$1" && exec "$2" --version', "sh", directory]
            account.run([*probe, pg_bin / "postgres"], timeout=_PROBE_SECONDS)
            return account
        except (OSError, ToolError) as error:
            failures.append(str(error).splitlines()[0])
    os.chown(directory, 0, 0)
    raise LocalProjectError(
        "PostgreSQL does not run as root, and no unprivileged way to run it works here: "
        f"as user {NOBODY}: {failures[0]} In a user namespace: {failures[1]}",
        where=str(directory),
        next_step="Run as a normal user, or choose a state_dir and a pg_bin that every user can reach (not below /root).",
    )


def account_of(data: Path) -> Account:
    """How to run the programs over a data directory that exists: as its owner.

    :raises LocalProjectError: when it belongs to somebody else and we are not root.
    """
    owner = data.stat().st_uid
    if os.geteuid() == 0:
        return Account(unprivileged_id=owner) if owner else Account(prefix=_IN_A_USER_NAMESPACE)
    if owner != os.geteuid():
        raise LocalProjectError(
            f"The server's data belongs to user {owner}, not to you (user {os.geteuid()})",
            where=str(data),
            next_step="Run as that user or as root, or use a state_dir of your own.",
        )
    return Account()


def give_own_id(directory: Path) -> None:
    """Hand the files below a directory to a user id of its own: other services of the machine run as nobody too.

    Where the container has no such id, it stays with nobody.
    """
    used = {entry.pw_uid for entry in pwd.getpwall()}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError):
            used.add(process.stat().st_uid)
    own = random.choice([number for number in PASSING_IDS if number not in used])
    files = [directory, *directory.rglob("*")]
    try:
        for path in files:
            os.chown(path, own, own, follow_symlinks=False)
    except OSError:
        for path in files:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
