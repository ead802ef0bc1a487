# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server for faults, and the figures at the end.

C(PGOPS_FAULTS=full) makes every fault at every point; otherwise a part of them is made. C(PGOPS_FAULT_POINTS) holds texts, one of
which has to be in the name of a point for it to be made: then of every point.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import (
    create_database,
    drop_database,
    ensure_absent,
    ensure_started,
)
from tests.faults.applier import Applier
from tests.faults.figures import Figures, closing_line, table
from tests.faults.kept import Kept, prepare
from tests.faults.proxy import Proxy
from tests.faults.stage import Stage
from tests.faults.ways_back import Story
from tests.faults.ways_back import prepare as tell
from tests.integration.live import LiveProject

FIGURES = "figures"
# What the server has confirmed has to be there after an immediate stop; a power cut is not among the faults.
SETTINGS = {"fsync": False, "full_page_writes": False, "synchronous_commit": True, "shared_buffers": "32MB"}


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """A server that may be stopped at any time, its proxy, and the process that applies."""
    directory = Path(tempfile.mkdtemp(prefix="pgops-faults-"))
    directory.chmod(0o755)
    server = ensure_started(directory, "faults", settings=SETTINGS).project
    assert server is not None
    applier, proxy = Applier(), Proxy(server.port)
    yield Stage(server, proxy, applier)
    proxy.close()
    applier.close()
    ensure_absent(directory, "faults")
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def kept(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A project with backups, which each worker makes once."""
    return prepare(stage, tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="session")
def story(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The ways back, with what they need, which each worker makes once."""
    return tell(stage, tmp_path_factory.mktemp("ways_back"))


@pytest.fixture
def project(stage: Stage) -> Iterator[LiveProject]:
    """A fresh database on the server."""
    stage.start_again()
    name = f"test_{secrets.token_hex(6)}"
    create_database(stage.server, name)
    yield LiveProject(stage.server, name)
    drop_database(stage.server, name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of all workers."""
    rows = [
        Figures(**value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == FIGURES and isinstance(value, dict)
    ]
    if rows:
        terminalreporter.section("faults")
        for line in (*table(rows), "", closing_line(rows)):
            terminalreporter.write_line(line)
