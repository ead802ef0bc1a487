# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a pg_dump archive, entry by entry, without reading its rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BackupError
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import run_program

# pg_restore --list: dump id, catalog oid, object oid, then kind, schema, name and owner with nothing but spaces between.
_LISTED = re.compile(r"^(\d+); \d+ \d+ (.*)$")
# The heading of an entry in pg_restore's --verbose output.
_HEADING = re.compile(
    r"^--\n-- TOC entry (\d+) \(class \d+ OID \d+\)\n(?:-- Dependencies:((?: \d+)*)\n)?"
    r"-- Name: (.*); Type: ([A-Z ]+); Schema: (.*); Owner: (.*?)(?:; Tablespace: .*)?\n"
    # Where its rows lie: the custom format says so of every entry.
    r"(?:-- (?:Data Pos|File): .*\n)?--\n",
    re.MULTILINE,
)
# Entries that have no heading in a script without rows, and the kind of what they fill.
_FILLS = {"TABLE DATA": "TABLE", "SEQUENCE SET": "SEQUENCE"}
# How what is told of large objects is named.
LARGE_OBJECT = "LARGE OBJECT"
LARGE_OBJECT_KINDS = ("BLOB METADATA", "BLOBS", "BLOB COMMENTS", "BLOB")
_ENCODING = re.compile(r"^SET client_encoding = '([^']*)';$", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """One entry of an archive; ``schema`` and ``owner`` are None where it has none."""

    dump_id: int
    kind: str
    schema: str | None
    name: str
    owner: str | None
    depends_on: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """The entry for a person."""
        return f"{self.kind} {'' if self.schema is None else self.schema + '.'}{self.name}"


def read_entries(pg_restore: Path, archive: Path) -> list[Entry]:
    """All entries of an archive in the order in which they are restored.

    :raises BackupError: when the archive is in another encoding than UTF-8.
    :raises ToolError: when pg_restore cannot read it.
    """
    listing = run_program([pg_restore, "--list", archive], env={}).stdout
    script = run_program([pg_restore, "--verbose", "--schema-only", "--file=-", archive], env={}).stdout
    encoding = _ENCODING.search(script)
    if encoding is None or encoding[1] != "UTF8":
        raise BackupError(
            f"The archive is in the encoding {encoding[1] if encoding else '(unknown)'}, and only UTF8 can be restored",
            where=str(archive),
            next_step="Restore it by hand with pg_restore, or make a new backup with pgops.supabase.backup.",
        )
    return entries_of(listing, script)


def entries_of(listing: str, script: str) -> list[Entry]:
    """The entries that a listing names, with what the script of the schema says of each; pure."""
    headed = _headed(script)
    filled = {
        f"{kind} {entry.schema} {entry.name}": entry
        for entry in headed.values()
        for kind, target in _FILLS.items()
        if entry.kind == target
    }
    entries = []
    # Not splitlines(): a name may hold what Unicode has for line ends, and pg_restore lets it stand.
    for line in listing.split("\n"):
        listed = _LISTED.match(line)
        if listed is not None:
            dump_id, text = int(listed[1]), listed[2]
            known = headed.get(dump_id)
            entries.append(known if known and known.kind not in _FILLS else _data_entry(dump_id, text, filled))
    return entries


def _headed(script: str) -> dict[int, Entry]:
    """Entries by their headings. A comment in a function's body may look like one: the first of a number counts."""
    found: dict[int, Entry] = {}
    for match in _HEADING.finditer(script):
        entry = Entry(
            dump_id=int(match[1]),
            kind=match[4],
            schema=None if match[5] == "-" else match[5],
            name=match[3],
            owner=None if match[6] in ("-", "") else match[6],
            depends_on=tuple(int(number) for number in (match[2] or "").split()),
        )
        found.setdefault(entry.dump_id, entry)
    return found


def _data_entry(dump_id: int, text: str, filled: Mapping[str, Entry]) -> Entry:
    """An entry without a heading. Names and owners may hold spaces, so it is recognised by what it fills."""
    for kind in _FILLS:
        if text.startswith(f"{kind} "):
            for place in [n for n, character in enumerate(text) if character == " "][::-1]:
                target = filled.get(text[:place])
                if target is not None:
                    return Entry(dump_id, kind, target.schema, target.name, target.owner, (target.dump_id,))
            return Entry(dump_id, kind, None, text.removeprefix(f"{kind} "), None)
    for kind in LARGE_OBJECT_KINDS:
        if text.startswith(f"{kind} "):
            return Entry(dump_id, kind, None, text.removeprefix(f"{kind} "), None)
    kind, _separator, name = text.partition(" - ")
    return Entry(dump_id, kind, None, name, None)
