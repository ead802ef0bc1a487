# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a transaction is, for whoever watches it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ansible_collections.pgops.supabase.plugins.module_utils.apply.options import Apply
from ansible_collections.pgops.supabase.plugins.module_utils.base.progress import Progress
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.batches import Batch


@contextmanager
def telling(this: Apply, batch: Batch) -> Iterator[Callable[[], None]]:
    """Tell how many of a transaction's statements have run; yields what is to be called after each."""
    document = this.how.document_file
    progress = Progress("apply", document.parent.parent.name if document else this.options.login_db)
    total, done = sum(len(item.script.statements) for item in batch.items), itertools.count(1)
    with progress.phase("run", statements_total=total):
        yield lambda: progress.at("run", statements_done=next(done), statements_total=total)
