# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypt a backup's files, and what a rollback exports, to recipients with age, and open an encrypted backup for one block.

Every file but the manifest is encrypted by itself. Who makes a backup needs the recipients' public keys only; who reads its rows
needs an identity, a private key in a file.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import (
    BackupEncryption,
    BackupManifest,
    PlainFile,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.claims import (
    abandoned_directories,
    claimed_directory,
    cleaning_up_when_ended,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.disk import free_bytes, is_full
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BackupError, InputError, ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import make_private_directory, sha256_of_file
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import run_program

SUFFIX = ".age"
OPENED_PREFIX = "pgops-opened-"


def require_recipients(recipients: Sequence[str]) -> BackupEncryption:
    """Have age take the recipients before anything is dumped.

    :raises ToolError: when age is not installed.
    :raises InputError: when one of them is not a recipient.
    """
    version = run_program([_age(), "--version"], env={}).stdout.strip()
    for recipient in recipients:
        try:
            run_program([_age(), *_to([recipient]), "--output=/dev/null"], env={}, stdin="")
        except ToolError as error:
            raise InputError(
                f"{recipient!r} is not a recipient that age {version} can encrypt to",
                where="recipients",
                next_step="Give public keys: age1... of age-keygen, or an SSH public key (ssh-ed25519, ssh-rsa).",
            ) from error
    return BackupEncryption(tool=f"age {version}", recipients=list(recipients))


def encrypt_files(directory: Path, encryption: BackupEncryption) -> dict[str, PlainFile]:
    """Put the ciphertext of every file in its place, and return what each was, by the ciphertext's path.

    :raises ToolError: when age fails, as on a full disk.
    """
    plain = {}
    for path in sorted(p for p in directory.rglob("*") if p.is_file()):
        facts = PlainFile(bytes=path.stat().st_size, sha256=sha256_of_file(path))
        plain[str(encrypt_file(path, encryption).relative_to(directory))] = facts
    return plain


def encrypt_file(path: Path, encryption: BackupEncryption) -> Path:
    """Put the ciphertext of one file in its place, and return its path.

    :raises ToolError: when age fails, as on a full disk.
    """
    target = path.with_name(path.name + SUFFIX)
    run_program([_age(), *_to(encryption.recipients), f"--output={target}", path], env={})
    path.unlink()
    return target


@contextmanager
def opened_backup(
    directory: Path, manifest: BackupManifest, identity_file: Path | None, *, place: Path | None = None
) -> Iterator[Path]:
    """The backup's directory as pg_restore can read it: itself, or decrypted into a private place that is removed afterwards.

    :param identity_file: age's private key; needed for an encrypted backup only.
    :param place: where it is decrypted, the system's temporary directory by default.
    :raises InputError: when it is encrypted and there is no identity.
    :raises BackupError: when the identity does not fit, or a file is not what was encrypted.
    """
    if manifest.encryption is None:
        yield directory
        return
    if identity_file is None or not identity_file.is_file():
        raise InputError(
            "The backup is encrypted, and there is no identity to decrypt it with",
            where=str(identity_file or directory),
            next_step=f"Set identity_file to the private key of one of: {', '.join(manifest.encryption.recipients)}.",
        )
    place = place or Path(tempfile.gettempdir())
    remove_opened(place)
    needed = sum(file.plain.bytes for file in manifest.files if file.plain is not None)
    if free_bytes(place) < needed:
        raise _no_room(place, needed)
    with cleaning_up_when_ended(), claimed_directory(place, OPENED_PREFIX) as opened:
        try:
            for file in manifest.files:
                if file.plain is not None:
                    _decrypt(directory / file.path, opened / file.path.removesuffix(SUFFIX), file.plain, identity_file)
            yield opened
        finally:
            shutil.rmtree(opened)


def remove_opened(place: Path) -> None:
    """Remove what killed processes had decrypted in a place."""
    with abandoned_directories(place, f"{OPENED_PREFIX}*") as found:
        for directory in found:
            shutil.rmtree(directory)


def _decrypt(source: Path, target: Path, plain: PlainFile, identity_file: Path) -> None:
    make_private_directory(target.parent)
    try:
        run_program(
            [_age(), "--decrypt", f"--identity={identity_file.absolute()}", f"--output={target}", source], env={}
        )
    except ToolError as error:
        if is_full(error):
            raise _no_room(target.parent, plain.bytes) from error
        raise BackupError(
            f"The backup cannot be decrypted: {error.what}",
            where=str(source),
            next_step="Check that identity_file is the private key of one of the manifest's recipients; a key with a "
            "passphrase cannot be used here.",
            details=error.details,
        ) from error
    if sha256_of_file(target) != plain.sha256:
        raise BackupError(
            f"{source.name} is not what was encrypted: its SHA-256 differs from the manifest's",
            where=str(source),
            next_step="Do not rely on this backup: take another one, and look for a failing disk.",
        )


def _no_room(place: Path, needed: int) -> BackupError:
    free = free_bytes(place)
    return BackupError(
        f"There is no room to decrypt the backup in {place}: it takes {needed} bytes, {free} are free",
        where=str(place),
        next_step="Free space there, or point the environment variable TMPDIR at a larger disk.",
        details={"needed_bytes": needed, "free_bytes": free},
    )


def _to(recipients: Sequence[str]) -> list[str]:
    return [f"--recipient={recipient}" for recipient in recipients]


def _age() -> Path:
    found = shutil.which("age")
    if found is None:
        raise ToolError(
            "The program age, which encrypts backups, is not installed on this machine",
            where="$PATH",
            next_step="Install it (Debian and Ubuntu: apt install age; macOS: brew install age), or leave recipients out.",
        )
    return Path(found)
