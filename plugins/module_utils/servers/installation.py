# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An installation of PostgreSQL that is a server's own: the embedded one, with stand-ins for extensions it lacks.

PostgreSQL looks for extensions beside its own program, wherever a link leads, and nowhere else. The embedded installation is
not ours to write into. So the server's program is copied, the rest is linked, and the control files of the stand-ins are added.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import is_embedded
from ansible_collections.pgops.supabase.plugins.module_utils.servers.extensions import ALLOWED, STAND_INS
from ansible_collections.pgops.supabase.plugins.module_utils.servers.server import Server


def add_stand_ins(server: Server, named: Path | str | None) -> None:
    """Give a server that is being made an installation of its own, if its programs are the embedded ones.

    :param named: the directory of programs that the user named; such an installation is taken as it is.
    """
    if gets_stand_ins(server.pg_bin, named):
        _make(server)


def gets_stand_ins(pg_bin: Path, named: Path | str | None) -> bool:
    """Whether a server that is made with these programs gets an installation of its own."""
    return not named and "PG_BIN" not in os.environ and is_embedded(pg_bin)


def refresh(server: Server) -> None:
    """After an update of the embedded installation, make the server's own anew; it must not run."""
    own, source = server.installation / "bin" / "postgres", server.pg_bin / "postgres"
    if not own.exists():
        return
    ours, theirs = own.stat(), source.stat()
    if (ours.st_size, ours.st_mtime_ns) != (theirs.st_size, theirs.st_mtime_ns):
        shutil.rmtree(server.installation)
        if is_embedded(server.pg_bin):
            _make(server)


def has_library(pg_bin: Path, name: str) -> bool:
    """Whether the installation that a program directory belongs to has a loadable library."""
    installation = pg_bin.resolve().parent
    return any((installation / place / f"{name}.so").exists() for place in ("lib", "lib/postgresql"))


def _make(server: Server) -> None:
    embedded, own = server.pg_bin.resolve().parent, server.installation
    for directory in (own, own / "bin", own / "share", own / "share" / "extension"):
        directory.mkdir(mode=0o755)
    (own / "lib").symlink_to(embedded / "lib")
    for place in ("share", "share/extension"):
        for entry in (embedded / place).iterdir():
            if not (own / place / entry.name).exists():
                (own / place / entry.name).symlink_to(entry)
    _write_extensions(own / "share" / "extension")
    shutil.copy2(server.pg_bin / "postgres", own / "bin" / "postgres")
    if os.geteuid() == 0:
        owner = server.directory.stat().st_uid
        for path in (own, *own.rglob("*")):
            os.chown(path, owner, owner, follow_symlinks=False)


def _write_extensions(place: Path) -> None:
    for name, stand_in in STAND_INS.items():
        control = place / f"{name}.control"
        if not control.exists():
            control.write_text(stand_in.control)
            (place / f"{name}--{stand_in.version}.sql").write_text(stand_in.script)
    for name in ALLOWED:
        control = place / f"{name}.control"
        if control.exists():
            text = control.read_text()
            control.unlink()
            control.write_text(f"{text}\ntrusted = true\n")
