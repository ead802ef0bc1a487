# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a lease, and what is refused before anything is connected to."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.documents import Lease
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.lease import (
    Claim,
    how_to_free,
    renew_lease,
    take_lease,
    who_holds,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import ConnectionOptions

# Nothing listens there: whoever connects fails otherwise than by InputError.
NOWHERE = ConnectionOptions("127.0.0.1", 1, "postgres", None, "postgres")
LEASE = Lease(
    owner="pipeline-7",
    run_id="run-1",
    operator="ada",
    host="controller",
    acquired_at="2026-01-01T00:00:00.000+00:00",
    renewed_at="2026-01-01T00:10:00.000+00:00",
    expires_at="2026-01-01T01:10:00.000+00:00",
    expired=False,
)


def test_the_holder_in_words() -> None:
    said = who_holds(LEASE)
    for fact in ("pipeline-7", "run run-1", "ada on controller", LEASE.acquired_at, LEASE.renewed_at):
        assert fact in said
    assert f"expires {LEASE.expires_at}" in said
    assert f"expired {LEASE.expires_at}" in who_holds(dataclasses.replace(LEASE, expired=True))
    assert who_holds(dataclasses.replace(LEASE, owner="run-1")).count("run-1") == 1


def test_the_way_out_is_named() -> None:
    assert "state: released, owner: pipeline-7" in how_to_free(LEASE)


def test_a_lease_is_read_back_as_it_was_written() -> None:
    taken_over = dataclasses.replace(LEASE, taken_over_from={"owner": "run-0"})
    assert from_dict(Lease, taken_over.as_dict()) == taken_over


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_lease_lasts_some_time(seconds: int) -> None:
    with pytest.raises(InputError):
        take_lease(NOWHERE, Claim("run-1", "run-1", "ada", "controller"), expires_seconds=seconds)
    with pytest.raises(InputError):
        renew_lease(NOWHERE, "run-1", expires_seconds=seconds)
