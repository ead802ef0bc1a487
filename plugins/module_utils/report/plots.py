# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plots as SVG, drawn by pygal: the probes' latency, and figures over time. Its colours are the page's, so that it follows light and dark."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.report.section import Documents

_SVG = "http://www.w3.org/2000/svg"
# Units of the drawing: as wide as a phone, so that its letters stay legible there.
_WIDTH, _EDGES, _PER_PROBE = 360, 90, 64
_NAME_LETTERS = 18
_BAR_COLOURS = ("var(--before-soft)", "var(--before)", "var(--after-soft)", "var(--after)")
_TIME_WIDTH, _TIME_HEIGHT, _FEW, _MOMENTS = 540, 280, 40, 6
_LINE_COLOURS = ("var(--after)", "var(--back)", "var(--check)", "var(--keep)", "var(--before)", "var(--off)")
_LINES = (("p50", "before"), ("p95", "before"), ("p50", "after"), ("p95", "after"))


def latency_plot(documents: Documents) -> str:
    """Medians and 95th percentiles of each probe before and after, as one SVG element; empty where nothing was measured.

    :raises ImportError: when pygal is not installed.
    """
    measured = {
        stage: {
            probe["name"]: probe
            for probe in documents.get(f"probes_{stage}", {}).get("probes", [])
            if probe.get("p50_seconds") is not None
        }
        for stage in ("before", "after")
    }
    # pygal draws the first one lowest.
    names = list(reversed(measured["before"] | measured["after"]))
    if not names:
        return ""
    pygal = _pygal()
    chart = pygal.HorizontalBar(
        style=_style(pygal, _BAR_COLOURS),
        width=_WIDTH,
        height=_EDGES + _PER_PROBE * len(names),
        js=[],
        legend_at_bottom=True,
        legend_at_bottom_columns=2,
        legend_box_size=10,
        truncate_legend=-1,
        truncate_label=-1,
        show_y_guides=True,
        x_title="milliseconds",
        margin=8,
        spacing=6,
    )
    chart.uuid = "latency"
    # Shortened before pygal sees them: names that leave no room for the axis title have it split that title without an end.
    chart.x_labels = [name if len(name) <= _NAME_LETTERS else name[: _NAME_LETTERS - 1] + "\u2026" for name in names]
    for which, stage in _LINES:
        values = [measured[stage].get(name, {}).get(f"{which}_seconds") for name in names]
        chart.add(f"{which} {stage}", [None if value is None else round(value * 1000, 1) for value in values])
    described = (
        f"Bars for {number(len(names), 'probe')}: median and 95th percentile in milliseconds, before and after. "
        "The table has the same figures."
    )
    title = "How fast the application's endpoints answered, before and after"
    return _accessible(chart.render_tree(), "latency", title, described)


def line_plot(
    name: str, title: str, labels: Sequence[str], lines: Mapping[str, Sequence[float | None]], unit: str
) -> str:
    """Figures over time as one SVG element; a line has a gap where nothing was measured.

    :param name: tells it from the page's other drawings.
    :param labels: the moments, as they stand below.
    :raises ImportError: when pygal is not installed.
    """
    pygal = _pygal()
    chart = pygal.Line(
        style=_style(pygal, _LINE_COLOURS),
        width=_TIME_WIDTH,
        height=_TIME_HEIGHT,
        js=[],
        legend_at_bottom=True,
        legend_at_bottom_columns=2,
        legend_box_size=10,
        truncate_legend=-1,
        show_dots=len(labels) <= _FEW,
        dots_size=2,
        y_title=unit,
        truncate_label=-1,
        margin=8,
        # Of a legend's last row that is not full pygal knows nothing.
        margin_bottom=28,
        margin_right=28,
        include_x_axis=True,
    )
    chart.uuid = name
    # A few of them: pygal tells labels apart by their text, and two moments may read the same.
    every = max(1, -(-len(labels) // _MOMENTS))
    chart.x_labels = [label if place % every == 0 else "" for place, label in enumerate(labels)]
    for label, values in lines.items():
        chart.add(label if len(label) <= _NAME_LETTERS * 2 else label[: _NAME_LETTERS * 2 - 1] + "\u2026", list(values))
    described = f"Lines over {number(len(labels), 'sample')}, in {unit}: {', '.join(lines)}."
    return _accessible(chart.render_tree(), name, title, described)


def _pygal() -> Any:
    """Pygal, imported here, because no other report and no other module has to wait for it.

    It leaves a finder for its plugins among Python's, in a form that Python 3.11 warns of at each later import; there are no plugins.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)
        import pygal
        import pygal.style
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "PluginImportFixer"]
    return pygal


def _style(pygal: Any, colours: Sequence[str]) -> Any:
    return pygal.style.Style(
        background="transparent",
        plot_background="transparent",
        foreground="var(--text)",
        foreground_strong="var(--text)",
        foreground_subtle="var(--muted)",
        guide_stroke_color="var(--line)",
        major_guide_stroke_color="var(--line)",
        colors=tuple(colours),
        opacity="1",
        opacity_hover="1",
        transition="0s",
        font_family="system-ui, sans-serif",
        label_font_size=11,
        major_label_font_size=11,
        legend_font_size=11,
        title_font_size=11,
    )


def _accessible(root: ElementTree.Element, name: str, title: str, described: str) -> str:
    """The drawing as an image with a name and a description, without its maker's comments and addresses."""
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.rsplit("}", 1)[-1] in ("title", "desc", "script"):
                parent.remove(child)
    for element in root.iter():
        # Each shape would be announced, and reached by the keyboard in some browsers.
        element.attrib.pop("tabindex", None)
    for place, (kind, text) in enumerate((("title", title), ("desc", described))):
        element = ElementTree.Element(kind, {"id": f"{name}-{kind}"})
        element.text = text
        root.insert(place, element)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode")
