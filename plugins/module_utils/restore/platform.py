# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup tells of but does not bring back, since it is the platform's or the server's version's; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupManifest
from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import major_version
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    PLATFORM_EVENT_TRIGGERS,
    PLATFORM_SCHEMAS,
    Catalog,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.privileges import unquoted
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER

# MAINTAIN came with this version: GRANT ALL from an older server gives it, and so does what an owner has by default.
_FIRST_WITH_MAINTAIN = 17
_MAINTAIN = re.compile(r"(=[a-zA-Z*]*?)m\*?([a-zA-Z*]*/)")


def platform_keys(catalog: Catalog, manifest: BackupManifest) -> frozenset[str]:
    """The catalog's keys of the extensions and event triggers of a backup that belong to the platform.

    A manifest of old does not say whose the extensions were: then it is told by their schema.
    """
    return frozenset(key for key, definition in catalog.items() if _is_platforms(key, definition, manifest))


def _is_platforms(key: str, definition: Mapping[str, Any], manifest: BackupManifest) -> bool:
    kind, name = CatalogKey.parse(key)
    if kind == "extension":
        if manifest.platform_extensions is not None:
            return unquoted(name) in manifest.platform_extensions
        return unquoted(definition["schema"]) in (*PLATFORM_SCHEMAS, "pg_catalog")
    if kind == "event trigger":
        schema = str(definition["function"]).rpartition("(")[0].rpartition(".")[0]
        told = unquoted(name) in PLATFORM_EVENT_TRIGGERS or definition["owner"] == SUPERUSER
        return told and unquoted(schema) in PLATFORM_SCHEMAS
    return False


def without_newer_privileges(catalog: Catalog, backed_up: str, restored: str) -> Catalog:
    """A catalog without the privileges that came after the version that was backed up; versions as PostgreSQL names them."""
    if not major_version(backed_up) < _FIRST_WITH_MAINTAIN <= major_version(restored):
        return catalog
    return {key: _without_maintain(definition) for key, definition in catalog.items()}


def _without_maintain(definition: dict[str, Any]) -> dict[str, Any]:
    if not definition.get("privileges"):
        return definition
    return {**definition, "privileges": [_MAINTAIN.sub(r"\1\2", item) for item in definition["privileges"]]}
