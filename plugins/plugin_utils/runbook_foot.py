# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is being done now, drawn by rich at the foot of a terminal and taken away before anything else is written."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible_collections.pgops.supabase.plugins.plugin_utils.runbook_text import (
    progress_line,
    progress_share,
)

try:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.spinner import Spinner
    from rich.table import Table
    from rich.text import Text
except ImportError:
    # Whoever has no rich gets plain lines; this file can be read all the same.
    HAS_RICH = False
    Console = object  # type: ignore[assignment,misc]
else:
    HAS_RICH = True

_MOST_LINES = 8
_BAR, _NARROW = 20, 70


class _Console(Console):
    def show_cursor(self, show: bool = True) -> bool:
        """Leave the cursor as it is: who kills the run should find it."""
        return False


class Foot:
    """The lines at the foot of the terminal.

    They have a duplicate of standard output for themselves: Ansible's lock of its streams and rich's own would wait for each
    other otherwise.
    """

    def __init__(self, *, colour: bool) -> None:
        self._owner = os.getpid()
        encoding = sys.stdout.encoding or "ascii"
        self._file = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding=encoding, errors="replace")
        self._console = _Console(file=self._file, force_terminal=True, no_color=not colour, highlight=False)
        self._spinner = Spinner("line")
        self._lock = threading.RLock()
        self._live: Live | None = None
        self._closed = False
        atexit.register(self.close)

    def draw(self, doing: list[tuple[str, float]], running: list[tuple[Mapping[str, Any], float]]) -> None:
        """Show what is being done, with its seconds, and how far jobs are."""
        with self._lock:
            if self._closed or not (doing or running):
                return self._erase()
            drawn = self._drawn(doing, running)
            if self._live is None:
                self._live = Live(drawn, console=self._console, auto_refresh=False, transient=True)
                with contextlib.suppress(OSError, ValueError):
                    self._live.start(refresh=True)
            else:
                self._live.update(drawn, refresh=True)
        return None

    @contextmanager
    def away(self) -> Iterator[None]:
        """While something else is written. Not in the worker processes that Ansible forks: they write nothing themselves."""
        if os.getpid() != self._owner:
            yield
            return
        with self._lock:
            self._erase()
            yield

    def close(self) -> None:
        """Draw nothing any more."""
        if os.getpid() == self._owner:
            with self._lock:
                self._closed = True
                self._erase()

    def _erase(self) -> None:
        if self._live is not None:
            with contextlib.suppress(OSError, ValueError):
                self._live.stop()
            self._live = None

    def _drawn(self, doing: list[tuple[str, float]], running: list[tuple[Mapping[str, Any], float]]) -> Group:
        width = self._console.width
        rows: list[Any] = []
        for text, seconds in doing[:_MOST_LINES]:
            frame = str(self._spinner.render(time.monotonic()))
            words = Text(f"  {frame} {text}", style="bold", no_wrap=True, overflow="ellipsis")
            if seconds >= 1:
                words.append(f"  {seconds:.0f} s", style="not bold dim")
            rows.append(words)
        if len(doing) > _MOST_LINES:
            rows.append(Text(f"    and {len(doing) - _MOST_LINES} more", style="dim"))
        for report, seconds in running[:_MOST_LINES]:
            line = progress_line(report, seconds)
            share = progress_share(report)
            if share is None or width < _NARROW:
                rows.append(Text(f"    {line}", no_wrap=True, overflow="ellipsis"))
                continue
            row = Table.grid(padding=(0, 1))
            row.add_column(width=3)
            row.add_column(width=_BAR)
            row.add_column(no_wrap=True, overflow="ellipsis", max_width=max(width - _BAR - 8, 10))
            row.add_row("", ProgressBar(total=share[1], completed=share[0], width=_BAR), Text(line))
            rows.append(row)
        return Group(*rows)
