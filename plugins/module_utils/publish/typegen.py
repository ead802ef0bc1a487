# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator of types: where it is, and how it is installed.

Two programs make the types of a Supabase project: the Supabase CLI (``gen types``) and ``@supabase/postgrest-typegen``, the engine
of it as a library. The library is taken: 21 MB and not 142, it reads through a connection of ours (any SSL mode, one read-only
transaction, nothing in an argument), and it needs neither a login nor a file in the home directory.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import make_private_directory
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import run_program

PACKAGE = "@supabase/postgrest-typegen"
# Types differ between releases; a file that changes without a change of the schema is noise in every review.
VERSION = "0.2.2"
DRIVER = "pg"
DRIVER_VERSION = "8.23.1"
# What the package asks for in its own package.json.
NODE_MAJOR = 20
INSTALL_SECONDS = 300
_QUIET = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error", "--fetch-retries=2")
_TO_REACH_A_REGISTRY = re.compile(r"(?i)npm_config_.*|(https?|no)_proxy|node_extra_ca_certs")


@dataclass(frozen=True)
class Generator:
    """An installed generator: Node.js, and the folder whose C(node_modules) holds the package."""

    node: Path
    folder: Path
    version: str

    def __str__(self) -> str:
        return f"{PACKAGE} {self.version}"


def find_generator(output: Path, cache: Path, named: Path | None = None) -> Generator | None:
    """The generator to use, None where it is still to be installed.

    The order: the folder that was named; what the application of the output file has in its own C(node_modules), because its
    package.json pins it; what was installed before.

    :param output: the file of types that is going to be written.
    :param cache: where :func:`install_generator` puts it.
    :raises ToolError: when Node.js is missing or too old, or the named folder does not hold the package.
    """
    node = _node()
    if named is not None:
        version = _version_in(named)
        if version is None:
            raise ToolError(
                f"There is no {PACKAGE} with {DRIVER} beside it in {named / 'node_modules'}",
                where=str(named),
                next_step=f"There: npm install {PACKAGE}@{VERSION} {DRIVER}@{DRIVER_VERSION}. Or leave generator_dir out.",
            )
        return Generator(node, named, version)
    for folder in (*output.parents, _installed(cache)):
        if version := _version_in(folder):
            return Generator(node, folder, version)
    return None


def install_generator(cache: Path) -> Generator:
    """Have npm install the pinned release into a folder of its own, which is there whole or not at all.

    :raises ToolError: when npm is missing, or cannot install it in five minutes.
    """
    npm = shutil.which("npm")
    by_hand = (
        f"npm install {PACKAGE}@{VERSION} {DRIVER}@{DRIVER_VERSION}, in a folder of a machine that can reach npm's registry, and name "
        "the folder as generator_dir (project_types.generator_dir)."
    )
    if npm is None:
        raise ToolError(
            f"npm is not installed on this machine, and {PACKAGE} {VERSION} is not there yet",
            where="$PATH",
            next_step=f"Install npm. Or: {by_hand}",
        )
    target = _installed(cache)
    make_private_directory(cache)
    with tempfile.TemporaryDirectory(prefix="install-", dir=cache) as directory:
        work = Path(directory) / "whole"
        work.mkdir()
        # A package.json of its own keeps npm from taking that of a folder above.
        (work / "package.json").write_text('{"private": true}\n', encoding="utf-8")
        arguments = ("install", "--prefix", str(work), "--ignore-scripts", "--save-exact", *_QUIET)
        run_program(
            (npm, *arguments, f"{PACKAGE}@{VERSION}", f"{DRIVER}@{DRIVER_VERSION}"),
            env={name: value for name, value in os.environ.items() if _TO_REACH_A_REGISTRY.fullmatch(name)},
            cwd=work,
            timeout=INSTALL_SECONDS,
            next_step=f"Have npm reach its registry. Or: {by_hand}",
        )
        if _version_in(work) is None:
            raise ToolError(f"npm installed no {PACKAGE} {VERSION}", where=str(work), next_step=f"By hand: {by_hand}")
        if _version_in(target) is None:
            shutil.rmtree(target, ignore_errors=True)
            work.rename(target)
    return Generator(_node(), target, VERSION)


def _installed(cache: Path) -> Path:
    return cache / f"typegen-{VERSION}"


def _node() -> Path:
    found = shutil.which("node")
    if found is None:
        raise ToolError(
            "Node.js is not installed on this machine; the types are made by a program that needs it",
            where="$PATH",
            next_step=f"Install Node.js {NODE_MAJOR} or newer, or have node on the PATH of the machine that runs Ansible.",
        )
    answer = run_program([found, "--version"], env={}, timeout=30).stdout.strip()
    major = re.match(r"v(\d+)\.", answer)
    if major is None or int(major[1]) < NODE_MAJOR:
        raise ToolError(
            f"Node.js is {answer or 'of no version'}, and {PACKAGE} needs {NODE_MAJOR} or newer",
            where=found,
            next_step=f"Install Node.js {NODE_MAJOR} or newer, and have it first on the PATH.",
        )
    return Path(found)


def _version_in(folder: Path) -> str | None:
    """The release that the folder's C(node_modules) holds together with the driver; None where one of them is missing."""
    versions = list(_versions(folder / "node_modules"))
    return versions[0] if len(versions) == 2 else None


def _versions(modules: Path) -> Iterator[str]:
    for package in (PACKAGE, DRIVER):
        try:
            yield str(json.loads((modules / package / "package.json").read_text(encoding="utf-8"))["version"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
