# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a failure must leave alone, seen with PostgreSQL's own programs: catalog, rows, history, files."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.integration.live import LiveProject

# The rows of a query that is built at run time, as XML: plain SQL has no other way without a function of our own.
_COUNTS = """
select n.nspname, c.relname, query_to_xml(format('select count(*) from %I.%I', n.nspname, c.relname), true, true, '')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgops') order by 1, 2;
"""
_HISTORY = """
select case when to_regclass('supabase_migrations.schema_migrations') is null then 'none' else
query_to_xml('select * from supabase_migrations.schema_migrations order by version', true, true, '')::text end;
"""


@dataclass(frozen=True)
class Snapshot:
    """A project and its files at one time; the ledger is left out, because it records failures too."""

    catalog: str
    counts: str
    history: str
    files: dict[str, str]


def take(project: LiveProject, directory: Path) -> Snapshot:
    """The project's database and the files below a directory as they are now."""
    files = {
        str(path.relative_to(directory)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory"
        )
        for path in sorted(directory.rglob("*"))
    }
    return Snapshot(_catalog(project), project.psql(_COUNTS, SUPERUSER), project.psql(_HISTORY, SUPERUSER), files)


def _catalog(project: LiveProject) -> str:
    """What pg_dump writes of the schema."""
    return _pg_dump(project, "--schema-only", "--exclude-schema=pgops")


def data(project: LiveProject) -> list[str]:
    """What pg_dump writes of the user's rows and sequences, in no order."""
    return sorted(_pg_dump(project, "--data-only", "--inserts", "--schema=public").splitlines())


def schema_dump(project: LiveProject) -> str:
    """What pg_dump writes of the schema, but for the schemas in which what was applied is recorded."""
    return _pg_dump(project, "--schema-only", "--exclude-schema=pgops", "--exclude-schema=supabase_migrations")


def _pg_dump(project: LiveProject, *options: str) -> str:
    """What pg_dump writes, less the lines with a random word (since the fix of CVE-2025-8714)."""
    environment = {
        "PATH": os.environ["PATH"],
        "PGHOST": project.server.host,
        "PGPORT": str(project.server.port),
        "PGUSER": SUPERUSER,
        "PGPASSWORD": project.server.passwords[SUPERUSER],
        "PGDATABASE": project.database,
    }
    command = [str(Path(project.server.pg_bin) / "pg_dump"), *options]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, encoding="utf-8", timeout=60)
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))
