# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three timelines as one SVG: a lane each for the source, git and the target, a row for each migration. Pure.

Its colours are the page's, so that it follows light, dark and print.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.documents import Reconciliation, TimelineEntry

_SVG = "http://www.w3.org/2000/svg"
# Units of the drawing: as wide as a phone, so that its letters stay legible there.
_WIDTH, _TOP, _ROW = 380, 48, 34
_LANES = (("on_source", 204, "--before"), ("in_git", 254, "--keep"), ("on_target", 304, "--after"))
_LETTERS = 30
# Of a longer row of migrations that are everywhere only the number is of interest.
_MOST_ALIKE = 3


@dataclass(frozen=True)
class Row:
    """One line of the picture: a migration, or a number of them that are everywhere."""

    entry: TimelineEntry | None
    alike: int = 0


def picture(found: Reconciliation) -> str:
    """The timelines as one SVG element; empty where there is no migration anywhere."""
    rows = list(rows_of(found.timeline))
    if not rows:
        return ""
    height = _TOP + _ROW * len(rows) + 8
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": _SVG,
            "viewBox": f"0 0 {_WIDTH} {height}",
            "role": "img",
            "aria-labelledby": "timelines-title timelines-desc",
            "font-family": "system-ui, sans-serif",
            "font-size": "11",
        },
    )
    _add(root, "title", "The migrations of git and of the two projects, side by side", id="timelines-title")
    _add(root, "desc", _described(found), id="timelines-desc")
    for (name, x, colour), head in zip(_LANES, (found.source.name, "git", found.target.name)):
        _add(
            root,
            "line",
            x1=x,
            x2=x,
            y1=_TOP - 6,
            y2=height - 8,
            stroke=f"var({colour})",
            **{"stroke-width": "2", "opacity": ".45"},
        )
        turned = f"rotate(-22 {x} {_TOP - 14})"
        _add(root, "text", _short(head, 14), x=x - 18, y=_TOP - 12, fill="var(--muted)", transform=turned)
    places = {row.entry.version: place for place, row in enumerate(rows) if row.entry}
    for place, row in enumerate(rows):
        _draw(root, row, _TOP + _ROW * place + 10, places)
    return ElementTree.tostring(root, encoding="unicode")


def rows_of(timeline: Sequence[TimelineEntry]) -> Iterator[Row]:
    """The rows to draw: longer stretches of what is everywhere are one."""
    stretch: list[TimelineEntry] = []
    for entry in [*timeline, None]:
        if entry is not None and entry.in_git and entry.on_source and entry.on_target and not entry.findings:
            stretch.append(entry)
            continue
        if len(stretch) > _MOST_ALIKE:
            yield Row(None, len(stretch))
        else:
            yield from (Row(one) for one in stretch)
        stretch = []
        if entry is not None:
            yield Row(entry)


def _draw(root: ElementTree.Element, row: Row, y: int, places: dict[str, int]) -> None:
    if row.entry is None:
        _add(root, "text", f"{row.alike} migrations, everywhere", x=4, y=y + 4, fill="var(--muted)")
        for _name, x, colour in _LANES:
            _add(root, "rect", x=x - 5, y=y - 7, width=10, height=14, rx=3, fill=f"var({colour})")
        return
    entry = row.entry
    there = [x for name, x, _colour in _LANES if getattr(entry, name)]
    colour_of_text = "var(--bad)" if entry.findings else "var(--text)"
    _add(root, "text", entry.version, x=4, y=y, fill=colour_of_text, **{"font-weight": "600"})
    says = " ".join(word.replace("_", " ") for word in entry.findings)
    _add(
        root, "text", _short(f"{entry.name}{': ' + says if says else ''}", _LETTERS), x=4, y=y + 13, fill="var(--muted)"
    )
    if len(there) > 1:
        _add(root, "line", x1=there[0], x2=there[-1], y1=y, y2=y, stroke="var(--line)", **{"stroke-width": "2"})
    if entry.same_as in places:
        to = _TOP + _ROW * places[str(entry.same_as)] + 10
        x = there[-1] if there else _LANES[0][1]
        ends = {"x1": x, "y1": y, "x2": _LANES[1][1], "y2": to}
        _add(root, "line", **ends, stroke="var(--bad)", **{"stroke-width": "1.5", "stroke-dasharray": "4 3"})
    for name, x, colour in _LANES:
        if getattr(entry, name):
            _add(root, "circle", cx=x, cy=y, r=6, fill=f"var({colour})")
        else:
            _add(
                root,
                "circle",
                cx=x,
                cy=y,
                r=5,
                fill="var(--card)",
                stroke="var(--muted)",
                **{"stroke-dasharray": "2 2"},
            )


def _described(found: Reconciliation) -> str:
    everywhere = sum(e.in_git and e.on_source and e.on_target for e in found.timeline)
    return (
        f"{number(len(found.timeline), 'migration')}: {everywhere} are in git and on both projects, "
        f"{sum(bool(e.findings) for e in found.timeline)} have a finding. The table below has the same."
    )


def _add(parent: ElementTree.Element, tag: str, text: str = "", /, **attributes: object) -> None:
    ElementTree.SubElement(parent, tag, {name: str(value) for name, value in attributes.items()}).text = text or None


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "\u2026"
