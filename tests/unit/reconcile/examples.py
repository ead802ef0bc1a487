# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects as they are read, made by hand, for what is pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import HistoryRow, LedgerEvent
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import MigrationFile, discover
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import ConnectionOptions
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.documents import Reconciliation
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.job import compare
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.reading import ProjectState

HOSTILE = "<script>document.title='taken'</script>"
OPTIONS = ConnectionOptions("127.0.0.1", 5432, "postgres", None, "postgres")


def row(version: str, name: str | None, *statements: str, recorded: bool = True) -> HistoryRow:
    """A row of a history."""
    return HistoryRow(version, name, statements if recorded else None)


def event(number: int, version: str, name: str, sha256: str, **details: Any) -> LedgerEvent:
    """An event that says that a migration was applied."""
    return LedgerEvent(
        number, f"2026-01-0{number}T00:00:00Z", "applied", version, name, sha256, None, "somebody", details
    )


def state(
    name: str,
    history: Sequence[HistoryRow] = (),
    catalog: Mapping[str, Any] | None = None,
    ledger: Sequence[LedgerEvent] = (),
    **more: Any,
) -> ProjectState:
    """A project that was read."""
    return ProjectState(
        name=name,
        options=OPTIONS,
        version="17.6",
        taken_at="2026-01-10T00:00:00+00:00",
        schemas=["public"],
        catalog=dict(catalog or {}),
        history=list(history),
        ledger=list(ledger),
        **more,
    )


def files(directory: Path, **texts: str) -> list[MigrationFile]:
    """Files in git, by C(v<version>_<name>)."""
    place = directory / "migrations"
    place.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (place / f"{name.removeprefix('v')}.sql").write_text(text)
    return discover(directory)


def a_reconciliation(*, equal: bool) -> Reconciliation:
    """A comparison with something of each kind, in names that nobody would choose."""
    same = [row(f"2025010{day}000000", "same", f"select {day}") for day in range(1, 8)]
    if equal:
        return compare([], state("dev", same), state("prod", same), ignore=["migration *"])
    table = {"owner": "postgres", "row security": True}
    catalog = {f'table public."{HOSTILE}"': table, f'column public."{HOSTILE}".id': {"position": 1, "type": "integer"}}
    other = {
        f'table public."{HOSTILE}"': {**table, "row security": False},
        "index public." + "x" * 60: {"definition": "CREATE INDEX"},
    }
    source = state("dev", [*same, row("20250201000000", HOSTILE, "select 20")], catalog, rows={"public.a": 1})
    target = state("prod <b>", [*same, row("20250202000000", "b" * 80, "select 20")], other, rows={"public.a": 1234567})
    return compare([], source, target)
