# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server for one job: who reaches it, and what is left of it when its maker ends in whichever way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_value, session
from ansible_collections.pgops.supabase.plugins.module_utils.servers.account import NOBODY
from ansible_collections.pgops.supabase.plugins.module_utils.servers.scratch import remove_abandoned, scratch_server
from ansible_collections.pgops.supabase.plugins.module_utils.servers.server import running_pid

HOLD = """
import sys, time
from pathlib import Path
from ansible_collections.pgops.supabase.plugins.module_utils.servers.scratch import scratch_server
with scratch_server(place=Path(sys.argv[1])) as scratch:
    print(scratch.server.data, flush=True)
    time.sleep(120)
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path that the server's account may pass."""
    directory = Path(tempfile.mkdtemp(prefix="pgops-tests-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def holder(place: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a scratch server in the place."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(place)], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def data_of(holder: subprocess.Popen[str]) -> Path:
    assert holder.stdout is not None
    return Path(holder.stdout.readline().strip())


def postmaster(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().splitlines()[0])


def lives(pid: int) -> bool:
    """Whether the process does something still; one that only waits to be reaped has no working directory."""
    try:
        return bool(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return False


def test_it_is_shaped_like_a_project_serves_and_is_gone(place: Path) -> None:
    for dummy in range(2):
        with scratch_server(place=place) as scratch:
            with session(scratch.connection(user="postgres")) as connection:
                assert fetch_value(connection, "select to_regclass('auth.users') is not null")
                assert not fetch_value(connection, "select rolsuper from pg_roles where rolname = current_user")
            empty = scratch.create_database("of its own")
            with session(empty) as connection:
                assert fetch_value(connection, "select to_regclass('auth.users') is null")
            pid = postmaster(scratch.server.data)
        assert list(place.iterdir()) == []
        assert not lives(pid)


def test_nobody_else_reaches_it(place: Path) -> None:
    with scratch_server(place=place) as scratch:
        inodes = {link for link in links_of(postmaster(scratch.server.data)) if link.startswith("socket:")}
        listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        of_network = {f"socket:[{line.split()[9]}]" for line in listening.splitlines() if line.split()[3] == "0A"}
        assert inodes & of_network == set()
        assert scratch.server.directory.stat().st_mode & 0o777 == 0o700
        hba = (scratch.server.data / "pg_hba.conf").read_text()
        assert [line.split()[-1] for line in hba.splitlines() if line and not line.startswith("#")] == ["scram-sha-256"]
        assert not any(password in repr(scratch) for password in scratch.passwords.values())


def links_of(pid: int) -> list[str]:
    return [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]


def test_an_error_in_the_block_leaves_nothing(place: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_server(place=place) as scratch:
        pid = postmaster(scratch.server.data)
        raise ZeroDivisionError
    assert list(place.iterdir()) == []
    assert not lives(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_nothing(place: Path, holder: subprocess.Popen[str], number: int) -> None:
    pid = postmaster(data_of(holder))
    holder.send_signal(number)
    assert holder.wait(60) != 0
    assert list(place.iterdir()) == []
    assert not lives(pid)


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_is_in_use_is_not(
    place: Path, holder: subprocess.Popen[str]
) -> None:
    data = data_of(holder)
    pid = postmaster(data)
    assert remove_abandoned(place) == []
    with scratch_server(place=place):
        assert lives(pid)
    holder.kill()
    holder.wait()
    assert lives(pid)
    with scratch_server(place=place) as scratch:
        assert [path.name for path in place.iterdir()] == [scratch.directory.name]
        assert not lives(pid)
    assert list(place.iterdir()) == []


def test_the_version_is_the_one_asked_for_or_the_next_newer(place: Path) -> None:
    with scratch_server(place=place, major=15) as scratch:
        assert scratch.version.major >= 15
        assert running_pid(scratch.server)
    with pytest.raises(ToolError, match="PostgreSQL 99 or newer is needed"), scratch_server(place=place, major=99):
        pass
    assert list(place.iterdir()) == []


def test_a_place_whose_path_is_too_long_is_refused(place: Path) -> None:
    deep = place / ("d" * 90)
    deep.mkdir()
    with pytest.raises(InputError, match="107 bytes"), scratch_server(place=deep):
        pass
    assert list(deep.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user shows it with every other test")
def test_an_ordinary_user_has_one_too(place: Path) -> None:
    script = HOLD.replace("time.sleep(120)", "import os; print(os.geteuid(), scratch.server.data.stat().st_uid)")
    # Behind a user namespace root is somebody who may do nothing special.
    command = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--", sys.executable, "-c", script]
    for dummy in range(2):
        result = subprocess.run([*command, place], env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert result.stdout.splitlines()[-1:] == [f"{NOBODY} {NOBODY}"], result.stderr
        assert list(place.iterdir()) == []
