# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a job runs, as a crontab has it. Pure."""

from __future__ import annotations

import re

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError

_WORD = re.compile(r"@(reboot|yearly|annually|monthly|weekly|daily|midnight|hourly)")
# man 5 crontab: numbers, names, ranges, steps and lists. pg_cron's "30 seconds" and its $ for a month's last day are not in it.
_FIELD = re.compile(r"(\*|[0-9]+(-[0-9]+)?|[A-Za-z]{3}(-[A-Za-z]{3})?)(/[0-9]+)?(,[0-9A-Za-z*/-]+)*")
_FIELDS = 5


def require_crontab_schedule(name: str, schedule: str) -> None:
    """A job without pg_cron runs by a crontab, which knows less.

    :raises InputError: when a crontab cannot have it.
    """
    text = schedule.strip()
    fields = text.split()
    if _WORD.fullmatch(text) or (len(fields) == _FIELDS and all(_FIELD.fullmatch(field) for field in fields)):
        return
    raise InputError(
        f"A crontab has no such schedule: {schedule}",
        where=f"job {name}, schedule",
        next_step="Give minute, hour, day of the month, month and day of the week, such as 0 3 * * *, or @daily; "
        "or have pg_cron in the database (create extension pg_cron).",
    )
