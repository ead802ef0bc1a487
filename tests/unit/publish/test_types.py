# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file of types names, and how libpq's sslmode is said to the generator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import ConnectionOptions
from ansible_collections.pgops.supabase.plugins.module_utils.publish.types import _tls, names_in

TEXT = """export type Json =
  | string
  | { [key: string]: Json | undefined }

export type Database = {
  public: {
    Tables: {
      notes: {
        Row: {
          id: number
        }
      }
      "odd \\"name": {
        Row: { a: string }
      }
    }
    Views: {
      [_ in never]: never
    }
    Enums: {
      mood: "a" | "b"
      long:
        | "first"
    }
  }
  größe: {
    Tables: {
      maß: {
      }
    }
  }
}

export const Constants = {
  later: {
    Enums: {
      mood: ["a", "b"],
    },
  },
} as const
"""
LOGIN = ConnectionOptions("db.example.org", 5432, "postgres", "secret", "postgres")


def test_the_names_of_the_type_are_read_and_nothing_else() -> None:
    assert names_in(TEXT) == {
        ("public", "Tables", "notes"),
        ("public", "Tables", 'odd "name'),
        ("public", "Enums", "mood"),
        ("public", "Enums", "long"),
        ("größe", "Tables", "maß"),
    }


@pytest.mark.parametrize("cut", range(0, TEXT.index("größe"), 37))
def test_a_cut_text_names_less(cut: int) -> None:
    assert names_in(TEXT[:cut]) < names_in(TEXT)


@pytest.mark.parametrize(
    ("mode", "ca", "verify", "host"),
    [
        ("require", None, False, False),
        ("require", "ca.crt", True, False),
        ("verify-ca", "ca.crt", True, False),
        ("verify-full", "ca.crt", True, True),
        ("verify-full", None, True, True),
    ],
)
def test_sslmode_means_what_libpq_means_by_it(mode: str, ca: str | None, verify: bool, host: bool) -> None:
    tls: dict[str, Any] | None = _tls(replace(LOGIN, ssl_mode=mode, ca_cert=ca))
    assert tls is not None and (tls["verify"], tls["host"], tls["ca"]) == (verify, host, ca)


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_what_is_for_this_machine_only_needs_no_tls(mode: str) -> None:
    assert _tls(replace(LOGIN, ssl_mode=mode)) is None
