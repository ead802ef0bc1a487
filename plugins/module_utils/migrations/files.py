# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The migrations directory of a project: discovered, ordered, hashed, paired with rollbacks."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    MigrationFileError,
    PgopsError,
    SqlScriptError,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import (
    Script,
    parse_script,
    read_sql_file,
    sha256_of_sql_file,
)

DRAFT_MARK = "-- pgops: draft, not reviewed"
# The Supabase CLI's own pattern (pkg/migration, migrateFilePattern): it names and skips anything else.
FILE_NAME = re.compile(r"^([0-9]+)_(.*)\.sql$")
# The CLI's own as well (initSchemaPattern, shouldSkip): what its first versions made by themselves, and only as the first entry.
_FIRST_INIT = re.compile(r"([0-9]{14})_init\.sql")
_INIT_IS_A_MIGRATION_SINCE = "20211209000000"


@dataclass(frozen=True)
class MigrationFile:
    """One versioned SQL file and the rollback beside it, if there is one."""

    version: str
    name: str
    path: Path
    sha256: str
    rollback: Path | None

    @property
    def label(self) -> str:
        """The migration as people speak of it: version and name."""
        return f"{self.version}_{self.name}"


def discover(supabase_dir: Path) -> list[MigrationFile]:
    """All migrations of a project in the order in which they apply; what is none is in :func:`left_out`.

    The order is Supabase's: that of the versions as text, whatever their lengths.

    :param supabase_dir: the folder that holds C(migrations/) and C(rollbacks/).
    :raises MigrationFileError: when the directory is missing or holds no migration, or files cannot be read or share a version; all
        of it at once.
    """
    directory = supabase_dir / "migrations"
    entries = _entries(directory)
    matches = [
        (entry, match)
        for entry in entries
        if (match := FILE_NAME.match(entry.name)) and not _is_left_out(entry, first=entry is entries[0])
    ]
    if not matches:
        others = left_out(supabase_dir)
        raise MigrationFileError(
            "The migrations directory holds no migration"
            + (f"; these are no files named <version>_<name>.sql: {', '.join(others)}" if others else ""),
            where=str(directory),
            next_step="Check supabase_dir, or make the first migration: <version>_<name>.sql",
        )
    rollbacks = _rollbacks(supabase_dir / "rollbacks")
    files = []
    problems = _shared_versions(directory, [(entry.name, match[1]) for entry, match in matches])
    for entry, match in matches:
        path, rollback = directory / entry.name, rollbacks.get(entry.name)
        try:
            files.append(MigrationFile(match[1], match[2], path, _sha256(path, entry.is_file()), rollback))
        except MigrationFileError as problem:
            problems.append(problem)
    raise_together(problems)
    return sorted(files, key=lambda file: file.version)


def left_out(supabase_dir: Path) -> list[str]:
    """What in the migrations directory is no migration, and so is not applied, as by the Supabase CLI.

    Names that are no migration's, folders, and a first C(<version>_init.sql) from before 20211209000000, which the CLI keeps for
    what its own first versions made. Hidden files are not named.

    :raises MigrationFileError: when there is no such directory.
    """
    entries = _entries(supabase_dir / "migrations")
    return [
        entry.name
        for entry in entries
        if not entry.name.startswith(".")
        and (not FILE_NAME.match(entry.name) or _is_left_out(entry, first=entry is entries[0]))
    ]


def read_script(path: Path) -> Script:
    """Read and split one migration or rollback. It may hold no statement at all.

    :raises SqlScriptError: when it cannot be read or does not parse.
    """
    return parse_script(str(path), read_sql_file(path))


def raise_together(problems: Sequence[PgopsError]) -> None:
    """Raise what is wrong with several files as one error with all of it; nothing where there is none.

    :raises PgopsError: the only problem as it is, or a MigrationFileError that lists them.
    """
    if len(problems) == 1:
        raise problems[0]
    if problems:
        lines = [f"{problem.where}: {problem.what} ({problem.next_step})" for problem in problems]
        raise MigrationFileError(
            "\n- ".join([f"{len(problems)} problems in the migrations:", *lines]),
            where=problems[0].where,
            next_step="Mend all of them; each has what to do behind it.",
            details={"problems": [problem.as_dict() for problem in problems]},
        )


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    """What is in the directory by name; an entry knows its kind, where a path would ask the file system each time."""
    if not directory.is_dir():
        raise MigrationFileError(
            "There is no migrations directory",
            where=str(directory),
            next_step="Check supabase_dir (project_supabase_dir in the inventory); it has to hold migrations/.",
        )
    try:
        return sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(directory, error) from error


def _is_left_out(entry: os.DirEntry[str], *, first: bool) -> bool:
    if entry.is_dir(follow_symlinks=False):
        return True
    init = _FIRST_INIT.search(entry.name)
    return first and init is not None and init[1] < _INIT_IS_A_MIGRATION_SINCE


def _sha256(path: Path, is_file: bool) -> str:
    # To open a named pipe waits for a writer, for ever.
    if not is_file and path.exists():
        raise MigrationFileError(f"{path.name} is not a file", where=str(path), next_step=f"Look at: ls -ld {path}")
    try:
        return sha256_of_sql_file(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> MigrationFileError:
    return MigrationFileError(
        f"{path.name} cannot be read: {error.strerror}", where=str(path), next_step=f"Look at: ls -ld {path}"
    )


def _rollbacks(directory: Path) -> dict[str, Path]:
    """Every file of the directory by its name; none where there is no directory."""
    if not directory.is_dir():
        return {}
    try:
        return {entry.name: directory / entry.name for entry in os.scandir(directory) if entry.is_file()}
    except OSError as error:
        raise _unreadable(directory, error) from error


def _shared_versions(directory: Path, versions: Sequence[tuple[str, str]]) -> list[PgopsError]:
    return [
        MigrationFileError(
            f"Two files have the version {second_version}: {first} and {second}",
            where=str(directory / second),
            next_step="Give one of them a version of its own; if one is applied already, change the other.",
        )
        for (first, first_version), (second, second_version) in pairwise(
            sorted(versions, key=lambda item: (item[1], item[0]))
        )
        if first_version == second_version
    ]


def read_as_others_do(path: Path) -> str:
    """A file's text as the Supabase CLI takes it, which leaves out a byte order mark and what is not UTF-8."""
    return path.read_bytes().decode("utf-8-sig", errors="replace")


def unify_line_ends(text: str) -> str:
    """The text with the line ends of a checkout that does not turn them."""
    return text.replace("\r\n", "\n")


def recorded_statements(texts: Sequence[str]) -> tuple[str, ...] | None:
    """What identifies recorded SQL whoever split it: each statement's own text, without the comments and space around it.

    Line ends are unified, because Git turns them from one checkout to the other.

    None when it does not parse, so that nothing can be said of it.
    """
    try:
        script = parse_script("history", unify_line_ends("\n;\n".join(texts)))
    except SqlScriptError:
        return None
    return tuple(statement.sql for statement in script.statements)


def is_unreviewed(text: str) -> bool:
    """Whether the text of a rollback still says that nobody has reviewed it."""
    return any(line.strip() == DRAFT_MARK for line in text.splitlines())
