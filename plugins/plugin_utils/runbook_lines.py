# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of each event, for people, with a style for each line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.pgops.supabase.plugins.plugin_utils.runbook_text import (
    Failure,
    Heading,
    bounded,
    clean,
    duration,
    fact_lines,
    failure_lines,
    fill,
    phase_lines,
    wrapped,
)

Line = tuple[str, str]
# Ansible's names of the colours, which a user may have set.
COLOURS = {
    "ok": "COLOR_OK",
    "FAILED": "COLOR_ERROR",
    "skipped": "COLOR_SKIP",
    "heading": "COLOR_HIGHLIGHT",
    "note": "COLOR_WARN",
    "changed": "COLOR_CHANGED",
    "detail": "COLOR_VERBOSE",
}
_NAME, _VERDICT, _SECONDS = 24, 7, 12


class Lines:
    """Makes lines of events. It knows only whether the last one was of the same kind, for the blank line between."""

    def __init__(self) -> None:
        self._last = ""

    def of(self, event: dict[str, Any], width: int | None, *, fleet: bool, verbose: bool) -> Iterator[Line]:
        """The lines of an event and the style of each, the empty style for none.

        :param width: of the terminal in columns, None where there is none.
        :param fleet: whether there are several projects: then a line says of which it is.
        :param verbose: whether details are asked for.
        """
        make: Callable[..., Iterator[Line]] | None = getattr(self, f"_{event['event']}", None)
        if make is None:
            return
        if fleet and event["event"] == "phase" and not verbose:
            return
        if fleet and event["event"] == "failure":
            self._last = self._last or "project"
        lines = list(make(event, width, fleet=fleet, verbose=verbose))
        apart = event["event"] in ("play", "failure", "summary", "interrupted") or event["event"] != self._last
        quiet = event["event"] in ("phase", "task", "changed", "again", "ignored", "rescued", "project", "end")
        if lines and apart and self._last and not (quiet and self._last != "summary" and self._last != "failure"):
            yield "", ""
        if lines:
            self._last = event["event"]
        yield from lines

    def _play(self, event: dict[str, Any], width: int | None, **_: Any) -> Iterator[Line]:
        hosts = event["hosts"]
        whom = hosts[0] if len(hosts) == 1 else f"{len(hosts)} projects"
        check = "  (check mode: nothing stays)" if event["check"] else ""
        yield clean(f"{event['play']}: {whom}{check}" if event["play"] not in hosts else f"{whom}{check}"), "heading"

    def _phase(self, event: dict[str, Any], width: int | None, *, fleet: bool, verbose: bool) -> Iterator[Line]:
        if event["verdict"] == "skipped" and not verbose:
            return
        title = f"{event['host']}: {event['phase']}" if fleet else event["phase"]
        heading = Heading(event["number"], event["of"], clean(title))
        for line in phase_lines(heading, event["verdict"], event["seconds"], event["said"], width):
            yield line, event["verdict"]

    def _project(self, event: dict[str, Any], width: int | None, **_: Any) -> Iterator[Line]:
        took = f"{duration(event['seconds']):>{_SECONDS}}"
        line = f"  {fill(event['host'], _NAME)} {fill(event['verdict'], _VERDICT)} {took}"
        said = [*bounded(event["said"]), *(["; ".join(event["notes"])] if event["notes"] else [])]
        if width is not None and said and len(line) + 2 + len(said[0]) > width:
            yield line, event["verdict"]
        else:
            yield f"{line}  {said.pop(0) if said else ''}".rstrip(), event["verdict"]
        for text in said:
            for part in wrapped(text, width, "      "):
                yield part, event["verdict"]

    def _said(self, event: dict[str, Any], width: int | None, *, fleet: bool, verbose: bool) -> Iterator[Line]:
        lines = event["lines"]
        if event.get("folded") and not verbose:
            return
        if event["ours"]:
            yield from ((line, "") for line in lines)
            return
        of = f"{event['host']}: " if fleet else ""
        if len(lines) == 1:
            yield f"  {of}{lines[0]}", ""
            return
        yield f"  {of}{clean(event['task'])}", ""
        yield from ((f"    {line}", "") for line in lines)

    def _summary(self, event: dict[str, Any], width: int | None, **_: Any) -> Iterator[Line]:
        first, *rest = event["lines"] or [""]
        yield from ((line, "heading") for line in wrapped(first, width, "  ", ""))
        # What comes below a blank line is a table.
        facts = rest.index("") if "" in rest else len(rest)
        yield from ((part, "") for line in rest[:facts] for part in fact_lines(line, width))
        yield from ((line, "") for line in rest[facts:])

    def _changed(self, event: dict[str, Any], width: int | None, *, fleet: bool, verbose: bool) -> Iterator[Line]:
        if not verbose:
            yield self._one("changed", event, fleet=fleet), "changed"

    def _task(self, event: dict[str, Any], width: int | None, *, fleet: bool, verbose: bool) -> Iterator[Line]:
        if verbose:
            result = "changed" if event["result"] == "ok" and event["changed"] else event["result"]
            yield f"{self._one(result, event, fleet=fleet)}, {duration(event['seconds'])}", "detail"

    def _again(self, event: dict[str, Any], width: int | None, *, fleet: bool, **_: Any) -> Iterator[Line]:
        yield f"{self._one('again', event, fleet=fleet)}: {event['what']} ({event['left']} more times)", "note"

    def _ignored(self, event: dict[str, Any], width: int | None, *, fleet: bool, **_: Any) -> Iterator[Line]:
        first = (event["what"].splitlines() or [""])[0]
        yield f"{self._one('ignored', event, fleet=fleet)}: {first}", "note"

    def _rescued(self, event: dict[str, Any], width: int | None, *, fleet: bool, **_: Any) -> Iterator[Line]:
        first = (event["what"].splitlines() or [""])[0]
        yield f"{self._one('rescued', {**event, 'task': event['phase']}, fleet=fleet)}: {first}", "note"

    def _failure(self, event: dict[str, Any], width: int | None, **_: Any) -> Iterator[Line]:
        known = {name: value for name, value in event.items() if name not in ("event", "host")}
        yield from ((line, "FAILED") for line in failure_lines(event["host"], Failure(**known), width))

    def _interrupted(self, event: dict[str, Any], width: int | None, **_: Any) -> Iterator[Line]:
        known = {name: value for name, value in event.items() if name not in ("event", "host")}
        stopped = Failure("", **known)
        yield from ((line, "FAILED") for line in failure_lines(event["host"], stopped, width, "INTERRUPTED"))

    def _no_hosts(self, event: dict[str, Any], width: int | None, **_: Any) -> Iterator[Line]:
        yield "No project matches: nothing was done.", "note"

    def _end(self, event: dict[str, Any], width: int | None, *, fleet: bool, **_: Any) -> Iterator[Line]:
        if fleet and (event["failed"] or event["not_begun"]):
            rest = (
                f", {len(event['not_begun'])} not begun: {', '.join(event['not_begun'])}" if event["not_begun"] else ""
            )
            yield f"{len(event['ok'])} ok, {len(event['failed'])} FAILED{rest}", "heading"

    @staticmethod
    def _one(label: str, event: dict[str, Any], *, fleet: bool) -> str:
        return f"  {label:<8} {event['host'] + ': ' if fleet else ''}{clean(event['task'])}"
