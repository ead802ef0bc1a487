# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the callback runbook writes: plain decisions about text, that know nothing of Ansible or of a terminal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["ok", "FAILED", "skipped"]
_NUMBERED = re.compile(r"^\((\d+)/(\d+)\)\s+(.+)$")
# Escape sequences of terminals, which no message of a server may send to ours.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_FACT = re.compile(r"^(  (?:\S+(?: \S+)*)? {2,})(\S.*)$")
_LABELS = {"Where": "where", "State": "state", "Next": "next_step"}
# Widths of the columns, and below which width of a terminal what a phase says gets a line of its own.
_TITLE, _VERDICT, _SECONDS, _NARROW = 30, 7, 8, 100
_LONGEST_MESSAGE_LINES = 60
WITHOUT_A_WORD = "It failed without a word."


@dataclass(frozen=True)
class Heading:
    """A phase as its name tells it."""

    number: int | None
    of: int | None
    title: str

    def __str__(self) -> str:
        return self.title if self.number is None else f"{self.number}/{self.of} {self.title}"


@dataclass
class Failure:
    """What a person needs of a failure. Each is said once."""

    what: str
    phase: str = ""
    where: str | None = None
    state: str | None = None
    next_step: str | None = None
    code: str | None = None
    more: list[str] = field(default_factory=list)
    documents: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The same for a program."""
        return {name: value for name, value in asdict(self).items() if value}


def heading_of(name: str) -> Heading | None:
    """The phase that a task or a play opens by its name, C((3/7) Back up); None when it opens none."""
    found = _NUMBERED.match(name.strip())
    return Heading(int(found[1]), int(found[2]), found[3].strip()) if found else None


def clean(text: object) -> str:
    """Text that moves no cursor and colours nothing: a server's message is data."""
    kept = _ESCAPES.sub("", str(text)).replace("\r\n", "\n").replace("\t", "    ")
    return "".join(sign for sign in kept if sign == "\n" or unicodedata.category(sign) not in ("Cc", "Cs"))


def bounded(text: str, lines: int = _LONGEST_MESSAGE_LINES) -> list[str]:
    """The lines of a message; of a huge one the first and the last, and how many are between."""
    every = [line if len(line) <= 2000 else f"{line[:2000]} ... ({len(line)} characters)" for line in text.splitlines()]
    if len(every) <= lines:
        return every
    head = lines * 2 // 3
    tail = lines - head
    return [*every[:head], f"... {len(every) - lines} lines more; -v shows them ...", *every[-tail:]]


