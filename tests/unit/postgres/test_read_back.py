# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look after COMMIT, where nobody can look; a server that is there has its tests with what it is looked at for."""

from __future__ import annotations

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import NotSeen
from ansible_collections.pgops.supabase.plugins.module_utils.postgres import read_back as module
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import ConnectionOptions


def test_nothing_is_known_to_be_wrong_when_nobody_can_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES_SECONDS", (0.0, 0.0))
    options = ConnectionOptions("/nonexistent", 5432, "nobody", None, "none")
    with pytest.raises(NotSeen, match="After COMMIT the database could not be looked at") as caught:
        module.read_back(options, lambda connection: connection, committed="it is committed", next_step="Wait.")
    assert (caught.value.outcome, caught.value.state) == ("unknown", "it is committed")
    assert caught.value.where == options.place and caught.value.next_step == "Wait."
