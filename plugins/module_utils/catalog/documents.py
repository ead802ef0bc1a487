# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of a schema, of its changes and of two schemas' comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document


@dataclass(kw_only=True)
class CatalogChange:
    """One object that differs between two catalogs."""

    change: Literal["created", "changed", "dropped"]
    object_type: str
    object_name: str
    detail: str


@dataclass(kw_only=True)
class SchemaInfo(Document):
    """A live schema in figures: its fingerprint, and how many objects of each type it has."""

    kind: ClassVar[str] = "schema_info"
    database: str
    server_version: str
    taken_at: str
    schemas: list[str]
    fingerprint: str
    objects: dict[str, int]
    total: int


@dataclass(kw_only=True)
class SchemaSide:
    """One of two schemas that are compared; a file does not know the server's version."""

    source: str
    server_version: str | None
    fingerprint: str
    total: int


@dataclass(kw_only=True)
class ChangeCounts:
    """How many objects of one type differ, by what happened to them."""

    created: int = 0
    changed: int = 0
    dropped: int = 0


@dataclass(kw_only=True)
class SchemaDiff(Document):
    """What it takes to go from one schema to another."""

    kind: ClassVar[str] = "schema_diff"
    before: SchemaSide
    after: SchemaSide
    equal: bool
    changes: list[CatalogChange]
    counts: dict[str, ChangeCounts]
    ignored: int
    notes: list[str]
