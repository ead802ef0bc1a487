# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate that asks for the hour: when migrations may run, and whether this one would end in time. Pure.

A window belongs to the day on which it opens, also over midnight. Where clocks are put back, an hour that comes twice is meant
the first time; one that is left out when they are put forward is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.gates.rules import Judgement

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_KEYS = ("days", "from", "to", "time_zone", "not_on")
_SEARCHED_DAYS = 400
_MINUTES_OF_A_DAY = 24 * 60
# The estimate is of the migrations' statements alone; baseline, checks and commit come on top.
_WARNING_FACTOR = 2.0
_NEXT = "Run then, or, where it has to be now: preflight_waivers: {window: why}"


@dataclass(frozen=True)
class Window:
    """When migrations may run: the days on which it opens (0 is Monday), minutes after midnight, and dates on which it is shut."""

    days: frozenset[int]
    opens: int
    closes: int
    zone: ZoneInfo
    not_on: frozenset[date]

    def on(self, day: date) -> tuple[datetime, datetime] | None:
        """From when to when it is open on a day, in UTC; None where it does not open."""
        if day.weekday() not in self.days or day in self.not_on:
            return None
        closing_day = day if self.closes > self.opens else day + timedelta(days=1)
        closes = self._moment(closing_day, self.closes)
        if day + timedelta(days=1) in self.not_on:
            closes = min(closes, self._moment(day, _MINUTES_OF_A_DAY))
        return self._moment(day, self.opens), closes

    def words(self) -> str:
        """The window as a person would say it."""
        days = "every day" if len(self.days) == len(DAYS) else ", ".join(DAYS[day] for day in sorted(self.days))
        dates = f", not on {', '.join(map(str, sorted(self.not_on)))}" if self.not_on else ""
        return f"{days} {_clock(self.opens)} to {_clock(self.closes)} {self.zone.key}{dates}"

    def _moment(self, day: date, minutes: int) -> datetime:
        day += timedelta(days=minutes // _MINUTES_OF_A_DAY)
        hours, rest = divmod(minutes % _MINUTES_OF_A_DAY, 60)
        return datetime.combine(day, time(hours, rest), tzinfo=self.zone).astimezone(timezone.utc)


def given_window(given: Mapping[str, Any]) -> Window | None:
    """The window as the inventory has it, None where there is none.

    :raises InputError: when it cannot be, with all that is wrong.
    """
    if not given:
        return None
    problems = [f"{name} is not known; it takes {', '.join(_KEYS)}" for name in given if name not in _KEYS]
    days = _days(given.get("days", list(DAYS)), problems)
    opens, closes = (_minutes(given.get(name), name, problems) for name in ("from", "to"))
    if opens is not None and closes is not None and opens % _MINUTES_OF_A_DAY == closes % _MINUTES_OF_A_DAY:
        if (opens, closes) != (0, _MINUTES_OF_A_DAY):
            problems.append(f"from and to are both {_clock(opens)}; the whole day is from 00:00 to 24:00")
    if opens == _MINUTES_OF_A_DAY:
        problems.append("from cannot be 24:00; midnight is 00:00")
    zone = _zone(given.get("time_zone"), problems)
    not_on = _dates(given.get("not_on", []), problems)
    if problems or opens is None or closes is None or zone is None:
        raise InputError(
            f"The window cannot be: {'; '.join(problems)}",
            where="project_window",
            next_step="Correct it in the inventory, such as project_window: {days: [mon, tue], from: '22:00', to: '05:00', "
            "time_zone: Europe/Berlin, not_on: ['2026-12-24']}.",
        )
    return Window(days, opens, closes, zone, not_on)


def judge_window(window: Window, now: datetime, estimate_seconds: float | None) -> Judgement:
    """Whether it is open now, and stays so for as long as the run will take.

    :param now: any time with its zone.
    :param estimate_seconds: of the rehearsal of exactly the pending files; None where there is none.
    """
    now = now.astimezone(timezone.utc)
    local = now.astimezone(window.zone)
    here = f"it is {DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M} there"
    for day in (local.date() - timedelta(days=1), local.date()):
        period = window.on(day)
        if period is not None and period[0] <= now < period[1]:
            return _open_until(window, period[1], now, f"{window.words()}; {here}", estimate_seconds)
    opens = _next_opening(window, now)
    if opens is None:
        return Judgement(
            "FAIL", f"{window.words()}; {here}, and it opens on no day in the next {_SEARCHED_DAYS}", _NEXT
        )
    return Judgement("FAIL", f"shut: {window.words()}; {here}, and it opens {_shown(opens, window.zone)}", _NEXT)


def _open_until(
    window: Window, closes: datetime, now: datetime, evidence: str, estimate_seconds: float | None
) -> Judgement:
    left = (closes - now).total_seconds()
    evidence = f"open until {_shown(closes, window.zone)}, {number(round(left / 60), 'minute')}: {evidence}"
    if estimate_seconds is None:
        return Judgement("PASS", f"{evidence}; how long the run takes no rehearsal says")
    told = f"the rehearsal's estimate of the statements is {estimate_seconds:.0f} s"
    if estimate_seconds > left:
        return Judgement("FAIL", f"the run would not end in it: {told}; {evidence}", _NEXT)
    if estimate_seconds * _WARNING_FACTOR > left:
        return Judgement(
            "WARNING", f"the run may not end in it: {told}, and counts and checks come on top; {evidence}", _NEXT
        )
    return Judgement("PASS", f"{evidence}; {told}")


def _next_opening(window: Window, now: datetime) -> datetime | None:
    today = now.astimezone(window.zone).date()
    periods = (window.on(today + timedelta(days=number)) for number in range(_SEARCHED_DAYS))
    return next((period[0] for period in periods if period and period[0] > now and period[0] < period[1]), None)


def _days(given: Any, problems: list[str]) -> frozenset[int]:
    names = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    found = set()
    for name in names:
        short = str(name).strip().lower()[:3]
        if short in DAYS and len(str(name).strip()) >= 3:
            found.add(DAYS.index(short))
        else:
            problems.append(f"days: {name} is no day; it takes {', '.join(DAYS)}")
    if not names:
        problems.append("days is empty, so it never opens")
    return frozenset(found)


def _minutes(given: Any, name: str, problems: list[str]) -> int | None:
    """A time of day. YAML 1.1 reads 22:30 without quotes as a number to the base of sixty: the minutes."""
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= _MINUTES_OF_A_DAY:
        return given
    hours, colon, minutes = str(given).strip().partition(":")
    if colon and hours.isdecimal() and minutes.isdecimal() and len(minutes) == 2 and int(minutes) < 60:
        total = int(hours) * 60 + int(minutes)
        if total <= _MINUTES_OF_A_DAY:
            return total
    problems.append(f"{name} is missing" if given is None else f"{name}: {given} is no time of day, such as '22:00'")
    return None


def _zone(given: Any, problems: list[str]) -> ZoneInfo | None:
    if not given:
        problems.append("time_zone is missing, such as Europe/Berlin or UTC")
        return None
    try:
        return ZoneInfo(str(given))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problems.append(f"time_zone: {given} is not known to this machine (package tzdata)")
        return None


def _dates(given: Any, problems: list[str]) -> frozenset[date]:
    found = set()
    for text in given if isinstance(given, Sequence) and not isinstance(given, str) else [given]:
        try:
            found.add(date.fromisoformat(str(text)))
        except ValueError:
            problems.append(f"not_on: {text} is no date, such as 2026-12-24")
    return frozenset(found)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _shown(moment: datetime, zone: ZoneInfo) -> str:
    local = moment.astimezone(zone)
    return f"{DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M}"
