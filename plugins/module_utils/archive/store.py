# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup on disk: write its archive with pg_dump, read it back whole with pg_restore, find it again later.

A backup is a directory with C(manifest.json), the archive (C(database/) or C(database.dump)), C(catalog.json) and C(roles.sql).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupEntry, BackupManifest
from ansible_collections.pgops.supabase.plugins.module_utils.archive.encryption import opened_backup
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BackupError, InputError, ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import (
    read_json,
    sha256_of_file,
    write_atomically,
    write_json,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.identifiers import always_quoted
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import (
    ProgramVersion,
    Watcher,
    find_program,
    program_version,
    run_program,
    run_side_by_side,
)

ArchiveFormat = Literal["custom", "directory"]
VerifyLevel = Literal["none", "checksums", "read"]

ARCHIVE_NAMES: Mapping[ArchiveFormat, str] = {"directory": "database", "custom": "database.dump"}
BACKUP_NAME = "backup"
INCOMPLETE_PREFIX = ".incomplete-"
MANIFEST_NAME = "manifest.json"
MANIFEST_HASH_NAME = "manifest.json.sha256"
ROLES_NAME = "roles.sql"
CATALOG_NAME = "catalog.json"

# Best first, with what --compress is given. A bare 1 is gzip's level 1, which clients before 16 understand as well.
COMPRESSIONS = {"zstd:1": "zstd:1", "lz4": "lz4", "gzip:1": "1"}

# A table's rows in the output of pg_restore --list: dump id, catalog oid, object oid, kind.
_TABLE_DATA = re.compile(r"^\d+; \d+ \d+ TABLE DATA ")


@dataclass(frozen=True)
class DumpTools:
    """The programs that make and read archives, all of one version."""

    pg_dump: Path
    pg_dumpall: Path
    pg_restore: Path
    version: ProgramVersion


@dataclass(frozen=True)
class ArchiveContent:
    """What reading a whole archive found."""

    entries: int
    tables_with_data: int


def major_version(version: str) -> int:
    """The major of a version as PostgreSQL names it (V(17.10), V(18beta1))."""
    digits = re.match(r"\d+", version)
    if digits is None:
        raise ToolError(f"{version!r} is not a version of PostgreSQL")
    return int(digits.group())


def find_dump_tools(pg_bin: Path | str | None = None) -> DumpTools:
    """Find pg_dump and its companions.

    :raises ToolError: when one of them is missing.
    """
    pg_dump, pg_dumpall, pg_restore = (find_program(n, pg_bin) for n in ("pg_dump", "pg_dumpall", "pg_restore"))
    return DumpTools(pg_dump, pg_dumpall, pg_restore, program_version(pg_dump))


def require_client_for(tools: DumpTools, server_version: str) -> None:
    """Refuse a pg_dump that is older than the server: it does not know everything that the server may hold.

    :raises ToolError: when pg_dump's major is below the server's.
    """
    wanted = major_version(server_version)
    if tools.version.major < wanted:
        raise ToolError(
            f"pg_dump {tools.version} is older than the server, which is {server_version}",
            where=str(tools.pg_dump),
            next_step=(
                f"Use PostgreSQL {wanted}'s programs or newer: set pg_bin (or the environment variable PG_BIN) to their "
                "directory. Without either, the collection's own from requirements.txt are found first."
            ),
            details={"client_version": str(tools.version), "server_version": server_version},
        )


def choose_compression(tools: DumpTools, wanted: str) -> str:
    """What to compress with: V(auto) is the best this pg_dump was built for, anything else is taken if it can be.

    :returns: a value of :data:`COMPRESSIONS`' keys, or what was wanted.
    :raises ToolError: when this pg_dump cannot compress so.
    """
    candidates = list(COMPRESSIONS) if wanted == "auto" else [wanted]
    refusals = []
    for candidate in candidates:
        refusal = _compression_refusal(tools, candidate)
        if refusal is None:
            return candidate
        refusals.append(refusal)
    raise ToolError(
        f"pg_dump {tools.version} cannot compress with {wanted}: {refusals[-1]}",
        where=str(tools.pg_dump),
        next_step="Use compression: auto, or a method that this pg_dump was built for.",
    )


def _compression_refusal(tools: DumpTools, compression: str) -> str | None:
    """Why pg_dump refuses a compression, None when it takes it.

    pg_dump judges its options before it connects, so a server that is not there tells without any server's help: only
    an accepted option gets as far as the connection.
    """
    attempt: list[str | Path] = [
        tools.pg_dump,
        "--format=custom",
        "--file=/dev/null",
        f"--compress={_compress_argument(compression)}",
    ]
    try:
        run_program(attempt, env={"PGHOST": "/nonexistent"})
    except ToolError as error:
        complaint = str(error.details["stderr"]).strip()
        return None if "connection to server" in complaint else complaint
    return None


def _compress_argument(compression: str) -> str:
    return COMPRESSIONS.get(compression, compression)


def dump_database(
    tools: DumpTools,
    directory: Path,
    *,
    environment: Mapping[str, str],
    conninfo: str,
    snapshot: str,
    excluded_schemas: Sequence[str],
    excluded_tables: Sequence[tuple[str, str]],
    archive_format: ArchiveFormat,
    jobs: int,
    compression: str,
    lock_timeout_ms: int,
    watcher: Watcher,
) -> None:
    """Write the archive of the database as the exported snapshot sees it, and the roles without their passwords.

    Schemas are left out by name and not chosen by name, because only so pg_dump writes down what is in no schema as well:
    extensions, publications, event triggers, casts, large objects.

    :raises ToolError: when pg_dump or pg_dumpall fails.
    """
    argv: list[str | Path] = [
        tools.pg_dump,
        f"--dbname={conninfo}",
        f"--format={archive_format}",
        f"--file={directory / ARCHIVE_NAMES[archive_format]}",
        f"--compress={_compress_argument(compression)}",
        f"--snapshot={snapshot}",
        f"--lock-wait-timeout={lock_timeout_ms}",
        "--no-password",
        "--verbose",
        # Who seals the backup has every file reach the disk, while the archive is read back.
        "--no-sync",
    ]
    if archive_format == "directory":
        argv.append(f"--jobs={jobs}")
    # In quotes a pattern stands for itself (psql, "Patterns").
    argv += [f"--exclude-schema={always_quoted(schema)}" for schema in excluded_schemas]
    argv += [f"--exclude-table={always_quoted(schema)}.{always_quoted(table)}" for schema, table in excluded_tables]
    run_program(argv, env=environment, watcher=watcher)
    _dump_roles(tools, directory, environment, conninfo)


def _dump_roles(tools: DumpTools, directory: Path, environment: Mapping[str, str], conninfo: str) -> None:
    run_program(
        [
            tools.pg_dumpall,
            "--roles-only",
            "--no-role-passwords",
            "--no-password",
            f"--file={directory / ROLES_NAME}",
            f"--dbname={conninfo}",
        ],
        env=environment,
    )


def read_archive(tools: DumpTools, directory: Path, archive_format: ArchiveFormat, *, jobs: int = 1) -> ArchiveContent:
    """Read the whole archive, every row of it, and throw the output away.

    Listing its contents is not enough: pg_restore --list is content with a truncated archive.

    :param jobs: how many programs read at the same time, each its share of the tables.
    :raises BackupError: when pg_restore cannot read all of it.
    """
    archive = directory / ARCHIVE_NAMES[archive_format]
    try:
        listing = run_program([tools.pg_restore, "--list", archive], env={}).stdout.split("\n")
        entries = [line for line in listing if line and not line.startswith(";")]
        with tempfile.TemporaryDirectory(prefix="pgops-read-") as place:
            run_side_by_side(
                [
                    [
                        tools.pg_restore,
                        "--exit-on-error",
                        "--file=/dev/null",
                        f"--use-list={_written(share, Path(place) / str(number))}",
                        archive,
                    ]
                    for number, share in enumerate(_shares(entries, archive, jobs))
                ],
                env={},
            )
    except ToolError as error:
        raise BackupError(
            f"The archive cannot be read to its end: {error.what}",
            where=str(archive),
            next_step="Do not rely on this backup: make a new one, and look for a failing disk.",
            details=error.details,
        ) from error
    return ArchiveContent(
        entries=len(entries),
        tables_with_data=sum(1 for line in entries if _TABLE_DATA.match(line)),
    )


def _shares(entries: Sequence[str], archive: Path, jobs: int) -> list[list[str]]:
    """The lines of a listing in so many parts, together all of them, that take about equally long to read."""
    shares: list[list[str]] = [[] for _number in range(jobs)]
    sizes = [0] * jobs
    # In the directory format each table has a file by its number (2753.dat.zst); elsewhere all count alike.
    files = {path.name.partition(".")[0]: path.stat().st_size for path in archive.iterdir()} if archive.is_dir() else {}
    sized = [(files.get(line.partition(";")[0], 1) if _TABLE_DATA.match(line) else 0, line) for line in entries]
    for size, line in sorted(sized, key=lambda pair: -pair[0]):
        smallest = sizes.index(min(sizes))
        shares[smallest].append(line)
        sizes[smallest] += size
    return [share for share in shares if share]


def _written(lines: Sequence[str], path: Path) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def find_backups(
    project_dir: Path,
    *,
    verify: VerifyLevel = "none",
    pg_bin: Path | str | None = None,
    identity_file: Path | None = None,
) -> list[BackupEntry]:
    """All backups of a project's runs (C(<run>/backup)), newest first, then what is no backup or was left unfinished.

    :param verify: V(none) compares the files' sizes with the manifest, V(checksums) their content too, V(read) reads
        the archive with pg_restore besides.
    :param identity_file: the private key of encrypted backups, which without it are checked no further than their files.
    :raises InputError: when the place is not a directory. One that is not there yet holds no backups.
    :raises ToolError: when pg_restore is needed and missing.
    """
    if not project_dir.exists():
        return []
    if not project_dir.is_dir():
        raise InputError(
            f"{project_dir} is not a directory",
            where=str(project_dir),
            next_step="Give the directory that holds the project's runs (project_state_dir/<project>).",
        )
    entries = [
        inspect_backup(path, verify=verify, pg_bin=pg_bin, identity_file=identity_file)
        for path in sorted(project_dir.glob(f"*/{BACKUP_NAME}"))
    ]
    entries += [_unfinished(path) for path in sorted(project_dir.glob(f"*/{INCOMPLETE_PREFIX}*"))]
    return sorted(entries, key=lambda e: (e.manifest is not None, e.manifest.started_at if e.manifest else ""))[::-1]


def inspect_backup(
    path: Path,
    *,
    verify: VerifyLevel = "none",
    pg_bin: Path | str | None = None,
    identity_file: Path | None = None,
) -> BackupEntry:
    """One backup and what is wrong with it.

    :raises ToolError: when pg_restore is needed and missing.
    """
    try:
        manifest = from_dict(BackupManifest, read_json(path / MANIFEST_NAME))
    except FileNotFoundError:
        return _unsound(path, f"{MANIFEST_NAME} is missing")
    except (OSError, TypeError, ValueError) as error:
        return _unsound(path, f"{MANIFEST_NAME} cannot be read: {error}")
    bent = _manifest_problem(path)
    if bent is not None:
        return _unsound(path, bent)
    problems = [
        problem
        for file in manifest.files
        if (problem := _file_problem(path, file.path, file.bytes, file.sha256, verify))
    ]
    if verify == "read" and manifest.encryption is not None and identity_file is None:
        verify = "checksums"
    if verify == "read" and not problems:
        tools = find_dump_tools(pg_bin)
        try:
            with opened_backup(path, manifest, identity_file) as opened:
                read_archive(tools, opened, manifest.format)
        except BackupError as error:
            problems.append(error.what)
    return BackupEntry(
        path=str(path),
        manifest=manifest,
        age_seconds=age_seconds(manifest.started_at),
        sound=not problems,
        problems=problems,
        checked=verify,
    )


def write_manifest(directory: Path, manifest: BackupManifest) -> None:
    """Write a backup's manifest and its hash beside it, as sha256sum reads it: the manifest vouches for all other files."""
    write_json(directory / MANIFEST_NAME, manifest.as_dict())
    write_atomically(directory / MANIFEST_HASH_NAME, _hash_line(directory))


def _manifest_problem(path: Path) -> str | None:
    try:
        found = (path / MANIFEST_HASH_NAME).read_bytes()
    except OSError as error:
        return f"{MANIFEST_HASH_NAME} cannot be read: {error}"
    # Byte for byte: a damage to this file alone is a failing disk as well.
    if found != _hash_line(path):
        return f"{MANIFEST_NAME} is not what was written: its SHA-256 differs from {MANIFEST_HASH_NAME}"
    return None


def _hash_line(directory: Path) -> bytes:
    return f"{sha256_of_file(directory / MANIFEST_NAME)}  {MANIFEST_NAME}\n".encode()


def _file_problem(directory: Path, name: str, size: int, sha256: str, verify: VerifyLevel) -> str | None:
    path = directory / name
    try:
        actual = path.stat().st_size
        if actual != size:
            return f"{name} has {actual} bytes, the manifest says {size}"
        if verify != "none" and sha256_of_file(path) != sha256:
            return f"{name} is not what was written: its SHA-256 differs from the manifest's"
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}"
    return None


def age_seconds(moment: str) -> float:
    """How long ago a document's time was."""
    return round((datetime.now(timezone.utc) - datetime.fromisoformat(moment)).total_seconds(), 3)


def _unsound(path: Path, problem: str) -> BackupEntry:
    return BackupEntry(path=str(path), manifest=None, age_seconds=None, sound=False, problems=[problem])


def _unfinished(path: Path) -> BackupEntry:
    changed = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc).isoformat(timespec="seconds")
    return _unsound(
        path,
        f"unfinished since {changed}: a backup is being made there, or its run died; in that case the next backup removes it",
    )
