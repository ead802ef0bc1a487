# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The migrations directory of a project: discovered, ordered, hashed, paired with rollbacks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import MigrationFileError, SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import sha256_of_file
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Script, parse_script, read_sql_file

# The Supabase CLI's own pattern (pkg/migration, migrateFilePattern): anything else it skips without a word.
DRAFT_MARK = "-- pgops: draft, not reviewed"
_FILE_NAME = re.compile(r"^([0-9]+)_(.*)\.sql$")


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
    """All migrations of a project in the order in which they apply.

    :param supabase_dir: the folder that holds C(migrations/) and C(rollbacks/).
    :raises MigrationFileError: when the directory is missing or empty, a name does not parse, two files share a version, or
        the versions' text order (Supabase's) and number order (a person's) disagree.
    """
    directory = supabase_dir / "migrations"
    if not directory.is_dir():
        raise MigrationFileError(
            "There is no migrations directory",
            where=str(directory),
            next_step="Check supabase_dir (project_supabase_dir in the inventory); it has to hold migrations/.",
        )
    try:
        paths = sorted(p for p in directory.iterdir() if p.suffix == ".sql" and not p.name.startswith("."))
    except OSError as error:
        raise _unreadable(directory, error) from error
    if not paths:
        raise MigrationFileError(
            "The migrations directory holds no .sql file",
            where=str(directory),
            next_step="Check supabase_dir, or make the first migration: <version>_<name>.sql",
        )
    names = [(path, _parsed_name(path)) for path in paths]
    _require_unambiguous_order([(path, version) for path, (version, _name) in names])
    rollbacks = supabase_dir / "rollbacks"
    return [
        MigrationFile(version, name, path, _sha256(path), _existing(rollbacks / path.name))
        for path, (version, name) in sorted(names, key=lambda item: item[1][0])
    ]


def read_script(path: Path) -> Script:
    """Read and split one migration or rollback.

    :raises SqlScriptError: when it cannot be read, does not parse or holds no statement.
    """
    script = parse_script(str(path), read_sql_file(path))
    if not script.statements:
        raise MigrationFileError(
            "The file holds no statement",
            where=str(path),
            next_step="Write the migration, or remove the file.",
        )
    return script


def _parsed_name(path: Path) -> tuple[str, str]:
    match = _FILE_NAME.match(path.name)
    if match is None:
        raise MigrationFileError(
            f"The file name {path.name} is not <version>_<name>.sql with a version of digits",
            where=str(path),
            next_step="Rename it, or move it out of the migrations directory.",
        )
    return match.group(1), match.group(2)


def _sha256(path: Path) -> str:
    # To open a named pipe waits for a writer, for ever.
    if path.exists() and not path.is_file():
        raise MigrationFileError(f"{path.name} is not a file", where=str(path), next_step=f"Look at: ls -ld {path}")
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> MigrationFileError:
    return MigrationFileError(
        f"{path.name} cannot be read: {error.strerror}", where=str(path), next_step=f"Look at: ls -ld {path}"
    )


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _require_unambiguous_order(versions: Sequence[tuple[Path, str]]) -> None:
    by_number = sorted(versions, key=lambda item: (int(item[1]), item[0].name))
    for (first, first_version), (second, second_version) in pairwise(by_number):
        if int(first_version) == int(second_version):
            raise MigrationFileError(
                f"Two files have the version {first_version}: {first.name} and {second.name}",
                where=str(second),
                next_step="Give one of them a version of its own; if one is applied already, change the other.",
            )
        if first_version > second_version:
            raise MigrationFileError(
                f"Versions {first_version} and {second_version} are ordered one way as numbers and the other way as text, "
                "which is how Supabase orders them",
                where=str(first),
                next_step="Give all versions the same length, as 20251014220000.",
            )


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