def duration(seconds: float) -> str:
    """How long, as a person says it: C(0.4 s), C(2 min 05 s), C(1 h 02 min)."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(sign) in ("W", "F") for sign in text)
    return len(text) + wide - sum(bool(unicodedata.combining(sign)) for sign in text)


def fill(text: str, width: int) -> str:
    """The text and blanks up to that column."""
    return text + " " * max(width - cells(text), 0)


def phase_lines(heading: Heading, verdict: Verdict, seconds: float, said: str, width: int | None) -> list[str]:
    """A phase that has ended, in one line, or in two where the terminal is narrow.

    :param said: what its modules tell in a few words.
    :param width: of the terminal in columns; None where there is none and a line may be as long as it is.
    """
    number = "" if heading.number is None else f"{heading.number}/{heading.of}"
    took = "" if verdict == "skipped" else duration(seconds)
    line = f"  {fill(number, 6)}{fill(heading.title, _TITLE)} {fill(verdict, _VERDICT)} {took:>{_SECONDS}}"
    if width is not None and width < cells(line):
        line = f"  {fill(number, 6)}{heading.title}: {verdict}" + (f", {took}" if took else "")
    if not said:
        return [line.rstrip()]
    if width is not None and (width < _NARROW or cells(line) + 2 + cells(said) > width):
        return [line.rstrip(), *wrapped(said, width, " " * 8)]
    return [f"{line}  {said}"]


def from_here(line: str, folder: str) -> str:
    """The line with the paths below a folder as whoever is in that folder types them."""
    return re.sub(rf"(?<![^\s'\"=:(]){re.escape(folder.rstrip('/'))}/(?=[^\s/])", "", line) if len(folder) > 1 else line


def fact_lines(line: str, width: int | None) -> list[str]:
    """A line of a summary; a name and what is said of it, C(  checks  32 passed), goes on below what is said."""
    found = _FACT.match(line)
    if width is None or found is None or cells(line) <= width or cells(found[1]) > width // 2:
        return [line]
    return wrapped(found[2], width, " " * cells(found[1]), found[1])


def wrapped(text: str, width: int | None, indent: str, first: str | None = None) -> list[str]:
    """A paragraph in lines of that width, at blanks only; a word that is longer, such as a path, stays whole.

    :param first: what the first line begins with in place of C(indent).
    """
    lines: list[str] = []
    current = indent if first is None else first
    begun = False
    for word in text.split():
        if begun and width is not None and cells(current) + 1 + cells(word) > width:
            lines.append(current)
            current, begun = indent, False
        current += (" " if begun else "") + word
        begun = True
    return [*lines, current.rstrip()]


def told(message: str) -> Failure:
    """A failure from its text: lines that begin with C(Where:), C(State:), C(Next:) are what they say they are.

    Errors of the modules have these apart; the roles' own C(fail) and C(assert) have only text.
    """
    failure = Failure(what="")
    what: list[str] = []
    begun, what_ended = False, False
    for line in clean(message).splitlines():
        what_ended |= begun and not line.strip()
        begun |= bool(line.strip())
        label, _separator, rest = line.partition(": ")
        if label in _LABELS and rest and getattr(failure, _LABELS[label]) is None:
            setattr(failure, _LABELS[label], rest.strip())
        elif what_ended or any((failure.where, failure.state, failure.next_step)):
            failure.more += [line.strip()] if line.strip() else []
        elif line.strip():
            what.append(line.rstrip())
    failure.what = "\n".join(what)
    return failure


def failure_of(result: Mapping[str, Any], phase: str) -> Failure:
    """A failure from a module's result, ours or anybody's."""
    message = result.get("msg") or result.get("reason") or result.get("censored") or WITHOUT_A_WORD
    failure = told(message if isinstance(message, str) else str(message))
    failure.phase = phase
    error = result.get("error")
    if isinstance(error, Mapping) and "outcome" in error:
        failure.what = clean(error.get("what") or failure.what)
        for name in ("where", "state", "next_step", "code"):
            if error.get(name):
                setattr(failure, name, clean(error[name]))
        return failure
    items = [item for item in result.get("results") or () if isinstance(item, Mapping) and item.get("failed")]
    failure.more += [f"{clean(item.get('item', ''))}: {clean(item.get('msg', 'failed'))}" for item in items]
    # A command's own words say more than its exit code.
    for stream in ("stderr", "stdout"):
        if text := clean(result.get(stream) or "").strip():
            failure.more += text.splitlines()
            break
    return failure


def failure_lines(project: str, failure: Failure, width: int | None, ended: str = "FAILED") -> list[str]:
    """The one block of a failure: what, where, state, next.

    :param ended: how it ended, in a word.
    """
    title = f"{ended} {project}" + (f", in {failure.phase}" if failure.phase else "")
    lines = wrapped(title, width, " " * 9, "")
    for label, text in (
        ("what", failure.what or (WITHOUT_A_WORD if ended == "FAILED" else "")),
        ("where", failure.where),
        ("state", failure.state),
        ("next", failure.next_step),
        ("", "\n".join(failure.more)),
        ("run", failure.documents),
    ):
        for number, line in enumerate(bounded(text or "")):
            lines += _labelled("" if number else label, line, width)
    return lines


def _labelled(label: str, text: str, width: int | None) -> list[str]:
    # Lines that are indented are laid out already: they are not filled anew.
    if text.startswith("  "):
        return [f"  {fill(label, 6)} {text}"]
    return wrapped(text, width, " " * 9, f"  {fill(label, 6)} ")


def unsaid(text: str, said: Sequence[str]) -> list[str]:
    """The lines of a text that were not said yet."""
    before = " ".join(" ".join(said).split())
    return [line.strip() for line in clean(text).splitlines() if line.strip() and " ".join(line.split()) not in before]


def progress_line(report: Mapping[str, Any], seconds: float) -> str:
    """How far a job is, in one line: C(backup prod: dump, 3 of 8 tables, 500 of 2,000 MB, 5 s, about 15 s left)."""
    words = [str(report["phase"]).replace("_", " "), *_figures(report)]
    if seconds >= 1:
        words.append(duration(seconds))
        if (left := seconds_left(report, seconds)) is not None:
            words.append(f"about {duration(left)} left")
    return clean(f"{report['job']} {report['subject']}: {', '.join(words)}".replace(" :", ":"))


def progress_share(report: Mapping[str, Any]) -> tuple[float, float] | None:
    """How much of how much is done, by the figure that tells most of the time that it takes; None when nobody knows."""
    for unit in ("bytes", "statements", "tables"):
        total = report.get(f"{unit}_total")
        if total:
            return float(min(report.get(f"{unit}_done", 0), total)), float(total)
    return None


def seconds_left(report: Mapping[str, Any], seconds: float) -> float | None:
    """When the rest goes as fast as what is done; None before there is enough to tell by."""
    share = progress_share(report)
    if share is None or seconds < 3 or share[0] / share[1] < 0.02:
        return None
    return seconds * (share[1] - share[0]) / share[0]


def _figures(report: Mapping[str, Any]) -> Iterator[str]:
    for unit in ("tables", "statements", "samples"):
        if report.get(f"{unit}_total"):
            yield f"{report.get(f'{unit}_done', 0)} of {report[f'{unit}_total']} {unit}"
    done, total = report.get("bytes_done", 0), report.get("bytes_total")
    if total:
        yield f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
    elif done:
        yield f"{done / 1e6:,.0f} MB"
    if alerts := report.get("alerts_open"):
        yield f"{alerts} open {'alert' if alerts == 1 else 'alerts'}"
