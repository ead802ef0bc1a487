# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a long job tells while it runs: a line in the run's events.jsonl, and a datagram to whoever draws progress.

Nobody has to listen, and a listener that is slow or gone never holds up the job.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import PRIVATE_FILE, make_private_directory

EVENTS_NAME = "events.jsonl"
SOCKET_VARIABLE = "PGOPS_PROGRESS_SOCKET"
LINE_SECONDS = 5.0
DATAGRAM_SECONDS = 0.2


class Progress:
    """Reports of one job. Each is a JSON object: C(at), C(job), C(subject), C(phase), C(event), and figures.

    The first and the last report of a phase always get through, those between them at most every few seconds.

    :param job: what is being done, such as V(backup).
    :param subject: of which project.
    :param run_dir: whose events.jsonl is written, None for no file.
    """

    def __init__(self, job: str, subject: str, run_dir: Path | None = None) -> None:
        self._job, self._subject = job, subject
        self._file = run_dir / EVENTS_NAME if run_dir else None
        self._listener = os.environ.get(SOCKET_VARIABLE)
        self._last_line = self._last_datagram = 0.0
        self.timings: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str, **figures: Any) -> Iterator[None]:
        """One phase: its begin and its end with how long it took, also when it fails."""
        started = time.monotonic()
        self._tell_if_possible(name, "begin", figures)
        ended = "failed"
        try:
            yield
            ended = "end"
        finally:
            self.timings[name] = round(time.monotonic() - started, 3)
            self._tell_if_possible(name, ended, {"seconds": self.timings[name]})

    def at(self, phase: str, **figures: Any) -> None:
        """How far a phase is."""
        now = time.monotonic()
        self._tell_if_possible(
            phase,
            "progress",
            figures,
            line=now - self._last_line >= LINE_SECONDS,
            datagram=now - self._last_datagram >= DATAGRAM_SECONDS,
        )

    def note(self, phase: str, event: str, **figures: Any) -> None:
        """Something that happened and is to stay on record.

        :raises OSError: when it cannot be written down.
        """
        self._tell(phase, event, figures)

    def _tell_if_possible(self, phase: str, event: str, figures: dict[str, Any], **through: bool) -> None:
        # How far a job is must not be what ends it: a restore that is committed would be called failed.
        with contextlib.suppress(OSError):
            self._tell(phase, event, figures, **through)

    def _tell(
        self, phase: str, event: str, figures: dict[str, Any], *, line: bool = True, datagram: bool = True
    ) -> None:
        report = {
            "at": utc_now(),
            "job": self._job,
            "subject": self._subject,
            "phase": phase,
            "event": event,
            **figures,
        }
        text = json.dumps(report, ensure_ascii=False)
        if line and self._file is not None:
            self._last_line = time.monotonic()
            self._append(self._file, text)
        if datagram and self._listener:
            self._last_datagram = time.monotonic()
            # Who watches may have gone or be behind; that is no concern of the job.
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(text.encode(), self._listener)

    @staticmethod
    def _append(path: Path, text: str) -> None:
        """One write of one line, so that two jobs in the same run do not mix theirs."""
        make_private_directory(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            os.write(descriptor, f"{text}\n".encode())
        finally:
            os.close(descriptor)
