# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PgBouncer before a project's server: what stands at Supabase's port 6543."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.debian_packages import unpack
from tests.integration.live import CLONE, LiveProject

# PgBouncer and those of its libraries that a bare Debian lacks.
PACKAGES = ("pgbouncer", "libc-ares2", "libevent-2.1-7")
KEPT = CLONE / ".local" / "cache" / "pgbouncer"
NOBODY = 65534
START_SECONDS = 20
# Behind Supabase's pooler a project stands in the user's name.
POOLER_USER = "postgres.abcdefghijklmnopqrst"

SETTINGS = """
[databases]
* = host={host} port={server_port} user=postgres password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {directory}/users.txt
pool_mode = {mode}
ignore_startup_parameters = extra_float_digits,options
{extra}
"""


def find_pgbouncer() -> Path:
    """PgBouncer: the installed one, or Debian's package unpacked into the clone. Nothing is installed.

    Without either the test is skipped, and the reason is in the summary.
    """
    installed = shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))
    if installed:
        return Path(installed)
    unpack("PgBouncer", KEPT, lambda: PACKAGES)
    return KEPT / "usr" / "sbin" / "pgbouncer"


@contextmanager
def running_pooler(project: LiveProject, mode: str, extra: str = "") -> Iterator[int]:
    """The port of a PgBouncer that lets postgres into every database of the server."""
    program = find_pgbouncer()
    directory = Path(tempfile.mkdtemp(prefix="pgops-pooler-"))
    directory.chmod(0o755)
    port = _free_port()
    settings = SETTINGS.format(
        host=project.server.host,
        server_port=project.server.port,
        password=project.server.passwords["postgres"],
        port=port,
        directory=directory,
        mode=mode,
        extra=extra,
    )
    (directory / "pgbouncer.ini").write_text(settings)
    (directory / "users.txt").write_text(f'"postgres" ""\n"{POOLER_USER}" ""\n')
    # PgBouncer refuses to be root, and nobody else may be able to enter the clone.
    account = NOBODY if os.geteuid() == 0 else None
    own = shutil.copy(program, directory / "pgbouncer")
    environment = {"PATH": os.defpath}
    libraries = [path.parent for path in program.parents[2].glob("usr/lib/*/libcares.so.2")]
    if program.is_relative_to(KEPT) and libraries:
        shutil.copytree(
            libraries[0], directory / "lib", ignore=lambda _where, names: [n for n in names if ".so" not in n]
        )
        environment["LD_LIBRARY_PATH"] = str(directory / "lib")
    log_stream = (directory / "log").open("wb")
    process = subprocess.Popen(
        [str(own), str(directory / "pgbouncer.ini")],
        env=environment,
        user=account,
        group=account,
        extra_groups=None if account is None else [],
        stdout=subprocess.DEVNULL,
        stderr=log_stream,
    )
    try:
        _wait_for(port, process, directory / "log")
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)
        log_stream.close()
        shutil.rmtree(directory)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"PgBouncer does not listen: {log.read_text()}")
