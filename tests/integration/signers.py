# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""People with keys, a list of those who may sign, and their signatures: all made by OpenSSH's own ssh-keygen."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

NAMESPACE = "pgops.supabase.plan"
INSTALL = "these tests sign with OpenSSH's ssh-keygen: apt-get install openssh-client"


@dataclass(frozen=True)
class Signers:
    """A directory of keys, the file of allowed signers, and the directory where plans and signatures lie."""

    directory: Path
    plans: Path

    @property
    def allowed(self) -> Path:
        """The file of allowed signers."""
        return self.directory / "allowed_signers"

    def key(self, name: str, kind: str = "ed25519") -> Path:
        """A new private key, its public half beside it."""
        path = self.directory / name
        size = ["-b", "2048"] if kind == "rsa" else []
        keygen("-q", "-t", kind, *size, "-N", "", "-C", name, "-f", str(path))
        return path

    def allow(self, principals: str, key: Path, options: str = "") -> None:
        """Add a line to the allowed signers."""
        public = Path(f"{key}.pub").read_text()
        with self.allowed.open("a") as stream:
            stream.write(f"{principals} {options} {public}".replace("  ", " "))

    def person(self, name: str, kind: str = "ed25519", options: str = "") -> Path:
        """Somebody with a key who may sign."""
        key = self.key(name, kind)
        self.allow(name, key, options)
        return key

    def sign(
        self, plan_hash: str, name: str, key: Path, *, namespace: str = NAMESPACE, text: str | None = None
    ) -> Path:
        """Sign a plan's hash (or another text) and put the signature beside the plan."""
        self.plans.mkdir(parents=True, exist_ok=True)
        path = self.plans / f"{plan_hash}.{name}.sig"
        path.write_text(keygen("-Y", "sign", "-n", namespace, "-f", str(key), stdin=text or f"{plan_hash}\n"))
        return path


def keygen(*arguments: str, stdin: str = "") -> str:
    """Run ssh-keygen; a machine without it fails the test and says what to install."""
    program = shutil.which("ssh-keygen")
    assert program, INSTALL
    done = subprocess.run([program, *arguments], input=stdin, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
