# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pg_restore writes of an archive, run entry by entry in a session of ours: rows flow through, memory stays flat.

So the restore is our own transaction, in which it can be verified before it commits; pg_restore alone can only commit.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from ansible_collections.pgops.supabase.plugins.module_utils.archive.content import Entry
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BackupError
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import (
    TERMINATION_SECONDS,
    program_environment,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

BLOCK_BYTES = 256 * 1024
_PIPE_BYTES = 1024 * 1024
_HEADING = re.compile(rb"^-- TOC entry (\d+) \(class \d+ OID \d+\)$")
_END_OF_ROWS = b"\n\\.\n"
_COPY_ENDS = b" FROM stdin;\n"
# Some minor releases count a column's versions in its options, pg_dump writes that down, and no server takes it from a user.
_NAME = rb'(?:[^\n"]|"(?:[^"]|"")*")+?'
_COLUMN_OPTIONS = re.compile(
    rb"^(ALTER (?:FOREIGN )?TABLE ONLY " + _NAME + rb" ALTER COLUMN " + _NAME + rb" SET \()"
    rb"(\w+='?[\w.+-]*'?(?:, \w+='?[\w.+-]*'?)*)\);\n",
    re.MULTILINE,
)
_SERVERS_OWN_OPTION = b"pg_attver="
_WITH_COLUMNS = ("TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW", "VIEW")


class ArchiveScript:
    """pg_restore's output as lines, and the rows between COPY and its end mark as blocks.

    :param follow: called after each block that was read.
    :raises BackupError: when it ends within rows.
    """

    def __init__(self, descriptor: int, follow: Callable[[ArchiveScript], None] = lambda script: None) -> None:
        self._descriptor = descriptor
        self._follow = follow
        # What precedes the place is kept by one byte: the end of rows is told by the line feed before it too.
        self._buffer = b"\n"
        self._place = 1
        self.bytes_read = 0

    def line(self) -> bytes:
        """The next line with its line feed, empty at the end."""
        searched = self._place
        while (found := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            kept = self._place
            if not self._fill():
                found = len(self._buffer) - 1
                break
            searched -= kept - 1
        text = self._buffer[self._place : found + 1]
        self._place = found + 1
        return text

    def rows(self) -> Rows:
        """The rows from here to their end mark, as a file that COPY can read."""
        return Rows(self)

    def block_of_rows(self, size: int) -> tuple[bytes, bool]:
        """At most so many bytes of rows, and whether the end mark was passed."""
        while True:
            found = self._buffer.find(_END_OF_ROWS, self._place - 1)
            end = found + 1 if found >= 0 else len(self._buffer) - len(_END_OF_ROWS) + 1
            if end > self._place:
                block = self._buffer[self._place : min(end, self._place + size)]
                self._place += len(block)
                return block, False
            if found >= 0:
                self._place = found + len(_END_OF_ROWS)
                return b"", True
            if not self._fill():
                raise BackupError("The archive ends in the middle of a table's rows")

    def _fill(self) -> bool:
        block = os.read(self._descriptor, BLOCK_BYTES)
        self.bytes_read += len(block)
        self._buffer = self._buffer[self._place - 1 :] + block
        self._place = 1
        self._follow(self)
        return bool(block)


class Rows(io.RawIOBase):
    """A table's rows in COPY's text format, readable once."""

    def __init__(self, script: ArchiveScript) -> None:
        super().__init__()
        self._script = script
        self._ended = False
        # COPY's caller sees only that reading failed; this is why.
        self.failure: BackupError | None = None

    def readable(self) -> bool:
        """They are there to be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes, and never more than a block; empty at the end."""
        if self._ended:
            return b""
        try:
            block, self._ended = self._script.block_of_rows(size if 0 < size < BLOCK_BYTES else BLOCK_BYTES)
        except BackupError as error:
            self.failure = error
            raise
        return block


@contextmanager
def archive_script(
    pg_restore: Path,
    archive: Path,
    dump_ids: Sequence[int],
    follow: Callable[[ArchiveScript], None] = lambda script: None,
) -> Iterator[ArchiveScript]:
    """The script of some entries of an archive, in the order given; what follows the rows comes in pg_restore's order.

    :param follow: called after each block that was read of it.
    :raises BackupError: when pg_restore cannot write all of it.
    """
    with tempfile.NamedTemporaryFile("w", prefix="pgops-restore-", suffix=".list") as chosen:
        chosen.writelines(f"{dump_id};\n" for dump_id in dump_ids)
        chosen.flush()
        with tempfile.TemporaryFile() as complaints:
            command = [str(pg_restore), "--verbose", f"--use-list={chosen.name}", "--file=-", str(archive)]
            with subprocess.Popen(
                command,
                env=program_environment({}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                bufsize=0,
            ) as process:
                try:
                    yield ArchiveScript(_widened(cast("IO[bytes]", process.stdout)), follow)
                except BaseException:
                    process.terminate()
                    try:
                        process.wait(timeout=TERMINATION_SECONDS)
                    except subprocess.TimeoutExpired:
                        process.kill()
                    raise
            if process.returncode != 0:
                raise BackupError(
                    f"pg_restore could not read the archive to its end: {_last_words(complaints)}",
                    where=str(archive),
                    next_step="Do not rely on this backup: take an earlier one, and look for a failing disk.",
                )


def run_entries(
    script: ArchiveScript,
    entries: dict[int, Entry],
    *,
    execute: Callable[[Entry, bytes], None],
    copy: Callable[[Entry, str, Rows], None],
) -> None:
    """Hand each entry's statements, in order, to ``execute``, and each table's rows to ``copy``.

    :param entries: the entries the script was asked for, by number. What else looks like a heading is part of some text.
    :raises BackupError: when an entry is missing in the script.
    """
    awaited = dict(entries)
    entry: Entry | None = None
    text: list[bytes] = []
    previous = b""
    # psql's own commands around the script, with a random word: of two lines alike, one may be of a function's body.
    unrestrict = b""
    while line := script.line():
        heading = _HEADING.match(line) if previous == b"--\n" else None
        if heading is not None and int(heading[1]) in awaited:
            _hand_over(entry, text, execute)
            entry, text = awaited.pop(int(heading[1])), []
        elif entry is not None and entry.kind == "TABLE DATA" and line.startswith(b"COPY "):
            while not line.endswith(_COPY_ENDS):
                more = script.line()
                if not more:
                    raise BackupError("The archive ends in the middle of a statement", where=entry.label)
                line += more
            copy(entry, line.decode(), script.rows())
            text = []
        elif entry is not None and entry.kind == "BLOBS":
            # A large object may be larger than memory; each line is a statement.
            if line.startswith(b"SELECT "):
                execute(entry, line)
        elif entry is None:
            if line.startswith(b"\\restrict "):
                unrestrict = line.replace(b"\\restrict ", b"\\unrestrict ", 1)
        elif line != unrestrict:
            text.append(line)
        previous = line
    _hand_over(entry, text, execute)
    if awaited:
        missing = next(iter(awaited.values()))
        raise BackupError(
            f"pg_restore left out {missing.label}" + (f" and {len(awaited) - 1} more" if len(awaited) > 1 else ""),
            next_step="Do not rely on this backup: take an earlier one.",
        )


def _hand_over(entry: Entry | None, text: list[bytes], execute: Callable[[Entry, bytes], None]) -> None:
    """The statements of one entry. Comments alone are nothing to run."""
    if entry is not None and any(line.strip() and not line.startswith(b"--") for line in text):
        statements = b"".join(text)
        if entry.kind in _WITH_COLUMNS and _SERVERS_OWN_OPTION in statements:
            statements = _COLUMN_OPTIONS.sub(_without_the_servers_own, statements)
        execute(entry, statements)


def _without_the_servers_own(match: re.Match[bytes]) -> bytes:
    kept = [option for option in match[2].split(b", ") if not option.startswith(_SERVERS_OWN_OPTION)]
    return match[1] + b", ".join(kept) + b");\n" if kept else b""


def _widened(pipe: IO[bytes]) -> int:
    """The pipe's descriptor. A wider pipe means fewer switches between the two programs, where the system grants it."""
    with suppress(AttributeError, PermissionError):
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return pipe.fileno()


def _last_words(complaints: IO[bytes]) -> str:
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").strip().splitlines()
    return next(
        (line for line in lines[::-1] if "error" in line or "fatal" in line), lines[-1] if lines else "no reason"
    )


def run_in(connection: PgConnection, statements: bytes) -> None:
    """Run statements as they are, without any parameter."""
    with connection.cursor() as cursor:
        cursor.execute(statements)


def copy_in(connection: PgConnection, statement: str, rows: Rows) -> int:
    """Have COPY read the rows; the number of rows it took."""
    with connection.cursor() as cursor:
        cursor.copy_expert(statement, rows, size=BLOCK_BYTES)
        return int(cursor.rowcount)
