# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is committed in a database, as a session of its own sees it: what a fault must leave whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg2 import sql

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import Catalog, read_catalog, user_schemas
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import ConnectionOptions, session

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

_TABLES = "select schemaname, tablename from pg_tables where schemaname = any (%s) order by 1, 2"
_ROWS = sql.SQL("select count(*), md5(string_agg(t::text, chr(10) order by t::text)) from {} t")
_HISTORY = "select version, name, statements from supabase_migrations.schema_migrations order by version"
_LEDGER = "select event, version, sha256, run_id, details from pgops.ledger where event <> 'failed' order by event_id"
_LOG = "select version, position, sha256, state from pgops.statement_log where position >= 0 order by 1, 2"
# A file outside a transaction that was gone on with has its fingerprints, but no list of what changed on the way.
_ONLY_WHEN_UNDISTURBED = ("catalog_change", "catalog_changes")


@dataclass(frozen=True)
class State:
    """Catalog, rows, history, ledger and statement log at one time. Failures in the ledger do not make a difference."""

    catalog: Catalog
    rows: Mapping[str, tuple[int, str | None]]
    history: tuple[tuple[Any, ...], ...]
    ledger: tuple[tuple[Any, ...], ...]
    log: tuple[tuple[Any, ...], ...]

    @property
    def versions(self) -> frozenset[str]:
        """What the history holds."""
        return frozenset(row[0] for row in self.history)

    @property
    def finished(self) -> int:
        """How many statements the log holds as finished."""
        return sum(state == "finished" for *_place, state in self.log)

    @property
    def begun(self) -> int:
        """How many statements the log holds as begun and not finished."""
        return sum(state == "started" for *_place, state in self.log)

    def difference(self, other: State) -> str:
        """What is not the same, in words; empty when all is."""
        names = [name for name in ("catalog", "rows", "history", "ledger", "log") if self._of(name) != other._of(name)]
        shown = [name if name == "catalog" else f"{name}: {self._of(name)} / {other._of(name)}" for name in names]
        if "catalog" in names:
            keys = [key for key in {*self.catalog, *other.catalog} if self.catalog.get(key) != other.catalog.get(key)]
            shown.append(f"objects: {', '.join(sorted(map(str, keys)))}")
        return "; ".join(shown)

    def _of(self, name: str) -> Any:
        return getattr(self, name)


def read_state(options: ConnectionOptions) -> State:
    """The state that a new session sees."""
    with session(options) as connection:
        schemas = user_schemas(connection)
        catalog = read_catalog(connection, schemas)
        rows = {}
        for schema, table in _fetch(connection, _TABLES, [list(schemas)]):
            rows[f"{schema}.{table}"] = _fetch(connection, _ROWS.format(sql.Identifier(schema, table)))[0]
        ledger = tuple(
            (event, version, sha256, run_id, _comparable(details))
            for event, version, sha256, run_id, details in _fetch(connection, _LEDGER)
        )
        history = tuple((version, name, tuple(text)) for version, name, text in _fetch(connection, _HISTORY))
        log = tuple(_fetch(connection, _LOG)) if _has_log(connection) else ()
        return State(catalog, rows, history, ledger, log)


def _has_log(connection: PgConnection) -> bool:
    return bool(_fetch(connection, "select to_regclass('pgops.statement_log') is not null")[0][0])


def _comparable(details: Mapping[str, Any]) -> dict[str, Any]:
    leave_out = _ONLY_WHEN_UNDISTURBED if details.get("outside_transaction") else ()
    return {name: value for name, value in details.items() if name not in leave_out}


def _fetch(connection: PgConnection, query: Any, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())
