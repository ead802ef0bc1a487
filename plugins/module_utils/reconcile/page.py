# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""reconcile.html: one file that loads nothing, in the style of report.html, from the same sections as reconcile.md."""

from __future__ import annotations

from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.documents import Reconciliation
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.picture import picture
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.sections import (
    RISK_WORDS,
    TIMELINES,
    headline,
    sections,
)
from ansible_collections.pgops.supabase.plugins.module_utils.report.page import Tile, environment

_TEMPLATE = """{% extends "layout" %}
{% import "parts" as parts %}
{% block title %}{{ headline }}{% endblock %}
{% block body %}
<header>
<div class="wrap">
<p class="eyebrow">{{ found.target.name }} &middot; reconcile &middot; {{ found.reconciliation_id }}</p>
<h1><span class="verdict">{{ word }}</span></h1>
<p class="how">{{ how }}</p>
<dl class="tiles">
{% for tile in tiles %}
<div><dt>{{ tile.name }}</dt><dd>{{ tile.value }}{% if tile.more %}<small>{{ tile.more }}</small>{% endif %}</dd></div>
{% endfor %}
</dl>
<nav aria-label="Contents"><ul>
{% for section in sections %}<li><a href="#s{{ loop.index }}">{{ section.title }}</a></li>
{% endfor %}
</ul></nav>
</div>
</header>
<main id="main" class="wrap" tabindex="-1">
{% for section in sections %}
{% set inside %}{% if section.title == timelines and picture %}<figure>{{ picture }}</figure>{% endif %}{% endset %}
{{ parts.whole(section, "s" ~ loop.index, "", inside) }}
{% endfor %}
</main>
<footer class="wrap">Made by pgops.supabase. It loads nothing and runs no script. The same facts are in reconcile.md and
reconcile.json.</footer>
{% endblock %}
"""
_TONES = {"DATA LOSS": "bad", "SECURITY": "bad", "AVAILABILITY": "warn", "COSMETIC": "plain"}


def page(found: Reconciliation) -> str:
    """The report as one HTML file.

    :raises ImportError: when Jinja2 is not installed.
    """
    from markupsafe import Markup

    made = environment()
    # Of a page's words these are the ones that are set apart.
    made.tests["verdict"] = lambda text: text in _TONES
    made.filters["tone_of"] = _TONES.__getitem__
    made.tests["command"] = lambda text: text.startswith(("ansible-playbook ", "supabase ", "git "))
    text: str = made.from_string(_TEMPLATE).render(
        found=found,
        headline=headline(found),
        word="Equal" if found.equal else "Differs",
        how=headline(found).partition(": ")[2],
        tone=tone(found),
        tiles=list(_tiles(found)),
        sections=sections(found),
        timelines=TIMELINES,
        picture=Markup(picture(found)),
    )
    return text


def tone(found: Reconciliation) -> str:
    """The page's colour."""
    if found.equal:
        return "good"
    return "bad" if found.by_risk["data_loss"] or found.by_risk["security"] else "warn"


def _tiles(found: Reconciliation) -> list[Tile]:
    tiles = [
        Tile("Read", found.taken_at[11:19], f"UTC, {found.taken_at[:10]}"),
        Tile("Took", f"{found.duration_seconds:.1f} s"),
        Tile("History", number(len(found.history), "finding")),
        Tile("Schema", number(len(found.differences), "difference")),
    ]
    named = [(word.lower(), found.by_risk[risk]) for risk, word in RISK_WORDS.items()]
    return tiles + [Tile(word.capitalize(), str(count)) for word, count in named if count]
