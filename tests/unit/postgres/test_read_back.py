# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that cannot be looked at after COMMIT: what is committed is not called lost."""

from __future__ import annotations

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import VerificationFailed
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import ConnectionOptions
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.read_back import read_back


def test_what_is_committed_is_said_when_nobody_can_look() -> None:
    options = ConnectionOptions("/nonexistent", 5432, "nobody", None, "none")
    with (
        pytest.raises(VerificationFailed, match="After COMMIT the database could not be looked at") as caught,
        read_back(options, committed="the rollback is committed", next_step="Wait."),
    ):
        pytest.fail("there is no such server")
    assert (caught.value.outcome, caught.value.state) == ("committed", "the rollback is committed")
    assert caught.value.where == options.place and caught.value.next_step == "Wait."
