# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Describe a live schema, keep it in a file, and say what leads from one schema to another."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    BusyError,
    InputError,
    VerificationFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import (
    canonical_json,
    read_json,
    write_atomically,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import (
    CatalogChange,
    ChangeCounts,
    SchemaDiff,
    SchemaInfo,
    SchemaSide,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    Catalog,
    compare_catalogs,
    fingerprint,
    read_catalog,
    user_schemas,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.selection import (
    count_objects,
    of_schemas,
    without_ignored,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    server_version,
    session,
)

Source = Union[ConnectionOptions, Path]
"""A schema that is live, or that was kept in a file."""

_TOLD_IN_MESSAGE = 5


@dataclass(frozen=True)
class LiveSchema:
    """What one session saw of a database."""

    options: ConnectionOptions
    schemas: list[str]
    version: str
    catalog: Catalog


@dataclass(frozen=True)
class Kept:
    """What keeping a catalog in a file did, or would do.

    :param changes: the objects that differ from the file as it was; empty when only its form or its mode did.
    """

    changed: bool
    changes: list[CatalogChange]


def read_live(
    options: ConnectionOptions, settings: SessionSettings, schemas: Sequence[str] | None = None
) -> LiveSchema:
    """Read a database's schema in one read-only snapshot.

    :param schemas: the schemas to read; by default the user's own.
    :raises BusyError: when a lock on an object held up the reading for longer than the settings allow.
    """
    import psycopg2.errors

    with session(options, settings) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        try:
            names = sorted(set(schemas)) if schemas else user_schemas(connection)
            catalog = read_catalog(connection, names)
            return LiveSchema(options, names, server_version(connection), catalog)
        except psycopg2.errors.LockNotAvailable as error:
            raise BusyError(
                "The schema could not be read: another session holds a lock on one of its objects",
                where=options.place,
                next_step="Run it again when that session is done (pg_locks shows it), or raise lock_timeout_seconds.",
                details={"sqlstate": error.pgcode},
            ) from error


def describe(live: LiveSchema) -> SchemaInfo:
    """A live schema in figures."""
    objects = count_objects(live.catalog)
    return SchemaInfo(
        database=live.options.login_db,
        server_version=live.version,
        taken_at=utc_now(),
        schemas=live.schemas,
        fingerprint=fingerprint(live.catalog),
        objects=objects,
        total=sum(objects.values()),
    )


def keep(catalog: Catalog, file: Path, *, dry_run: bool = False) -> Kept:
    """Keep a catalog as canonical JSON, so that the file's SHA-256 is the catalog's fingerprint.

    Nothing is written when the file holds that already and nobody but its owner can read it.

    :param dry_run: only say what would be done.
    :raises InputError: when something else is at that place: it is not overwritten.
    """
    content = canonical_json(catalog)
    present = file.exists()
    before = read_file(file) if present else {}
    if present and file.read_bytes() == content and not stat.S_IMODE(file.stat().st_mode) & 0o077:
        return Kept(False, [])
    if not dry_run:
        write_atomically(file, content)
    return Kept(True, compare_catalogs(before, catalog))


def read_file(file: Path) -> Catalog:
    """A catalog that was kept: by :func:`keep`, or as a run's C(catalog-before.json).

    :raises InputError: when there is no such file or it holds anything else.
    """
    next_step = "Give a file that schema_info wrote (dest), or a run's catalog-before.json."
    try:
        catalog = read_json(file)
        if not isinstance(catalog, dict):
            raise ValueError("it is not a JSON object")
        for key, definition in catalog.items():
            CatalogKey.parse(key)
            if not isinstance(definition, dict):
                raise ValueError(f"the definition of {key} is not a JSON object")
    except OSError as error:
        raise InputError(
            f"The schema's file cannot be read: {error.strerror}", where=str(file), next_step=next_step
        ) from error
    except ValueError as error:
        raise InputError(f"The file holds no schema: {error}", where=str(file), next_step=next_step) from error
    return catalog


def compare_sources(
    before: Source,
    after: Source,
    *,
    settings: SessionSettings,
    schemas: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    fail_on_difference: bool = False,
) -> SchemaDiff:
    """Read two schemas, live or kept, and say what it takes to go from one to the other.

    :param schemas: compare only these, of a file too; by default the user's own and all that a file holds.
    :raises InputError: when a file holds no schema.
    :raises VerificationFailed: when they differ and C(fail_on_difference); it carries the comparison.
    """
    sides = [_read_side(source, settings, schemas) for source in (before, after)]
    return compare(sides[0], sides[1], ignore=ignore, fail_on_difference=fail_on_difference)


def compare(
    before: tuple[SchemaSide, Catalog],
    after: tuple[SchemaSide, Catalog],
    *,
    ignore: Sequence[str] = (),
    fail_on_difference: bool = False,
) -> SchemaDiff:
    """What it takes to go from one schema to the other; pure.

    :param ignore: patterns of objects and attributes that may differ, see :func:`without_ignored`.
    :raises VerificationFailed: when they differ and C(fail_on_difference); it carries the comparison.
    """
    old, new = without_ignored(before[1], ignore), without_ignored(after[1], ignore)
    changes = compare_catalogs(old.catalog, new.catalog)
    diff = SchemaDiff(
        before=before[0],
        after=after[0],
        equal=not changes,
        changes=changes,
        counts=count_changes(changes),
        ignored=old.left_out + new.left_out,
        notes=_notes(before[0], after[0], [p for p in ignore if p not in old.matched | new.matched]),
    )
    if changes and fail_on_difference:
        raise _differ(diff)
    return diff


def count_changes(changes: Sequence[CatalogChange]) -> dict[str, ChangeCounts]:
    """How many objects of each type were created, changed and dropped; types without any are left out."""
    counts: dict[str, ChangeCounts] = {}
    for change in changes:
        count = counts.setdefault(change.object_type, ChangeCounts())
        setattr(count, change.change, getattr(count, change.change) + 1)
    return dict(sorted(counts.items()))


def _read_side(source: Source, settings: SessionSettings, schemas: Sequence[str] | None) -> tuple[SchemaSide, Catalog]:
    if isinstance(source, Path):
        catalog = read_file(source)
        catalog = of_schemas(catalog, schemas) if schemas else catalog
        return _side(str(source), None, catalog), catalog
    live = read_live(source, settings, schemas)
    return _side(source.place, live.version, live.catalog), live.catalog


def _side(source: str, version: str | None, catalog: Catalog) -> SchemaSide:
    return SchemaSide(source=source, server_version=version, fingerprint=fingerprint(catalog), total=len(catalog))


def _notes(before: SchemaSide, after: SchemaSide, unused: Sequence[str]) -> list[str]:
    notes = [f"Nothing matches the pattern to ignore {pattern}." for pattern in unused]
    versions = [side.server_version for side in (before, after) if side.server_version]
    if len({version.split(".", 1)[0] for version in versions}) > 1:
        notes.append(
            f"The servers are of different major versions, {' and '.join(versions)}: PostgreSQL writes some definitions "
            "differently, so a difference may be one of wording only."
        )
    return notes


def _differ(diff: SchemaDiff) -> VerificationFailed:
    told = [f"{c.object_type} {c.object_name} {c.change}" for c in diff.changes[:_TOLD_IN_MESSAGE]]
    more = len(diff.changes) - len(told)
    listed = ", ".join(told) + (f" and {more} more" if more else "")
    partial: dict[str, Any] = {"schema_diff": diff.as_dict()}
    return VerificationFailed(
        f"The schemas differ; from before ({diff.before.source}) to after ({diff.after.source}): {listed}",
        next_step="Read schema_diff.changes; close the difference by a migration, or name what may differ in ignore.",
        details={"result": partial},
    )
