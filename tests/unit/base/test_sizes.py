# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as a person reads them."""

from __future__ import annotations

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.sizes import human_bytes


@pytest.mark.parametrize(("size", "shown"), [(0, "0 B"), (999, "999 B"), (1536, "1.5 kB"), (10**12 * 3, "3.0 TB")])
def test_sizes_for_people(size: int, shown: str) -> None:
    assert human_bytes(size) == shown
