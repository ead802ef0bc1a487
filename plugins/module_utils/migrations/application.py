# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application's own files say of its projects: Supabase's C(config.toml), what the CLI keeps beside it, and git.

Sources: Supabase, "CLI configuration" (project_id, db.major_version, remotes) and "supabase link", which keeps the reference of the
linked project in C(supabase/.temp/project-ref).
"""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    InputError,
    MigrationFileError,
    ToolError,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import FILE_NAME, discover
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import run_program

GIT_SECONDS = 15
CONFIG_FILE = "config.toml"
_LINKED_FILE = ".temp/project-ref"
_REFERENCE = re.compile(r"[a-z]{20}")
_PRODUCTION = re.compile(r"prod|live|^main$|^master$", re.IGNORECASE)
# How deep in a repository of several packages an application's folder is looked for.
_DEPTH = 4
_NOT_LOOKED_INTO = frozenset({"node_modules", ".git", ".venv", "vendor", "dist", "build"})


@dataclass(kw_only=True)
class Application(Document):
    """An application's repository as it is found; what it does not say is empty."""

    kind: ClassVar[str] = "application"
    # Absolute.
    root: str
    supabase_dir: str
    # For names of hosts: letters, digits and underscores.
    name: str
    # References of projects, by dev and prod.
    references: dict[str, str] = field(default_factory=dict)
    server_major: int | None = None
    migrations: int = 0
    has_rollbacks: bool = False
    has_validations: bool = False
    # Where git's remote origin is, without names and passwords; None without git.
    git_host: str | None = None
    # What could not be read, each with its place.
    problems: list[str] = field(default_factory=list)


def read_application(directory: Path) -> Application:
    """Read what an application's repository says of itself. Nothing is written and nobody outside the machine is asked.

    :raises InputError: when there is no such directory, or it has no folder of Supabase's, or several.
    """
    root = directory.expanduser().resolve()
    if not root.is_dir():
        raise InputError(
            "There is no such directory", where=str(root), next_step="Give the application's own directory."
        )
    supabase_dir = _supabase_dir(root)
    _require_writable_names(root, supabase_dir)
    problems: list[str] = []
    config = _config(supabase_dir / CONFIG_FILE, problems)
    try:
        discover(supabase_dir)
    except MigrationFileError as error:
        # A folder without migrations is no problem of an application that is just begun.
        problems += error.what.splitlines() if any(_files(supabase_dir / "migrations")) else []
    major = _table(config, "db").get("major_version")
    return Application(
        root=str(root),
        supabase_dir=str(supabase_dir),
        name=_name(config.get("project_id"), root),
        references=_references(config, supabase_dir, problems),
        server_major=major if isinstance(major, int) else None,
        migrations=sum(1 for file in _files(supabase_dir / "migrations") if FILE_NAME.match(file.name)),
        has_rollbacks=any(_files(supabase_dir / "rollbacks")),
        has_validations=(supabase_dir / "VALIDATION_SQL.sql").is_file(),
        git_host=_git_host(root),
        problems=problems,
    )


def _supabase_dir(root: Path) -> Path:
    found = sorted(_supabase_dirs(root, _DEPTH))
    if root / "supabase" in found:
        return root / "supabase"
    if len(found) == 1:
        return found[0]
    if not found and _is_supabase_dir(root):
        return root
    if not found:
        raise InputError(
            f"There is no folder supabase with migrations or {CONFIG_FILE} in it",
            where=str(root),
            next_step="Give the directory that holds it, or make one: npx supabase init.",
        )
    names = ", ".join(str(path.relative_to(root)) for path in found)
    raise InputError(
        f"There are {len(found)} folders of Supabase's: {names}",
        where=str(root),
        next_step="Give the directory that holds the one that is meant.",
    )


def _require_writable_names(root: Path, supabase_dir: Path) -> None:
    """The folder's name goes into files that Ansible reads as YAML and as templates: it may be neither in them."""
    name = str(supabase_dir.relative_to(root))
    if not name.isprintable() or any(part in name for part in ('"', "\\", "{{", "{%", "{#")):
        raise InputError(
            f"The folder {name!r} has a name that an inventory would not take as it is",
            where=str(root),
            next_step="Rename it, without quotation marks, backslashes and braces; or give the folder that is meant inside it.",
        )


def _supabase_dirs(directory: Path, depth: int) -> Iterator[Path]:
    try:
        inside = [path for path in directory.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return
    for path in inside:
        if path.name == "supabase" and _is_supabase_dir(path):
            yield path
        elif depth > 1 and path.name not in _NOT_LOOKED_INTO:
            yield from _supabase_dirs(path, depth - 1)


def _is_supabase_dir(path: Path) -> bool:
    return (path / "migrations").is_dir() or (path / CONFIG_FILE).is_file()


def _config(file: Path, problems: list[str]) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        # The parser's message ends with the place, and quotes at most a character.
        problems.append(f"{file}: it is no TOML: {error}")
    except (OSError, UnicodeError) as error:
        problems.append(f"{file}: it cannot be read: {error}")
    return {}


def _table(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = config.get(name, {})
    return value if isinstance(value, Mapping) else {}


def _references(config: Mapping[str, Any], supabase_dir: Path, problems: list[str]) -> dict[str, str]:
    """The references that the application's files name, for dev and prod; of several for one the first."""
    found: dict[str, str] = {}
    for name, remote in _table(config, "remotes").items():
        reference = remote.get("project_id") if isinstance(remote, Mapping) else None
        if isinstance(reference, str) and _REFERENCE.fullmatch(reference):
            found.setdefault("prod" if _PRODUCTION.search(name) else "dev", reference)
    linked = _linked(supabase_dir / _LINKED_FILE, problems)
    for reference in (linked, config.get("project_id")):
        # Old configurations have the reference itself as project_id. What is linked is most often production, and there no harm
        # is done by a mistake: a project is marked by hand before it is migrated.
        if isinstance(reference, str) and _REFERENCE.fullmatch(reference) and reference not in found.values():
            found.setdefault("prod", reference)
    return found


def _linked(file: Path, problems: list[str]) -> str | None:
    try:
        return file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        problems.append(f"{file}: it cannot be read: {error}")
        return None


def _name(project_id: Any, root: Path) -> str:
    chosen = project_id if isinstance(project_id, str) and not _REFERENCE.fullmatch(project_id) else root.name
    name = re.sub(r"\W+", "_", chosen, flags=re.ASCII).strip("_").lower()
    # A host's name is part of the name of an environment variable, which begins with no digit.
    return name if name and not name[0].isdigit() else f"app_{name}".rstrip("_")


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.is_file()] if directory.is_dir() else []


def _git_host(root: Path) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        url = run_program(
            [git, "-C", str(root), "remote", "get-url", "origin"], env={}, timeout=GIT_SECONDS
        ).stdout.strip()
    except ToolError:
        return None
    # git@host:path, or an address with a scheme.
    scp = re.fullmatch(r"(?:[^@/]+@)?([^:/]+):(?!//).*", url)
    try:
        return scp[1] if scp else urlsplit(url).hostname
    except ValueError:
        # An address that is none; Python's message would quote it, password and all.
        return None
