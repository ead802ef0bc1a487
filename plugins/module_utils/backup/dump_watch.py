# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far pg_dump is, from what it says itself: which tables it has begun and which it has finished.

With several connections pg_dump says when a table is finished; with one it says only when the next begins.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_all
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import WATCH_SECONDS
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import Table

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


_BEGUN = re.compile(r'^pg_dump: dumping contents of table "(.*)"$')
_FINISHED = re.compile(r"^pg_dump: finished item \d+ TABLE DATA (.*)$")
# What --verbose adds to stderr; anything else there is a complaint.
_NARRATION = re.compile(r"^pg_dump: (?!error:|warning:|detail:|hint:|fatal:)")


def table_sizes(connection: PgConnection, tables: list[Table]) -> dict[Table, int]:
    """The bytes of each table on the server, without its indexes."""
    rows = fetch_all(
        connection,
        """
        select n.nspname, c.relname, pg_catalog.pg_table_size(c.oid)
        from unnest(%s::text[], %s::text[]) as wanted(nspname, relname)
        join pg_catalog.pg_namespace as n on n.nspname = wanted.nspname
        join pg_catalog.pg_class as c on c.relnamespace = n.oid and c.relname = wanted.relname
        """,
        [[schema for schema, _table in tables], [table for _schema, table in tables]],
    )
    return {(str(schema), str(table)): int(size) for schema, table, size in rows}


class DumpWatch:
    """The state of one dump.

    :param sizes: the tables whose rows are dumped, with their bytes on the server.
    :param archive: where it is written, to tell how large it is by now.
    :param parallel: whether pg_dump works with several connections.
    :param report: told how far it is, about twice a second.
    """

    def __init__(
        self, sizes: Mapping[Table, int], archive: Path, *, parallel: bool, report: Callable[..., None]
    ) -> None:
        self._sizes = {f"{schema}.{table}": (table, size) for (schema, table), size in sizes.items()}
        self._archive = archive
        self._parallel = parallel
        self._running: list[str] = []
        self._done: set[str] = set()
        self._report = report
        self._reported = 0.0

    def takes(self, line: str) -> bool:
        """Learn from a line of pg_dump's; whether it is narration and no complaint."""
        begun = _BEGUN.match(line)
        finished = _FINISHED.match(line)
        if begun:
            if not self._parallel:
                self._finish_all()
            self._running.append(begun[1])
        elif finished:
            name = next((n for n in self._running if self._sizes.get(n, ("", 0))[0] == finished[1]), None)
            if name is not None:
                self._running.remove(name)
                self._done.add(name)
        return bool(_NARRATION.match(line))

    def tick(self) -> None:
        """Report how far it is, unless that was just done."""
        now = time.monotonic()
        if now - self._reported >= WATCH_SECONDS:
            self._reported = now
            self._report(**self.figures())

    def finished(self) -> dict[str, Any]:
        """The figures when all of it is written."""
        self._done.update(self._sizes)
        self._running.clear()
        return self.figures()

    def figures(self) -> dict[str, Any]:
        """How far it is: tables and their bytes on the server, done of how many, and what the archive holds by now."""
        return {
            "tables_done": len(self._done & self._sizes.keys()),
            "tables_total": len(self._sizes),
            "bytes_done": sum(self._sizes[name][1] for name in self._done & self._sizes.keys()),
            "bytes_total": sum(size for _table, size in self._sizes.values()),
            "archive_bytes": _bytes_in(self._archive),
            "tables_running": sorted(self._running),
        }

    def _finish_all(self) -> None:
        self._done.update(self._running)
        self._running.clear()


def _bytes_in(archive: Path) -> int:
    """The size of a file or of a flat directory that may not be there yet."""
    try:
        return sum(path.stat().st_size for path in (archive.iterdir() if archive.is_dir() else [archive]))
    except FileNotFoundError:
        return 0
