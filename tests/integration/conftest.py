# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running Supabase-shaped server for the session, a fresh database on it for each test, and the modules."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.servers.documents import LocalProject
from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import (
    create_database,
    drop_database,
    ensure_absent,
    ensure_started,
)
from tests.integration import live, supabase_cli
from tests.integration.supabase_cli import SupabaseCli

# Nothing here has to survive a power cut.
FAST_SETTINGS = {
    "fsync": False,
    "full_page_writes": False,
    "synchronous_commit": False,
    "shared_buffers": "64MB",
}


@pytest.fixture(scope="session")
def server_state() -> Iterator[Path]:
    """A directory for servers, short-lived, and enterable: root's server runs as somebody else."""
    directory = Path(tempfile.mkdtemp(prefix="pgops-tests-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def local_server(server_state: Path) -> Iterator[LocalProject]:
    """A running server; each worker of pytest-xdist has its own."""
    project = ensure_started(server_state, "session", settings=FAST_SETTINGS).project
    assert project is not None
    yield project
    ensure_absent(server_state, "session")


@pytest.fixture
def new_project(local_server: LocalProject) -> Iterator[live.NewProject]:
    """Make as many fresh databases as a test needs."""
    made: list[str] = []

    def make() -> live.LiveProject:
        name = f"test_{secrets.token_hex(6)}"
        create_database(local_server, name)
        made.append(name)
        return live.LiveProject(local_server, name)

    yield make
    for name in made:
        drop_database(local_server, name)


@pytest.fixture
def project(new_project: live.NewProject) -> live.LiveProject:
    """One fresh database."""
    return new_project()


@pytest.fixture
def run_module() -> live.RunModule:
    """Run a module and return its result."""
    return live.run_module


@pytest.fixture(scope="session", params=["3.1.0", "2.122.1"])
def cli(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SupabaseCli:
    """Each release of the CLI that is in use."""
    return supabase_cli.installed(request.param, tmp_path_factory.mktemp("home"))
