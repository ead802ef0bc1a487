# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests need: the clone importable under its collection name, and signals that arrive."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
COLLECTIONS = CLONE / ".ansible" / "collections"


def make_importable() -> None:
    """Link the clone where Python and Ansible look for collections, as ``make`` does, and put that on the path."""
    link = COLLECTIONS / "ansible_collections" / "pgops" / "supabase"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path("../../../.."))
    if str(COLLECTIONS) not in sys.path:
        sys.path.insert(0, str(COLLECTIONS))


def let_interrupts_arrive() -> None:
    """Take SIGINT as a terminal's job would.

    A shell has its jobs in the background ignore it, and every program they start inherits that; those that a test interrupts
    would go on for ever.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


make_importable()
let_interrupts_arrive()
