# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a backup's catalog is the platform's, and what only a later version of PostgreSQL has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.restore.platform import (
    platform_keys,
    without_newer_privileges,
)

CATALOG: dict[str, dict[str, Any]] = {
    'extension "uuid-ossp"': {"schema": "extensions", "version": "1.1"},
    "extension pg_cron": {"schema": "pg_catalog", "version": "1.6"},
    "extension citext": {"schema": "public", "version": "1.6"},
    "event trigger platforms": {"owner": "supabase_admin", "function": "extensions.watch()"},
    "event trigger pgrst_ddl_watch": {"owner": "postgres", "function": "extensions.pgrst_ddl_watch()"},
    "event trigger pgrst_drop_watch": {"owner": "postgres", "function": "public.watch()"},
    "event trigger ours_at_the_platforms": {"owner": "postgres", "function": "extensions.ours()"},
    "event trigger ours": {"owner": "postgres", "function": "public.watch()"},
    "event trigger ours_made_by_the_platform": {"owner": "supabase_admin", "function": "public.watch()"},
    "table public.t": {"owner": "postgres", "privileges": ["anon=arwdDxt/postgres"]},
}
EVENT_TRIGGERS = {"event trigger platforms", "event trigger pgrst_ddl_watch"}
OF_THE_PLATFORM = {'extension "uuid-ossp"', "extension pg_cron", *EVENT_TRIGGERS}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (None, OF_THE_PLATFORM),
        (["uuid-ossp", "pg_cron"], OF_THE_PLATFORM),
        ([], EVENT_TRIGGERS),
        (["citext"], {"extension citext", *EVENT_TRIGGERS}),
    ],
)
def test_whose_it_is_is_told_by_the_manifest_or_by_the_schema(told: list[str] | None, expected: set[str]) -> None:
    manifest = cast(Any, SimpleNamespace(platform_extensions=told))
    assert platform_keys(CATALOG, manifest) == expected


@pytest.mark.parametrize(
    ("versions", "items"),
    [
        (("15.8", "17.10"), ["anon=arwdDxt/postgres", "m=r/postgres"]),
        (("17.4", "17.10"), ["anon=arwdDxtm/postgres", "m=rm*/postgres"]),
        (("15.8", "16.1"), ["anon=arwdDxtm/postgres", "m=rm*/postgres"]),
    ],
)
def test_maintain_does_not_count_between_a_version_without_and_one_with_it(
    versions: tuple[str, str], items: list[str]
) -> None:
    catalog: dict[str, dict[str, Any]] = {
        "table public.t": {"privileges": ["anon=arwdDxtm/postgres", "m=rm*/postgres"]},
        "table public.u": {"owner": "postgres"},
    }
    assert without_newer_privileges(catalog, *versions) == {
        "table public.t": {"privileges": items},
        "table public.u": {"owner": "postgres"},
    }
