# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gates go by: plain facts, as the server, the disk and git state them. Ages are seconds, sizes are bytes."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.pgops.supabase.plugins.module_utils.ledger.marker import Marker
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import ConnectionOptions


@dataclass(frozen=True)
class Wanted:
    """The project as the inventory names it."""

    project: str
    project_ref: str | None
    environment: str | None
    login_host: str
    login_port: int
    login_user: str
    login_db: str


def wanted_project(options: ConnectionOptions, *, project: str, ref: str | None, environment: str | None) -> Wanted:
    """The project as the inventory names it, and as the options lead to it."""
    return Wanted(
        project=project,
        project_ref=ref,
        environment=environment,
        login_host=options.login_host,
        login_port=options.login_port,
        login_user=options.login_user,
        login_db=options.login_db,
    )


@dataclass(frozen=True)
class ServerIdentity:
    """The server as it describes itself. ``system_identifier`` is None where the role may not read it."""

    database: str
    address: str | None
    port: int | None
    in_recovery: bool
    system_identifier: str | None
    marker: Marker | None


@dataclass(frozen=True)
class PoolingFacts:
    """How sessions behave. ``backends`` are the server processes that answered two sessions (first, second, first while the
    second was in a transaction); ``refusal`` is what the server said to settings of a session."""

    backends: tuple[int, int, int]
    refusal: str | None


@dataclass(frozen=True)
class SchemaRights:
    """What the role may do in one schema."""

    schema: str
    usage: bool
    create: bool


@dataclass(frozen=True)
class Rights:
    """What the role may do. ``history_writable`` is None where there is no history yet."""

    role: str
    database: str
    superuser: bool
    bypasses_row_security: bool
    create_schemas: bool
    schemas: tuple[SchemaRights, ...]
    history_writable: bool | None


@dataclass(frozen=True)
class Versions:
    """The server's major and pg_dump's."""

    server: str
    server_major: int
    pg_dump: str
    pg_dump_major: int
    pg_dump_path: str


@dataclass(frozen=True)
class DiskSpace:
    """Free space where backups go, and the size of the database."""

    path: str
    free_bytes: int
    database_bytes: int


@dataclass(frozen=True)
class OpenTransaction:
    """One transaction of somebody else. What it runs is left out: query texts may hold secrets."""

    pid: int
    role: str
    application: str
    state: str
    age_seconds: float


@dataclass(frozen=True)
class OpenTransactions:
    """The transactions of others, and how many sessions hide theirs from the role."""

    transactions: tuple[OpenTransaction, ...]
    hidden: int


@dataclass(frozen=True)
class PreparedTransaction:
    """One transaction that was prepared and neither committed nor rolled back."""

    identifier: str
    owner: str
    age_seconds: float


@dataclass(frozen=True)
class InvalidObjects:
    """Indexes that PostgreSQL does not use, constraints that do not hold for old rows."""

    indexes: tuple[str, ...]
    constraints: tuple[str, ...]


@dataclass(frozen=True)
class Replication:
    """How far behind each standby and each slot is; None where the server does not say."""

    standbys: tuple[tuple[str, int | None], ...]
    active_slots: tuple[tuple[str, int | None], ...]
    inactive_slots: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True)
class Upstream:
    """The branch that the work tree's branch follows, as its remote has it now.

    ``problem`` says why the remote did not answer. ``tip`` is None where the branch is not there; ``known`` is false when that
    commit was not fetched yet. ``ahead`` and ``behind`` count commits, ``differing`` holds the pending files that are others
    there. ``refusal`` says why a push would be refused, where one was asked for.
    """

    name: str
    tip: str | None = None
    known: bool = False
    ahead: int = 0
    behind: int = 0
    differing: tuple[str, ...] = ()
    problem: str | None = None
    refusal: str | None = None


@dataclass(frozen=True)
class GitFacts:
    """The pending files in git. ``top`` is None outside a work tree, ``head`` None before the first commit.

    ``upstream`` is None where the branch follows none; ``asked`` is false where nobody wanted to know.
    """

    top: str | None
    head: str | None
    pending: tuple[str, ...]
    uncommitted: tuple[str, ...]
    upstream: Upstream | None = None
    asked: bool = True
