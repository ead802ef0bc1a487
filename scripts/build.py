# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection's archive into dist/; with ``--verify``, install it elsewhere and read every document from there."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from clone import BIN, CLONE, NAME, NAMESPACE, environment, run, say

DIST = CLONE / "dist"
COLLECTION = f"{NAMESPACE}.{NAME}"
# What must never be in an archive: generated, private or of no use to who installs it.
UNWANTED = {".ansible", ".ci", ".git", ".local", ".venv", "dist", "__pycache__", ".mypy_cache", ".pytest_cache"}


def build() -> Path:
    """Build the archive and return its path."""
    version = yaml.safe_load((CLONE / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    archive = DIST / f"{NAMESPACE}-{NAME}-{version}.tar.gz"
    say(f"Building {archive.relative_to(CLONE)}")
    run([BIN / "ansible-galaxy", "collection", "build", "--force", "--output-path", DIST, CLONE], environment())
    return archive


def install(archive: Path, collections: Path) -> Path:
    """Install the archive into ``collections`` without asking any server, and return where it lies then."""
    say(f"Installing it into {collections}, offline")
    command: list[str | Path] = [
        BIN / "ansible-galaxy",
        "collection",
        "install",
        "--offline",
        "--collections-path",
        collections,
        archive,
    ]
    run(command, environment(collections))
    return collections / "ansible_collections" / NAMESPACE / NAME


def documents(kind: str, names: list[str], collections: Path) -> dict[str, Any]:
    """Return what ansible-doc says about plugins of one kind, by full name.

    :raises SystemExit: ansible-doc failed or warned; its words are shown.
    """
    if not names:
        return {}
    command = [str(BIN / "ansible-doc"), "--type", kind, "--json", *names]
    # From a folder outside the clone: what answers is the installed archive.
    result = subprocess.run(
        command, cwd=collections, env=environment(collections), capture_output=True, text=True, check=False
    )
    if result.returncode or "WARNING" in result.stderr or "ERROR" in result.stderr:
        sys.exit(f"error: ansible-doc cannot read a {kind}:\n{result.stderr}")
    read: dict[str, Any] = json.loads(result.stdout)
    return read


def complaints(modules: dict[str, Any], roles: dict[str, Any], installed: Path) -> list[str]:
    """Return what is missing from the documents of the installed collection, one line each."""
    found: list[str] = []
    for path in sorted(installed.glob("plugins/modules/*.py")):
        name = f"{COLLECTION}.{path.stem}"
        document = modules.get(name, {})
        if "doc" not in document:
            found.append(f"module {name}: ansible-doc shows nothing")
        found += [f"module {name}: no {part}" for part in ("examples", "return") if not document.get(part)]
    for path in sorted(installed.glob("roles/*")):
        name = f"{COLLECTION}.{path.name}"
        if not roles.get(name, {}).get("entry_points"):
            found.append(f"role {name}: ansible-doc shows no entry point (meta/argument_specs.yml)")
    found += [
        f"{name} is missing" for name in ("README.md", "LICENSE", "CHANGELOG.md") if not (installed / name).is_file()
    ]
    present = {path.name for path in installed.rglob("*")}
    found += [f"{name} is in the archive" for name in sorted(UNWANTED & present)]
    return found


def verify(archive: Path) -> None:
    """Install the archive somewhere else and check that what is documented can be read from there.

    :raises SystemExit: something is missing from the archive or its documents.
    """
    with tempfile.TemporaryDirectory(prefix="pgops-supabase-") as scratch:
        collections = Path(scratch)
        installed = install(archive, collections)
        modules = sorted(f"{COLLECTION}.{path.stem}" for path in installed.glob("plugins/modules/*.py"))
        roles = sorted(f"{COLLECTION}.{path.name}" for path in installed.glob("roles/*"))
        playbooks = sorted(f"{COLLECTION}.{path.stem}" for path in installed.glob("playbooks/*.yml"))
        say(f"Reading the documents of {len(modules)} modules and {len(roles)} roles with ansible-doc")
        missing = complaints(
            documents("module", modules, collections), documents("role", roles, collections), installed
        )
        if not modules or not roles or not playbooks:
            missing.append(f"{len(modules)} modules, {len(roles)} roles, {len(playbooks)} playbooks: none may be 0")
        if missing:
            sys.exit("error: the installed collection is incomplete:\n  " + "\n  ".join(missing))
        if playbooks:
            say(f"Checking the syntax of {', '.join(playbooks)} by full name")
            run(
                [BIN / "ansible-playbook", "--syntax-check", "-i", "localhost,", *playbooks],
                environment(collections),
                collections,
            )
    say(f"build: {archive.relative_to(CLONE)} installs, and its documents and playbooks can be read")


def main() -> None:
    """Build, and verify where that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verify", action="store_true", help="install the archive elsewhere and read it from there")
    asked = parser.parse_args()
    archive = build()
    if asked.verify:
        verify(archive)
    else:
        say(f"Done. Install it with: ansible-galaxy collection install {archive.relative_to(CLONE)}")


if __name__ == "__main__":
    main()
