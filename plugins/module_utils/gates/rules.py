# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gates' judgements: facts in, verdict with evidence and next step out. Pure: no server, no disk, no clock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupEntry
from ansible_collections.pgops.supabase.plugins.module_utils.base.sizes import human_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.gates.documents import GateVerdict
from ansible_collections.pgops.supabase.plugins.module_utils.gates.facts import (
    DiskSpace,
    InvalidObjects,
    OpenTransactions,
    PoolingFacts,
    PreparedTransaction,
    Replication,
    Rights,
    ServerIdentity,
    Versions,
    Wanted,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.documents import Lease
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.lease import how_to_free, who_holds
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import TRANSACTION_POOLER_PORT

OLDEST_SERVER, NEWEST_SERVER = 15, 18
SHOWN = 10

_PROJECT_HOST = re.compile(r"^db\.([a-z0-9]+)\.supabase\.(?:co|red)$")
_POOLER_HOST = re.compile(r"\.pooler\.supabase\.com$")
_POOLER_USER = re.compile(r"^[^.]+\.([a-z0-9]+)$")
# On whatever host, such as a name of one's own for the pooler: nobody else is called like this.
_PROJECT_USER = re.compile(r"^postgres\.([a-z]{20})$")


@dataclass(frozen=True)
class Judgement:
    """The verdict of one gate before anybody waives it."""

    verdict: GateVerdict
    evidence: str
    next_step: str | None = None


def judge_identity(wanted: Wanted, server: ServerIdentity) -> Judgement:
    """The database is the project that the inventory means: by its name, its host and the marker that is stored in it."""
    contradictions = [*_address_contradictions(wanted, server), *_marker_contradictions(wanted, server)]
    evidence = _identity_evidence(wanted, server)
    if contradictions:
        return Judgement(
            "FAIL",
            f"{'; '.join(contradictions)}. {evidence}",
            "Check the inventory (login_host, login_db, project, project_ref, environment): this is not the database it means. "
            "If the database is right and its marker is not (a copy of another project, a server made anew): "
            "delete from pgops.project_marker; then mark it again (module pgops.supabase.project_marker).",
        )
    if server.marker is None:
        return Judgement(
            "WARNING",
            f"The database is not marked, so nothing in it says that it is {wanted.project}. {evidence}",
            f"When you are sure: pgops.supabase.project_marker with project: {wanted.project}, "
            f"environment: {wanted.environment or '(dev, prod ...)'}; in a playbook of the collection -e preflight_mark=true.",
        )
    return Judgement("PASS", evidence)


def _address_contradictions(wanted: Wanted, server: ServerIdentity) -> list[str]:
    found = []
    if server.database != wanted.login_db:
        found.append(f"the session is in database {server.database}, not {wanted.login_db}")
    if server.in_recovery:
        found.append("the server is a read replica, which cannot be migrated")
    for where, ref in (("host", _match(_PROJECT_HOST, wanted.login_host)), ("user", _pooler_ref(wanted))):
        if ref and wanted.project_ref and ref != wanted.project_ref:
            found.append(f"the {where} belongs to project {ref}, not to {wanted.project_ref}")
    return found


def _marker_contradictions(wanted: Wanted, server: ServerIdentity) -> list[str]:
    marker = server.marker
    if marker is None:
        return []
    found = []
    for what, marked, expected in (
        ("environment", marker.environment, wanted.environment),
        ("project", marker.project, wanted.project),
        ("reference", marker.ref, wanted.project_ref),
    ):
        if marked and expected and marked != expected:
            found.append(f"the database is marked as {what} {marked}, and {marked} is not {expected}")
    there, here = marker.system_identifier, server.system_identifier
    if there and here and there != here:
        found.append(f"the marker was written on server {there}, and this is server {here}")
    return found


def _identity_evidence(wanted: Wanted, server: ServerIdentity) -> str:
    listening = f"{server.address}:{server.port}" if server.address else "a socket"
    identifier = server.system_identifier or "not readable by this role"
    marker = "no marker"
    if server.marker:
        ref = f", reference {server.marker.ref}" if server.marker.ref else ""
        marker = f"marked {server.marker.created_at} as {server.marker.project} ({server.marker.environment}{ref})"
    return (
        f"Database {server.database} through {wanted.login_host}:{wanted.login_port}, the server listens on {listening}, "
        f"system identifier {identifier}, {marker}."
    )


def judge_pooler(wanted: Wanted, pooling: PoolingFacts) -> Judgement:
    """A session is a session: not shared, and its settings are kept."""
    reasons = []
    if wanted.login_port == TRANSACTION_POOLER_PORT:
        reasons.append(f"port {TRANSACTION_POOLER_PORT} is Supabase's transaction pooler")
    first, second, beside = pooling.backends
    if first == second:
        reasons.append(f"two sessions were answered by the same server process {first}: a transaction pooler shares it")
    elif first != beside:
        reasons.append(
            f"one session was answered by server processes {first} and {beside}: a transaction pooler swaps them"
        )
    if pooling.refusal:
        reasons.append(f"settings of a session are not kept: {pooling.refusal}")
    if reasons:
        return Judgement(
            "FAIL",
            "; ".join(reasons),
            "Connect to port 5432: directly (db.<ref>.supabase.co) or through the session pooler "
            "(<region>.pooler.supabase.com:5432, user postgres.<ref>).",
        )
    return Judgement("PASS", f"two sessions kept a server process each ({first}, {second}) and took their settings")


def judge_privileges(rights: Rights) -> Judgement:
    """The role sees every row and may make what the migrations make."""
    role = f'"{rights.role}"'
    kind = "superuser" if rights.superuser else "BYPASSRLS" if rights.bypasses_row_security else "neither"
    evidence = f"Role {rights.role}: {kind}"
    problems: list[tuple[str, str]] = []
    if not (rights.superuser or rights.bypasses_row_security):
        problems.append(("row level security hides rows from it", f"alter role {role} bypassrls;"))
    if not rights.create_schemas:
        problems.append(("it may not create schemas", f'grant create on database "{rights.database}" to {role};'))
    for schema in rights.schemas:
        if not (schema.usage and schema.create):
            grant = f'grant usage, create on schema "{schema.schema}" to {role};'
            problems.append((f"it may not create in schema {schema.schema}", grant))
    if rights.history_writable is False:
        problems.append(
            (
                "it may not write supabase_migrations.schema_migrations",
                f"grant usage on schema supabase_migrations to {role}; "
                f"grant select, insert, delete on supabase_migrations.schema_migrations to {role};",
            )
        )
    if problems:
        return Judgement(
            "FAIL",
            f"{evidence}; " + "; ".join(problem for problem, dummy in problems),
            "Connect as postgres (login_user), or as a role that may: " + " ".join(grant for dummy, grant in problems),
        )
    schemas = ", ".join(schema.schema for schema in rights.schemas)
    return Judgement(
        "PASS", f"{evidence}; may create schemas, and objects in {schemas or 'new schemas'}; may write the history"
    )


def judge_versions(versions: Versions) -> Judgement:
    """The server is one that is supported, and pg_dump knows everything that it may hold."""
    evidence = f"Server {versions.server}, pg_dump {versions.pg_dump} ({versions.pg_dump_path})"
    if not OLDEST_SERVER <= versions.server_major <= NEWEST_SERVER:
        return Judgement(
            "FAIL",
            f"{evidence}; PostgreSQL {OLDEST_SERVER} to {NEWEST_SERVER} are supported",
            "Upgrade the project's PostgreSQL first (Supabase: Settings, Infrastructure), or waive this after a rehearsal.",
        )
    if versions.pg_dump_major < versions.server_major:
        return Judgement(
            "FAIL",
            f"{evidence}; pg_dump is older than the server and may not know everything in it",
            f"Set pg_bin (or $PG_BIN) to the programs of PostgreSQL {versions.server_major} or newer.",
        )
    return Judgement("PASS", evidence)


def judge_disk(space: DiskSpace, factor: float) -> Judgement:
    """A backup fits: free space is at least the database's size times the factor."""
    needed = round(space.database_bytes * factor)
    evidence = (
        f"{human_bytes(space.free_bytes)} free in {space.path}; the database has {human_bytes(space.database_bytes)}, "
        f"needed are {human_bytes(needed)} (factor {factor:g})"
    )
    if space.free_bytes < needed:
        return Judgement(
            "FAIL", evidence, f"Free space below {space.path}, or choose another state_dir (project_state_dir)."
        )
    return Judgement("PASS", evidence)


def judge_long_transactions(found: OpenTransactions, max_age_seconds: float) -> Judgement:
    """Nobody's transaction is so old that DDL would wait for it, and everybody else for the DDL."""
    old = [t for t in found.transactions if t.age_seconds > max_age_seconds]
    if old:
        listed = shown_list(
            [
                f"pid {t.pid} of {t.role or 'the server'} ({t.application or 'no application name'}), {t.state}, "
                f"open for {t.age_seconds:.0f} s"
                for t in old
            ]
        )
        return Judgement(
            "FAIL",
            f"{len(old)} open longer than {max_age_seconds:g} s: {listed}",
            f"Wait for it, or end it after asking its owner: select pg_terminate_backend({old[0].pid});",
        )
    if found.hidden:
        return Judgement(
            "WARNING",
            f"of {number(found.hidden, 'session')} of other roles this role cannot see how old their transactions are",
            "Connect as postgres (login_user), or: grant pg_read_all_stats to the role.",
        )
    oldest = max((t.age_seconds for t in found.transactions), default=0.0)
    return Judgement(
        "PASS", f"{len(found.transactions)} open, the oldest for {oldest:.0f} s, limit {max_age_seconds:g} s"
    )


def judge_prepared_transactions(found: Sequence[PreparedTransaction]) -> Judgement:
    """No prepared transaction holds locks that no session will ever release."""
    if not found:
        return Judgement("PASS", "none")
    listed = shown_list([f"{p.identifier} of {p.owner}, prepared {p.age_seconds:.0f} s ago" for p in found])
    identifier = found[0].identifier.replace("'", "''")
    return Judgement(
        "FAIL",
        f"{len(found)} hold their locks until somebody decides: {listed}",
        f"Ask whoever prepared it; then: commit prepared '{identifier}'; or rollback prepared '{identifier}';",
    )


def judge_invalid_objects(found: InvalidObjects) -> Judgement:
    """Nothing is half made: an INVALID index is not used, a NOT VALID constraint does not hold for old rows."""
    parts = []
    if found.indexes:
        parts.append(f"{len(found.indexes)} INVALID indexes: {shown_list(found.indexes)}")
    if found.constraints:
        parts.append(f"{len(found.constraints)} NOT VALID constraints: {shown_list(found.constraints)}")
    if not parts:
        return Judgement("PASS", "none")
    return Judgement(
        "WARNING",
        "; ".join(parts),
        "reindex index concurrently <index>; (or drop it) and alter table <table> validate constraint <constraint>;",
    )


def judge_replication(found: Replication, max_lag_bytes: int) -> Judgement:
    """Standbys and consumers keep up, so that the migration's WAL neither hides from readers nor fills the disk."""
    behind = [
        f"{kind} {name} is {human_bytes(lag)} behind"
        for kind, members in (("standby", found.standbys), ("slot", found.active_slots))
        for name, lag in members
        if lag is not None and lag > max_lag_bytes
    ]
    if behind:
        return Judgement(
            "FAIL",
            f"{shown_list(behind)}; limit {human_bytes(max_lag_bytes)}",
            "Wait until it has caught up: select * from pg_stat_replication; or raise max_replication_lag_bytes.",
        )
    if found.inactive_slots:
        idle = [
            f"{name} ({'lag unknown' if lag is None else human_bytes(lag) + ' behind'})"
            for name, lag in found.inactive_slots
        ]
        return Judgement(
            "WARNING",
            f"{len(idle)} slots that nobody reads keep WAL on the disk: {shown_list(idle)}",
            f"Start its reader, or: select pg_drop_replication_slot('{found.inactive_slots[0][0]}');",
        )
    unknown = sum(lag is None for members in (found.standbys, found.active_slots) for dummy, lag in members)
    if unknown:
        return Judgement(
            "WARNING",
            f"{unknown} standbys or slots do not show this role how far behind they are",
            "Connect as postgres (login_user), or: grant pg_monitor to the role.",
        )
    count = len(found.standbys) + len(found.active_slots)
    return Judgement("PASS", f"{count} standbys and slots within {human_bytes(max_lag_bytes)}" if count else "none")


def judge_lease(lease: Lease | None, owner: str | None) -> Judgement:
    """Nobody else works on the project.

    :param owner: who may hold it.
    """
    if lease is None:
        return Judgement("PASS", "nobody holds it")
    if lease.owner == owner:
        return Judgement("PASS", f"held by this run: {who_holds(lease)}")
    if lease.expired:
        return Judgement("PASS", f"expired, the next run takes it over: {who_holds(lease)}")
    return Judgement("FAIL", f"held by another run: {who_holds(lease)}", how_to_free(lease))


def judge_backup_age(
    entries: Sequence[BackupEntry], max_age_seconds: float, server_identifier: str | None
) -> Judgement:
    """There is a sound backup of this server that is young enough.

    :param server_identifier: None where the role may not read it; then any server's backup counts.
    """
    sound = [
        entry
        for entry in entries
        if entry.sound
        and entry.manifest
        and (server_identifier is None or entry.manifest.system_identifier == server_identifier)
    ]
    ages = [(entry.age_seconds, entry.path) for entry in sound if entry.age_seconds is not None]
    next_step = "Make a backup first: pgops.supabase.backup, or the playbook pgops.supabase.migrate, which makes one."
    if not ages:
        unsound = f"; {len(entries) - len(sound)} that are damaged or another server's" if entries else ""
        return Judgement("FAIL", f"there is no sound backup{unsound}", next_step)
    age, path = min(ages)
    evidence = f"the newest sound backup is {age:.0f} s old, limit {max_age_seconds:g} s: {path}"
    return Judgement("PASS", evidence) if age <= max_age_seconds else Judgement("FAIL", evidence, next_step)


def shown_list(items: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    rest = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _match(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[1] if found else None


def _pooler_ref(wanted: Wanted) -> str | None:
    """Behind Supabase's pooler the project stands in the user's name."""
    pattern = _POOLER_USER if _POOLER_HOST.search(wanted.login_host) else _PROJECT_USER
    return _match(pattern, wanted.login_user)
