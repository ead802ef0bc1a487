# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server, fresh projects on it, the Supabase CLI, and the figure at the end."""

from __future__ import annotations

import pytest

from tests.integration import supabase_cli
from tests.integration.conftest import local_server, new_project, server_state
from tests.integration.supabase_cli import SupabaseCli

__all__ = ["cli", "local_server", "new_project", "server_state"]

OUTCOME = "interop"
TAKEN_BACK = "taken back"


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> SupabaseCli:
    """The newest release of the CLI that is in use."""
    return supabase_cli.installed("3.1.0", tmp_path_factory.mktemp("home"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many cases ended as with the CLI."""
    properties = [
        (name, str(value))
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
    ]
    outcomes = [value for name, value in properties if name == OUTCOME]
    back = sum(name == TAKEN_BACK for name, value in properties)
    if outcomes:
        terminalreporter.section("interop")
        terminalreporter.write_line(
            f"beside the Supabase CLI, with default settings: {len(outcomes)} cases, {outcomes.count('equal')} applied by both and equal "
            f"by pg_dump ({back} of them rolled back to what pg_dump wrote before), {outcomes.count('refused')} refused by both"
        )
