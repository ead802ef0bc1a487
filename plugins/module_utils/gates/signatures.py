# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who signed a plan's hash: the signature files beside the plan, each held by OpenSSH's own ssh-keygen against the signers allowed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import sha256_of_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.documents import MigrationPlan
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.identity import differences, load_plan
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import run_program

NAMESPACE = "pgops.supabase.plan"
VERIFY_SECONDS = 20
LARGEST_FILE_BYTES = 1_000_000

# ssh-keygen(1), -Y verify: 'Good "<namespace>" signature for <principal> with <type> key <fingerprint>'
_GOOD = re.compile(r'^Good "[^"]*" signature for .* with (\S+) key (\S+)$', re.MULTILINE)
# When it was looked at is no evidence: the report says that once.
_VERIFY_TIME = re.compile(r"verify time \S+ [<>] ")
_SIGNATURE_FILE = re.compile(r"^([0-9a-f]{64})\.(.+)\.sig$")
_PRINCIPAL = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._@+-]*$")


@dataclass(frozen=True)
class Signature:
    """One signature file of a plan: good by a key, or with a problem."""

    file: str
    principal: str
    key: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class SignedBefore:
    """A plan that has signatures but is not the one of now, and what is different now."""

    plan_hash: str
    changed: tuple[str, ...]


@dataclass(frozen=True)
class ApprovalFacts:
    """What lies beside the plan. ``signers_sha256`` says which list of allowed signers it was held against."""

    plan_hash: str
    plans_dir: str
    signers_sha256: str
    signatures: tuple[Signature, ...]
    signed_before: SignedBefore | None = None


def signed_message(plan_hash: str) -> str:
    """What is signed: the hash and a line feed, as echo writes it."""
    return f"{plan_hash}\n"


def sign_command(plan_hash: str, plans_dir: Path | str, principal: str = "YOUR_NAME") -> str:
    """What a person types to sign a plan."""
    return (
        f"echo {plan_hash} | ssh-keygen -Y sign -n {NAMESPACE} -f ~/.ssh/id_ed25519 "
        f"> {shlex.quote(str(plans_dir))}/{plan_hash}.{principal}.sig"
    )


def keygen_program() -> str | None:
    """Where ssh-keygen is, None when it is not installed."""
    return shutil.which("ssh-keygen")


def read_approvals(keygen: str, plan: MigrationPlan, plans_dir: Path, allowed_signers: Path) -> ApprovalFacts:
    """Hold every signature file of the plan against the signers that are allowed.

    Each file is read once, into a private copy, so that what is judged is what was read.

    :raises InputError: when the list of signers cannot be read, or anybody may change it.
    """
    signers = _read_signers(allowed_signers)
    names = sorted(os.listdir(plans_dir)) if plans_dir.is_dir() else []
    found = [match for match in map(_SIGNATURE_FILE.match, names) if match]
    with tempfile.TemporaryDirectory(prefix="pgops-approvals-") as scratch:
        copy = Path(scratch) / "allowed_signers"
        copy.write_bytes(signers)
        signatures = tuple(
            _verify(keygen, plan.plan_hash, plans_dir / match[0], match[2], copy)
            for match in found
            if match[1] == plan.plan_hash
        )
    return ApprovalFacts(
        plan_hash=plan.plan_hash,
        plans_dir=str(plans_dir),
        signers_sha256=sha256_of_bytes(signers),
        signatures=signatures,
        signed_before=_signed_before(plan, plans_dir, {match[1] for match in found} - {plan.plan_hash}),
    )


def _read_signers(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise InputError(
            f"The list of allowed signers cannot be read: {error.strerror}",
            where=str(path),
            next_step="Correct allowed_signers (preflight_allowed_signers); its format is in ssh-keygen(1), ALLOWED SIGNERS.",
        ) from error
    if mode & stat.S_IWOTH:
        raise InputError(
            f"Anybody on this machine may change the list of allowed signers {path}",
            where=str(path),
            next_step=f"chmod o-w {path}",
        )
    return content


def _verify(keygen: str, plan_hash: str, file: Path, principal: str, signers: Path) -> Signature:
    try:
        content = _read_regular(file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Signature(file.name, principal, problem=reason)
    if not _PRINCIPAL.match(principal):
        return Signature(file.name, principal, problem="the name in the file's name is not one of a signer")
    signature = signers.parent / "signature"
    signature.write_bytes(content)
    command: list[Path | str] = [
        keygen,
        "-Y",
        "verify",
        "-n",
        NAMESPACE,
        "-f",
        signers,
        "-I",
        principal,
        "-s",
        signature,
    ]
    try:
        said = run_program(command, env={}, stdin=signed_message(plan_hash), timeout=VERIFY_SECONDS).stdout
    except ToolError as error:
        return Signature(file.name, principal, problem=_why(error, principal, signers))
    good = _GOOD.search(said)
    if good is None:
        return Signature(file.name, principal, problem=f"ssh-keygen does not say by which key: {said.strip()}")
    return Signature(file.name, principal, key=f"{good[1]} {good[2]}")


def _read_regular(file: Path) -> bytes:
    """The content of a file that is a file. A link could lead anywhere, and a pipe never ends.

    :raises ValueError: when it is something else, or too large to be a signature.
    :raises OSError: when it cannot be read.
    """
    if file.is_symlink():
        raise ValueError("it is a link; put the signature itself there")
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a regular file")
        content = stream.read(LARGEST_FILE_BYTES + 1)
    if len(content) > LARGEST_FILE_BYTES:
        raise ValueError("it is too large for a signature")
    return content


def _why(error: ToolError, principal: str, signers: Path) -> str:
    """What ssh-keygen has against a signature, without the names of our copies; about a key it does not know it says nothing."""
    said = str(error.details.get("stderr", "")).strip()
    if "exit_code" not in error.details:
        return error.what
    if not said:
        return f"no key that {principal} may sign with made it"
    said = _VERIFY_TIME.sub("", said.replace(f"{signers}:", "allowed signers, line "))
    return "; ".join(said.splitlines())


def _signed_before(plan: MigrationPlan, plans_dir: Path, hashes: set[str]) -> SignedBefore | None:
    """Of the plans of this project that people signed, the one that is most like the present one."""
    candidates = []
    for signed in sorted(hashes):
        try:
            before = load_plan(plans_dir / f"{signed}.json")
        except InputError:
            # Gone, or not the plan of its name: nobody can say what was signed, and it counts for nothing anyway.
            continue
        if (before.project, before.database) == (plan.project, plan.database):
            candidates.append(SignedBefore(signed, tuple(differences(before, plan))))
    return min(candidates, key=lambda candidate: (len(candidate.changed), candidate.plan_hash), default=None)
