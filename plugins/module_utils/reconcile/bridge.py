# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bridges: a drafted migration that brings one project's schema to another's, its rollback, and their proof on a scratch server."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import (
    DumpTools,
    find_dump_tools,
    major_version,
    require_client_for,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, PgopsError, reason_of
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import (
    make_private_directory,
    write_atomically,
    write_json,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange, SchemaSide
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, column_of, relation_of
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import Catalog, describe_changes, fingerprint
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.privileges import unquoted
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.snapshot import (
    LiveSchema,
    Source,
    read_file,
    read_live,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.documents import UncoveredObject
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.order import Step
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.whole import WholeDraft, draft_whole
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    fetch_value,
    require_all_rows_visible,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.bridge_copy import (
    Copy,
    dump_schemas,
    make_copy,
    make_roles,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.bridge_documents import (
    Bridge,
    BridgeFile,
    Destroying,
    Trial,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.bridge_files import (
    DraftedFile,
    drafted_files,
    migration_text,
    rollback_text,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.bridge_proof import Judge, Proof, placed, prove
from ansible_collections.pgops.supabase.plugins.module_utils.servers.scratch import ScratchServer, scratch_server

DOCUMENT = "bridge.json"
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class BridgeOptions:
    """What to bridge, and how.

    :param source: the other project's database, or the file of its catalog.
    :param name: the name of the migration, without its version.
    :param directory: where the files and bridge.json are written.
    :param schemas: the schemas of both; by default the user's own.
    :param version: the version of the first file, the present time by default.
    """

    target: ConnectionOptions
    source: Source
    name: str
    directory: Path
    settings: SessionSettings
    schemas: Sequence[str] | None = None
    pg_bin: Path | None = None
    scratch_dir: Path | None = None
    version: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class _Sides:
    target: LiveSchema
    source: Catalog
    source_side: SchemaSide
    live_source: LiveSchema | None
    schemas: list[str]


def make_bridge(how: BridgeOptions, scratch: ScratchServer | None = None) -> Bridge:
    """Draft the migrations that bring the target to the source and their rollbacks, prove them, and write all of it down.

    Nothing is written to either project. What would lose data is commented out, with the number of rows that would.

    :param scratch: a server to prove it on, of at least the target's major version; by default one of its own.
    :raises InputError: when the source's file holds no catalog, or a name cannot be one of a migration.
    :raises PrivilegeError: when row level security would hide rows that have to be counted.
    :raises ToolError: when no server of the target's major version, or no pg_dump for it, is installed.
    """
    started = time.monotonic()
    _require_name(how.name)
    tools = find_dump_tools(how.pg_bin)
    sides = _read(how)
    require_client_for(tools, sides.target.version)
    with _Rows(how, sides.target) as rows:
        draft = draft_whole(
            placed(sides.source, sides.target.catalog), sides.target.catalog, missing_values=rows.missing
        )
        counts = {step.key: rows.lost(step) for step in draft.steps if step.destroys}
    files = drafted_files(draft.phases, how.name, how.version or datetime.now(timezone.utc).strftime("%Y%m%d%H%M%S"))
    bridge = _described(how, sides, draft, files, counts)
    proof = Proof()
    if files or draft.not_covered:
        proof = _prove(how, sides, tools, draft, files, bridge, scratch)
    _judge(bridge, sides, draft, files, proof)
    bridge.duration_seconds = round(time.monotonic() - started, 3)
    if not how.dry_run:
        _write(how, bridge, files, proof, counts)
    return bridge


def _require_name(name: str) -> None:
    if not name.replace("_", "").isalnum() or name != name.lower() or not name.isascii():
        raise InputError(
            f"{name!r} cannot be the name of a migration here",
            where="name",
            next_step="Use small letters, digits and underscores.",
        )


def _read(how: BridgeOptions) -> _Sides:
    target = read_live(how.target, how.settings, how.schemas)
    if isinstance(how.source, Path):
        catalog, live = read_file(how.source), None
        names = {unquoted(CatalogKey.parse(key).name) for key in catalog if key.startswith("schema ")}
        side = SchemaSide(
            source=str(how.source), server_version=None, fingerprint=fingerprint(catalog), total=len(catalog)
        )
    else:
        live = read_live(how.source, how.settings, how.schemas)
        catalog, names = live.catalog, set(live.schemas)
        side = _side(live)
    schemas = sorted({*target.schemas, *names})
    if schemas != target.schemas:
        target = read_live(how.target, how.settings, schemas)
    if live is not None and schemas != live.schemas:
        live = read_live(live.options, how.settings, schemas)
        catalog = live.catalog
    return _Sides(target, catalog, side, live, schemas)


def _side(live: LiveSchema) -> SchemaSide:
    return SchemaSide(
        source=live.options.place,
        server_version=live.version,
        fingerprint=fingerprint(live.catalog),
        total=len(live.catalog),
    )


class _Rows:
    """The target's rows, counted in one read-only session and no more often than asked for."""

    def __init__(self, how: BridgeOptions, target: LiveSchema) -> None:
        self._catalog = target.catalog
        self._session = session(target.options, replace(how.settings, row_security=False, read_only=True))
        self._known: dict[tuple[str, str], int] = {}

    def __enter__(self) -> _Rows:
        self._connection = self._session.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._session.__exit__(None, None, None)

    def missing(self, relation: str, column: str | None) -> int:
        """How many rows have no value in a column; of a new column (None), all."""
        return self._count(relation, f"where {column} is null" if column else "")

    def lost(self, step: Step) -> int | None:
        """How many rows would lose something by a step; None where it is not of rows."""
        kind, name = CatalogKey.parse(step.key)
        if step.key not in self._catalog:
            return None
        if kind == "table":
            return self._count(name, "")
        if kind != "column" or f"table {relation_of(name)}" not in self._catalog:
            return None
        return self._count(relation_of(name), f"where {column_of(name)} is not null")

    def _count(self, relation: str, where: str) -> int:
        if (relation, where) not in self._known:
            require_all_rows_visible(self._connection, "a count of rows that would be lost")
            # Both names are the catalog's, as SQL.
            self._known[relation, where] = int(
                fetch_value(self._connection, f"select count(*) from {relation} {where}")
            )
        return self._known[relation, where]


def _described(
    how: BridgeOptions,
    sides: _Sides,
    draft: WholeDraft,
    files: Sequence[DraftedFile],
    counts: dict[str, int | None],
) -> Bridge:
    return Bridge(
        target=_side(sides.target),
        source=sides.source_side,
        made_at=utc_now(),
        verdict="not proven",
        reasons=[],
        files=[
            BridgeFile(
                version=file.version,
                name=file.name,
                path=str(how.directory / "migrations" / f"{file.label}.sql"),
                rollback=None,
                statements=sum(len(step.statements) for step in file.steps if not step.destroys),
                commented=sum(len(step.statements) for step in file.steps if step.destroys),
                outside_transaction=file.outside_transaction,
            )
            for file in files
        ],
        destroying=[
            Destroying(
                object_name=step.key,
                file=f"{file.label}.sql",
                reason=step.destroys,
                rows=counts[step.key],
                statements=list(step.statements),
            )
            for file in files
            for step in file.steps
            if step.destroys
        ],
        not_covered=[UncoveredObject(object_name=item.key, reason=item.reason) for item in draft.not_covered],
        as_drafted=Trial(executed=False),
        in_full=Trial(executed=False),
        rollback=Trial(executed=False),
        proven_with=None,
        applied_as=None,
        notes=[],
        directory=str(how.directory),
        duration_seconds=0.0,
    )


def _prove(
    how: BridgeOptions,
    sides: _Sides,
    tools: DumpTools,
    draft: WholeDraft,
    files: Sequence[DraftedFile],
    bridge: Bridge,
    given: ScratchServer | None,
) -> Proof:
    """Run it on a scratch server; where the copies cannot be made, it stays unproven, and says why."""
    major = major_version(sides.target.version)
    own = scratch_server(major=major, pg_bin=how.pg_bin, place=how.scratch_dir)
    with nullcontext(given) if given else own as scratch:
        bridge.proven_with = scratch.version.text
        place, mark = scratch.directory, secrets.token_hex(4)

        def copy(live: LiveSchema, name: str) -> tuple[Copy, str]:
            file = place / f"{name}.sql"
            dump_schemas(tools, live.options, how.settings, live.schemas, file)
            made = make_copy(scratch, name, live.catalog, sides.schemas, file)
            return made, dump_schemas(tools, scratch.connection(name), SessionSettings(), sides.schemas, file)

        try:
            make_roles(scratch, sides.source)
            target, target_dump = copy(sides.target, f"target_{mark}")
            bridge.notes += _copy_notes("target", target.differs)
            source_dump = None
            if sides.live_source is not None:
                copied, source_dump = copy(sides.live_source, f"source_{mark}")
                bridge.notes += _copy_notes("source", copied.differs)
            judge = Judge(
                scratch=scratch,
                source=sides.source,
                schemas=sides.schemas,
                target=target,
                target_dump=target_dump,
                source_dump=source_dump,
                tools=tools,
                place=place,
            )
            proof = prove(judge, files, draft.not_covered)
            if any(change.object_type != "extension" for change in target.differs):
                bridge.reasons.append("the copy of the target is not like the target, see notes")
            return proof
        except PgopsError as error:
            bridge.reasons.append(f"it could not be tried on a copy: {reason_of(error)}")
            return Proof()


def _copy_notes(side: str, differs: Sequence[CatalogChange]) -> list[str]:
    return [f"On the copy of the {side} differs: {line}" for line in describe_changes(differs)]


def _judge(bridge: Bridge, sides: _Sides, draft: WholeDraft, files: Sequence[DraftedFile], proof: Proof) -> None:
    """The verdict, with every reason why it is not the best one."""
    bridge.as_drafted, bridge.in_full, bridge.rollback = proof.as_drafted, proof.in_full, proof.rollback
    if not files and not draft.not_covered:
        bridge.verdict = "proven"
        bridge.notes.append("Nothing differs, so there is nothing to bridge.")
        return
    bridge.applied_as = proof.applied_as
    faults = [*bridge.reasons, *_faults(proof)]
    gaps = [f"{len(draft.not_covered)} objects are left to a person, see not_covered"] if draft.not_covered else []
    gaps += [f"pg_dump writes {side} otherwise" for side in _other_dumps(proof)]
    bridge.reasons = faults + gaps
    bridge.verdict = "not proven" if faults else "partly" if gaps else "proven"
    if proof.applied_as != "postgres":
        bridge.notes.append(
            "The draft was run as the superuser: postgres may not do all of it on a scratch server, as it may on the platform."
        )
    if sides.live_source is None:
        bridge.notes.append("The source is a file, so what pg_dump writes was compared for the way back only.")
    bridge.notes += [
        f"The rollback of {label} does not cover {item.key}: {item.reason}"
        for label, left in proof.not_covered.items()
        for item in left
    ]


def _faults(proof: Proof) -> Iterator[str]:
    for what, trial in (("as drafted", proof.as_drafted), ("in full", proof.in_full), ("back", proof.rollback)):
        if trial.failure:
            yield f"{what}: {trial.failure}"
        elif not trial.executed:
            yield f"{what}: it was not run"
        elif trial.unexplained:
            told = describe_changes(trial.unexplained)
            more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
            yield f"{what}: it leaves {'; '.join(told[:_SHOWN])}{more}"


def _other_dumps(proof: Proof) -> Iterator[str]:
    if proof.in_full.dump_equal is False:
        yield "the result and the source"
    if proof.rollback.dump_equal is False:
        yield "the target after the rollback"


def _write(
    how: BridgeOptions, bridge: Bridge, files: Sequence[DraftedFile], proof: Proof, counts: dict[str, int | None]
) -> None:
    make_private_directory(how.directory)
    for folder in ("migrations", "rollbacks"):
        make_private_directory(how.directory / folder)
    head = [
        f"Brings {bridge.target.source} to {bridge.source.source}.",
        f"Proof: {bridge.verdict}.",
        *bridge.reasons[:_SHOWN],
    ]
    lines = [line for item in head for line in item.splitlines()]
    for file, described in zip(files, bridge.files, strict=True):
        write_atomically(Path(described.path), migration_text(file, lines, counts).encode())
        if file.label in proof.rollbacks:
            rollback = how.directory / "rollbacks" / f"{file.label}.sql"
            text = rollback_text(file, proof.rollbacks[file.label], proof.not_covered[file.label], lines)
            write_atomically(rollback, text.encode())
            described.rollback = str(rollback)
    write_json(how.directory / DOCUMENT, bridge.as_dict())


def told(bridge: Bridge) -> str:
    """The verdict in words, and where the files are."""
    reasons = f" ({'; '.join(bridge.reasons[:_SHOWN])})" if bridge.reasons else ""
    if not bridge.files:
        what = "nothing can be drafted" if bridge.not_covered else "nothing to bridge"
        return f"{what} between {bridge.target.source} and {bridge.source.source}: {bridge.verdict}{reasons}"
    statements = number(sum(file.statements for file in bridge.files), "statement")
    commented = sum(file.commented for file in bridge.files)
    return (
        f"the bridge is {bridge.verdict}{reasons}: {statements} in {number(len(bridge.files), 'file')}"
        + (f", and {commented} commented out because what they do loses data" if commented else "")
        + f"; read them in {bridge.directory}"
    )
