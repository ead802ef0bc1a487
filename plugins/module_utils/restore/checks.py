# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to hold before a restore begins: the right backup, whole, for the right database, that can take it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupManifest
from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import (
    DumpTools,
    inspect_backup,
    major_version,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import PrivilegeError, RestoreError, ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.privileges import roles_in
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.marker import read_marker
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    fetch_all,
    fetch_value,
    require_all_rows_visible,
    server_version,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import foreign_keys
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import lock_table_capacity
from ansible_collections.pgops.supabase.plugins.module_utils.restore.load import BackupContent, RestorePlan
from ansible_collections.pgops.supabase.plugins.module_utils.restore.surroundings import unavailable_extensions
from ansible_collections.pgops.supabase.plugins.module_utils.restore.target import (
    missing_roles,
    relations_of,
    roles_not_ours,
    stored_tables,
    unwritable_tables,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.locks import LOCKS_OF_A_NEW_TABLE

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

_RELATION_KINDS = ("TABLE", "INDEX", "SEQUENCE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE")
# What a foreign key, trigger or policy locks is there already; a constraint of a key brings an index.
_KEY_KINDS = ("CONSTRAINT",)
_SHOWN = 8
# The environment of a project that is there to be overwritten.
DISPOSABLE = "disposable"


@dataclass(frozen=True, kw_only=True)
class Target:
    """The database that is restored into, as it says itself."""

    database: str
    host: str
    port: int
    system_identifier: str
    server_version: str
    project: str | None
    environment: str | None

    @property
    def name(self) -> str:
        """The database as a consent names it."""
        return f"{self.database} on {self.host}:{self.port}"


def load_backup(path: Path, project: str) -> BackupManifest:
    """The manifest of a backup that is as it was written, file by file, and of this project.

    :raises RestoreError: when a hash differs, a file is missing, or it is another project's.
    """
    entry = inspect_backup(path, verify="checksums")
    if entry.manifest is None or not entry.sound:
        raise RestoreError(
            f"The backup is not what was written: {'; '.join(entry.problems)}",
            where=str(path),
            next_step="Take another backup (module backup_info lists them with what is wrong), and look for a failing disk.",
            details={"problems": entry.problems},
        )
    if entry.manifest.project != project:
        raise RestoreError(
            f"This is a backup of {entry.manifest.project}, not of {project}",
            where=str(path),
            next_step=f"Take a backup of {project}; or, if its content is meant to go there, say project: {entry.manifest.project} "
            "and elsewhere: true (playbook: restore_to).",
        )
    return entry.manifest


def require_reader(tools: DumpTools, manifest: BackupManifest) -> None:
    """Refuse a pg_restore that is older than the pg_dump that wrote the archive.

    :raises ToolError: naming both.
    """
    if tools.version.major < major_version(manifest.client_version):
        raise ToolError(
            f"pg_restore {tools.version} is older than pg_dump {manifest.client_version}, which wrote the archive",
            where=str(tools.pg_restore),
            next_step=f"Point pg_bin (or $PG_BIN) at the programs of PostgreSQL {major_version(manifest.client_version)} or newer.",
        )


def read_target(connection: PgConnection, host: str, port: int) -> Target:
    """Which database this is. Reads only."""
    database, identifier = fetch_all(
        connection,
        "select current_database(), (select system_identifier::text from pg_catalog.pg_control_system())",
    )[0]
    marker = read_marker(connection)
    return Target(
        database=str(database),
        host=host,
        port=port,
        system_identifier=str(identifier),
        server_version=server_version(connection),
        project=marker.project if marker else None,
        environment=marker.environment if marker else None,
    )


def require_right_target(target: Target, manifest: BackupManifest, *, elsewhere: bool) -> None:
    """Refuse a database that the backup was not taken from, unless another one is meant; and a server that is too old.

    :raises RestoreError: naming what differs.
    """
    if major_version(target.server_version) < major_version(manifest.server_version):
        raise RestoreError(
            f"The server is PostgreSQL {target.server_version}, older than the one that was backed up: {manifest.server_version}",
            where=target.name,
            next_step=f"Restore into PostgreSQL {major_version(manifest.server_version)} or newer.",
        )
    if elsewhere:
        return
    same = (target.system_identifier, target.database) == (manifest.system_identifier, manifest.database)
    if not same or target.project not in (None, manifest.project):
        marked = f", marked as {target.project}" if target.project else ""
        raise RestoreError(
            f"This database is not the one that was backed up: it is {target.database} of system {target.system_identifier}"
            f"{marked}; the backup is of {manifest.database} of system {manifest.system_identifier}",
            where=target.name,
            next_step="Check the connection; if another database or server is meant, say so: elsewhere: true (playbook: restore_to).",
        )


def require_disposable(target: Target, manifest: BackupManifest) -> None:
    """Refuse to overwrite a database without asking, unless its own marker says that it is there for that.

    :raises RestoreError: when it is not marked so, or is the very one that was backed up.
    """
    if (target.system_identifier, target.database) == (manifest.system_identifier, manifest.database):
        raise RestoreError(
            f"This is the database that was backed up, {manifest.project}: it is not disposable",
            where=target.name,
            next_step="Name another database (project_rehearsal_target), or none for a scratch server.",
        )
    if target.environment == DISPOSABLE:
        return
    marked = f"marked as {target.project} ({target.environment})" if target.project else "not marked"
    raise RestoreError(
        f"The database is to be overwritten without a question, and nothing in it says that it is disposable: it is {marked}",
        where=target.name,
        next_step=f"If everything in it may go: set project_environment: {DISPOSABLE} for that host in the inventory and mark it, "
        "ansible-playbook pgops.supabase.migrate -l <host> --tags preflight -e preflight_mark=true"
        + (" (first: delete from pgops.project_marker;)." if target.project else "."),
    )


def require_possible(connection: PgConnection, content: BackupContent, plan: RestorePlan) -> None:
    """Refuse beforehand whatever PostgreSQL would refuse in the middle. Reads only.

    :raises PrivilegeError: when the role may not see, empty or own what it has to.
    :raises RestoreError: when roles, extensions or tables are missing, or the server's lock table is too small.
    """
    require_all_rows_visible(connection, "a restore")
    _require_roles(connection, content)
    lacking = unavailable_extensions(connection, content.catalog, content.platform)
    if lacking:
        raise RestoreError(
            f"The server does not have these extensions of the backup: {', '.join(lacking)}",
            where="pg_available_extension_versions",
            next_step="Have them installed on the server (on Supabase: dashboard, Database, Extensions), then run again.",
        )
    _require_platform(connection, content, plan)
    _require_locks(connection, content, plan)


def _require_roles(connection: PgConnection, content: BackupContent) -> None:
    schemas = set(content.manifest.own_schemas)
    missing = missing_roles(connection, roles_in(content.catalog) - {"pg_database_owner"})
    if missing:
        raise RestoreError(
            f"The server does not have these roles, which own things in the backup or were granted some: {', '.join(missing)}",
            where="pg_roles",
            next_step="Make them first; roles.sql in the backup has their definitions, without passwords.",
        )
    owners = {
        entry.owner for entry in content.entries if entry.owner and entry.schema in schemas and entry.kind != "ACL"
    }
    foreign = roles_not_ours(connection, owners - {"pg_database_owner"})
    owned = [
        entry.label
        for entry in content.entries
        if entry.owner in foreign and entry.schema in schemas and entry.kind not in ("ACL", "COMMENT", "DEFAULT ACL")
    ]
    if owned:
        raise PrivilegeError(
            f"The backup holds objects of {', '.join(foreign)}, for whom this role may not act: {_some(owned)}",
            where=owned[0],
            next_step="Connect as a role that is a member of their owner, or as a superuser.",
        )


def _require_platform(connection: PgConnection, content: BackupContent, plan: RestorePlan) -> None:
    there = set(stored_tables(connection, plan.rows_only))
    gone = [f"{schema}.{table}" for schema, table in plan.reloaded if (schema, table) not in there]
    if gone:
        raise RestoreError(
            f"The platform does not have these tables any more, and the backup holds rows of them: {_some(gone)}",
            where=gone[0],
            next_step="Its version has changed. Restore without the platform's rows: platform_data: false.",
        )
    refused = [f"{schema}.{table}" for schema, table in unwritable_tables(connection, plan.reloaded)]
    if refused:
        raise PrivilegeError(
            f"The role may not empty and fill these tables of the platform: {_some(refused)}",
            where=refused[0],
            next_step="Connect as postgres (login_user), or restore without the platform's rows: platform_data: false.",
        )
    replaced = plan.emptied | plan.made
    bystanders = [
        f"{referring[0]}.{referring[1]}"
        for referring, referred in foreign_keys(connection)
        if (referred in plan.reloaded or referred[0] in plan.emptied)
        and referring[0] not in replaced
        and referring not in plan.reloaded
        and referring not in plan.empty
    ]
    if bystanders:
        raise RestoreError(
            f"Tables that the backup does not hold refer to rows that would be replaced: {_some(bystanders)}",
            where=bystanders[0],
            next_step="Take their foreign keys away first, or restore without the platform's rows: platform_data: false.",
        )


def _require_locks(connection: PgConnection, content: BackupContent, plan: RestorePlan) -> None:
    """Everything that is dropped or made is locked until COMMIT."""
    whole = plan.replaced | plan.made
    relations = [e for e in content.entries if e.schema in whole and e.kind in (*_RELATION_KINDS, *_KEY_KINDS)]
    tables = sum(entry.kind == "TABLE" for entry in relations)
    needed = relations_of(connection, plan.emptied) + len(relations) + tables * (LOCKS_OF_A_NEW_TABLE - 1)
    needed += _large_objects(connection, content)
    capacity = lock_table_capacity(connection)
    # The table also takes what other shared memory leaves free; the setting is where it is sure to hold.
    if needed > capacity * 2:
        setting = int(fetch_value(connection, "select current_setting('max_locks_per_transaction')"))
        raise RestoreError(
            f"The restore locks about {needed} objects at once, and the server's lock table holds about {capacity}",
            where="setting max_locks_per_transaction",
            next_step=f"Set max_locks_per_transaction to {-(-needed * setting // capacity)} or more, restart the server and run again; "
            "or restore into another server (playbook: restore_to).",
            details={"locks_needed": needed, "locks_capacity": capacity},
        )


def _large_objects(connection: PgConnection, content: BackupContent) -> int:
    """How many large objects are locked, each until COMMIT: those that are dropped and those that are made, mostly the same."""
    there = int(fetch_value(connection, "select count(*) from pg_catalog.pg_largeobject_metadata"))
    counted = content.manifest.large_objects
    if counted is None:
        # An older manifest does not say. An entry tells of one, or of a range of which it may hold not all.
        counted = sum(entry.kind in ("BLOB", "BLOB METADATA") for entry in content.entries)
    return max(there, counted)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
