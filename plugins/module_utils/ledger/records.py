# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether history and ledger say what was done, and nothing else: a file, or a trigger, may write there too."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import VerificationFailed
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    exists,
    newest_applied_events,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_all

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


# A column that a file adds to the table changes no row.
_HASHES = """
select row ->> 'version', pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
    pg_catalog.jsonb_build_array(row -> 'version', row -> 'name', row -> 'statements')::text, 'UTF8')), 'hex')
from (select pg_catalog.to_jsonb(m) as row from supabase_migrations.schema_migrations as m) as rows
"""


@dataclass(frozen=True)
class RecordedEvent:
    """An event of the ledger, with a hash of all that it says."""

    event_id: int
    event: str
    version: str
    run_id: str | None
    digest: str


@dataclass(frozen=True)
class Records:
    """History and ledger as they were at one time.

    :param history: each version, and a hash of what its row says.
    """

    history: Mapping[str, str]
    ledger: tuple[RecordedEvent, ...]


def read_records(connection: PgConnection) -> Records:
    """History and ledger as the session sees them now. The server hashes: what years have written stays where it is."""
    history = fetch_all(connection, _HASHES) if exists(connection, "supabase_migrations.schema_migrations") else []
    ledger: list[RecordedEvent] = []
    if exists(connection, "pgops.ledger"):
        query = "select event_id, event, version, run_id, pg_catalog.md5(to_jsonb(l)::text) from pgops.ledger l order by event_id"
        ledger = [RecordedEvent(*row) for row in fetch_all(connection, query)]
    return Records(dict(history), tuple(ledger))


def require_recorded(
    connection: PgConnection,
    before: Records,
    *,
    applied: Collection[str] = (),
    rolled_back: Collection[str] = (),
    state: str,
) -> None:
    """The records have to be those from before, and what was done since.

    :param state: the state of the database when they are not.
    :raises VerificationFailed: when rows are missing, were changed, or were added by somebody else.
    """
    wrong = "; ".join(unexpected_records(before, read_records(connection), applied, rolled_back))
    if wrong:
        raise VerificationFailed(
            f"The records of what is applied are not what they have to be: {wrong}",
            where="supabase_migrations.schema_migrations, pgops.ledger",
            state=state,
            next_step=(
                "Take out of the files what writes to supabase_migrations and pgops, and look for triggers on their tables; "
                "another tool that migrates at the same time does it, too."
            ),
        )


def unexpected_records(
    before: Records, after: Records, applied: Collection[str], rolled_back: Collection[str]
) -> Iterator[str]:
    """What is wrong with the records, in words; pure.

    The ledger may have grown by events of other sessions, which record failures and verifications beside the run.
    """
    old = {version: digest for version, digest in before.history.items() if version not in rolled_back}
    new = after.history
    lost = sorted((old.keys() | set(applied)) - new.keys())
    changed = sorted(version for version in old.keys() & new.keys() if old[version] != new[version])
    added = sorted(new.keys() - old.keys() - set(applied))
    for versions, what in ((lost, "does not hold"), (changed, "holds otherwise"), (added, "holds besides")):
        if versions:
            yield f"the history {what} {', '.join(versions)}"
    if after.ledger[: len(before.ledger)] != before.ledger:
        yield "earlier events of the ledger are gone or changed"
    held = newest_applied_events(after.ledger).keys()
    unrecorded = sorted((set(applied) - held) | (set(rolled_back) & held))
    if unrecorded:
        yield f"the ledger does not tell of {', '.join(unrecorded)}"
