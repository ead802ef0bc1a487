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

    :param supabase_dir: the folder that holds C(migrations/) and C(rollbacks/).
    :raises MigrationFileError: when the directory is missing or holds no migration, files cannot be read or share a version, or
        the versions' text order (Supabase's) and number order (a person's) disagree; all of it at once.
    """
    directory = supabase_dir / "migrations"
    matches = [(path, match) for path in _entries(directory) if (match := FILE_NAME.match(path.name))]
    if not matches:
        others = left_out(supabase_dir)
        raise MigrationFileError(
            "The migrations directory holds no migration"
            + (f"; these names are not <version>_<name>.sql: {', '.join(others)}" if others else ""),
            where=str(directory),
            next_step="Check supabase_dir, or make the first migration: <version>_<name>.sql",
        )
    rollbacks = supabase_dir / "rollbacks"
    files, problems = [], _order_problems([(path, match[1]) for path, match in matches])
    for path, match in matches:
        try:
            files.append(MigrationFile(match[1], match[2], path, _sha256(path), _existing(rollbacks / path.name)))
        except MigrationFileError as problem:
            problems.append(problem)
    raise_together(problems)
    return sorted(files, key=lambda file: file.version)


def left_out(supabase_dir: Path) -> list[str]:
    """The names in the migrations directory that are no migration's, and so are not applied, as by the Supabase CLI.

    Hidden files are not named.

    :raises MigrationFileError: when there is no such directory.
    """
    names = [path.name for path in _entries(supabase_dir / "migrations")]
    return [name for name in names if not FILE_NAME.match(name) and not name.startswith(".")]


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


def _entries(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise MigrationFileError(
            "There is no migrations directory",
            where=str(directory),
            next_step="Check supabase_dir (project_supabase_dir in the inventory); it has to hold migrations/.",
        )
    try:
        return sorted(directory.iterdir())
    except OSError as error:
        raise _unreadable(directory, error) from error


def _sha256(path: Path) -> str:
    # To open a named pipe waits for a writer, for ever.
    if path.exists() and not path.is_file():
        raise MigrationFileError(f"{path.name} is not a file", where=str(path), next_step=f"Look at: ls -ld {path}")
    try:
        return sha256_of_sql_file(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> MigrationFileError:
    return MigrationFileError(
        f"{path.name} cannot be read: {error.strerror}", where=str(path), next_step=f"Look at: ls -ld {path}"
    )


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _order_problems(versions: Sequence[tuple[Path, str]]) -> list[PgopsError]:
    by_number = sorted(versions, key=lambda item: (int(item[1]), item[0].name))
    problems: list[PgopsError] = []
    for (first, first_version), (second, second_version) in pairwise(by_number):
        if int(first_version) == int(second_version):
            problem = MigrationFileError(
                f"Two files have the version {first_version}: {first.name} and {second.name}",
                where=str(second),
                next_step="Give one of them a version of its own; if one is applied already, change the other.",
            )
        elif first_version > second_version:
            problem = MigrationFileError(
                f"Versions {first_version} and {second_version} are ordered one way as numbers and the other way as text, "
                "which is how Supabase orders them",
                where=str(first),
                next_step="Give all versions the same length, as 20251014220000.",
            )
        else:
            continue
        problems.append(problem)
    return problems


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
