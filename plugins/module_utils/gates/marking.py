# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mark a database as the project that it is, once, where nothing speaks against it."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, VerificationFailed
from ansible_collections.pgops.supabase.plugins.module_utils.gates.evidence import read_identity
from ansible_collections.pgops.supabase.plugins.module_utils.gates.facts import wanted_project
from ansible_collections.pgops.supabase.plugins.module_utils.gates.rules import judge_identity
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.marker import Marker, read_marker, write_marker
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    execute,
    session,
)

_STATEMENT_TIMEOUT, _LOCK_TIMEOUT = "60s", "5s"


@dataclass(frozen=True)
class MarkerResult:
    """The marker that was found, and the one that is there now. A dry run foresees none: ``after`` is what was found."""

    before: Marker | None
    after: Marker | None
    changed: bool


def mark_project(
    options: ConnectionOptions, *, project: str, ref: str | None, environment: str, pretend: bool = False
) -> MarkerResult:
    """Mark the database as this project. One that is marked as it already is left as it is.

    :param pretend: write nothing, only say whether it would be marked.
    :raises InputError: when the environment is empty; nothing was connected to then.
    :raises VerificationFailed: when the database is marked as something else, or its name, host or user say another project.
    """
    if not environment:
        raise InputError(
            "A database is marked with its environment, and none is given",
            where="environment",
            next_step="Give environment (project_environment): dev, prod or what you call it.",
        )
    wanted = wanted_project(options, project=project, ref=ref, environment=environment)
    # Without settings at its start, which a pooler may refuse or drop: that is for the pooler gate to say.
    with session(options) as connection:
        timeouts = (_STATEMENT_TIMEOUT, _LOCK_TIMEOUT)
        execute(connection, "set local statement_timeout = %s; set local lock_timeout = %s", timeouts)
        server = read_identity(connection)
        judgement = judge_identity(wanted, server)
        if judgement.verdict == "FAIL":
            raise VerificationFailed(
                f"The database is not marked as {project}: {judgement.evidence}",
                where=options.place,
                next_step=judgement.next_step,
            )
        if server.marker is not None or pretend:
            return MarkerResult(server.marker, server.marker, changed=server.marker is None)
        write_marker(
            connection, project=project, ref=ref, environment=environment, system_identifier=server.system_identifier
        )
        after = read_marker(connection)
        connection.commit()
    return MarkerResult(None, after, changed=True)
