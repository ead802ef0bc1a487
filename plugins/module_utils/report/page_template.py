# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The templates of report.html and index.html, for Jinja2 with autoescape.

They are Python so that Ansible takes them along to where the module runs: it packs a collection's Python, and no other file.
"""

LAYOUT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{% block title %}{% endblock %}</title>
<style>{{ style }}</style>
</head>
<body class="{{ tone }}">
<a class="skip" href="#main">Skip to the content</a>
{% block body %}{% endblock %}
</body>
</html>
"""

PARTS = """
{% macro cell(text) %}
{%- if text is command %}<code>{{ text }}</code>
{%- elif text is verdict %}<span class="pill {{ text | tone_of }}">{{ text }}</span>
{%- elif text == not_signed %}<span class="line">{{ text }}</span>
{%- else %}{{ text }}{% endif %}
{%- endmacro %}

{% macro kind_of(section, column) %}
{%- if column in section.numeric_columns %} class="num"{% elif column in section.short_columns %} class="short"{% endif %}
{%- endmacro %}

{% macro rows(section, some, caption) %}
{% set kind = "pairs" if section.is_list else "cards" %}
<table class="{{ kind }}" role="table">
<caption{% if not caption %} class="unseen"{% endif %}>{{ caption or section.title }}</caption>
{% if not section.is_list %}
<thead role="rowgroup"><tr role="row">{% for head in section.header %}<th scope="col" role="columnheader"
{%- if loop.index0 in section.numeric_columns %} class="num"{% endif %}>{{ head }}</th>{% endfor %}</tr></thead>
{% endif %}
<tbody role="rowgroup">
{% for row in some %}
<tr role="row">
{%- for text in row %}
{%- if loop.first and section.is_list %}<th scope="row" role="rowheader">{{ text }}</th>
{%- else %}<td role="cell"{% if section.header[loop.index0] %} data-head="{{ section.header[loop.index0] }}"{% endif %}
{{- kind_of(section, loop.index0) }}>{{ cell(text) }}</td>{% endif %}
{%- endfor -%}
</tr>
{% endfor %}
</tbody>
</table>
{% endmacro %}

{% macro whole(section, name, classes="", inside="") %}
<section aria-labelledby="{{ name }}"{% if classes %} class="{{ classes }}"{% endif %}>
<h2 id="{{ name }}">{{ section.title }}</h2>
{{ inside }}
{% if section.shown %}{{ rows(section, section.shown, "") }}{% endif %}
{% if section.folded %}
{% if not section.shown %}<p class="fine">Nothing here needs a look.</p>{% endif %}
<details>
<summary>{{ section.folded | length }} {{ "more, " if section.shown else "" }}in order</summary>
{{ rows(section, section.folded, section.title ~ ", in order") }}
</details>
{% endif %}
</section>
{% endmacro %}
"""

REPORT = """{% extends "layout" %}
{% import "parts" as parts %}
{% block title %}{{ headline }}{% endblock %}
{% block body %}
<header>
<div class="wrap">
<p class="eyebrow">{{ run.project }} &middot; {{ run.operation }} &middot; run {{ run.run_id }}</p>
<h1><span class="verdict">{{ word }}</span></h1>
<p class="how">{{ how }}</p>
<dl class="tiles">
{% for tile in tiles %}
<div><dt>{{ tile.name }}</dt><dd>{{ tile.value }}{% if tile.more %}<small>{{ tile.more }}</small>{% endif %}</dd></div>
{% endfor %}
</dl>
<nav aria-label="Contents"><ul>
{% for name, section in named %}<li><a href="#{{ name }}">{{ section.title }}</a></li>
{% if loop.first and timeline %}<li><a href="#timeline">Timeline</a></li>
{% endif %}{% endfor %}
</ul></nav>
</div>
</header>
<main id="main" class="wrap" tabindex="-1">
{% for name, section in named %}
{% if section.title == "Failure" %}{{ parts.whole(section, name, "alert") }}
{% elif section.title == "Probes" %}
{% set inside %}{% include "plot" %}{% endset %}
{{ parts.whole(section, name, "", inside) }}
{% else %}{{ parts.whole(section, name, "signs" if section.title == "Sign-off" else "") }}{% endif %}
{% if loop.first and timeline %}{% include "timeline" %}{% endif %}
{% endfor %}
</main>
<footer class="wrap">Made by pgops.supabase from the documents of run {{ run.run_id }}{% if directory %} in {{ directory }}{% endif %}.
It loads nothing and runs no script. The same facts are in report.md.</footer>
{% endblock %}
"""

SECTIONS = """{% extends "layout" %}
{% import "parts" as parts %}
{% block title %}{{ title }}{% endblock %}
{% block body %}
<header>
<div class="wrap">
<p class="eyebrow">{{ eyebrow }}</p>
<h1>{{ title }}</h1>
<p class="how">{{ how }}</p>
<nav aria-label="Contents"><ul>
{% for name, section in named %}<li><a href="#{{ name }}">{{ section.title }}</a></li>
{% endfor %}
</ul></nav>
</div>
</header>
<main id="main" class="wrap" tabindex="-1">
{% for name, section in named %}
{{ parts.whole(section, name) }}
{% endfor %}
</main>
<footer class="wrap">{{ foot }} It loads nothing and runs no script.</footer>
{% endblock %}
"""

TIMELINE = """
<section aria-labelledby="timeline">
<h2 id="timeline">Timeline</h2>
<figure aria-labelledby="timeline">
<ol class="phases">
{% for bar in timeline.bars %}
<li><span>{{ bar.label }}</span>
<span class="track" aria-hidden="true"><span class="bar {{ bar.kind }}" style="left:{{ bar.left }}%;width:{{ bar.width }}%"></span></span>
<span class="num">{{ "%.2f" | format(bar.seconds) }} s<span class="unseen">, begun {{ "%.1f" | format(bar.begin) }} s after the start</span></span></li>
{% endfor %}
</ol>
<figcaption class="axis"><span>{{ timeline.began.strftime("%H:%M:%S %Z") }}</span>
<span>+{{ "%.1f" | format(timeline.seconds) }} s</span></figcaption>
</figure>
</section>
"""

PLOT = """
{% if plot %}<figure>{{ plot }}</figure>
{% elif plot_missing %}<p class="fine">{{ plot_missing }}</p>{% endif %}
"""

RUNS = """{% extends "layout" %}
{% block title %}Runs of {{ project }}{% endblock %}
{% block body %}
<header>
<div class="wrap">
<p class="eyebrow"><a href="../index.html">All projects</a></p>
<h1>Runs of {{ project }}</h1>
<p class="how">{{ entries | length }} {{ "run" if entries | length == 1 else "runs" }}, newest first</p>
</div>
</header>
<main id="main" class="wrap" tabindex="-1">
<section aria-labelledby="runs">
<h2 id="runs">Runs</h2>
{% if entries %}
<table class="cards" role="table">
<caption>What was done to {{ project }}</caption>
<thead role="rowgroup"><tr role="row">
{% for head in ("run", "verdict", "what", "began", "took", "by", "migrations") %}
<th scope="col" role="columnheader">{{ head }}</th>
{% endfor %}
</tr></thead>
<tbody role="rowgroup">
{% for entry in entries %}
<tr role="row">
<th scope="row" role="rowheader" class="short">{% if entry.link %}<a href="{{ entry.link }}">{{ entry.run.run_id }}</a>
{%- else %}{{ entry.run.run_id }}{% endif %}</th>
<td role="cell"><span class="pill {{ entry.tone }}">{{ entry.run.verdict | replace("_", " ") }}</span></td>
<td role="cell" data-head="what" class="short">{{ entry.run.operation }}</td>
<td role="cell" data-head="began" class="short">{{ entry.began }}</td>
<td role="cell" data-head="took" class="num">{{ entry.took }}</td>
<td role="cell" data-head="by" class="short">{{ entry.run.operator }}</td>
<td role="cell" data-head="migrations">{{ entry.migrations | join(", ") }}</td>
</tr>
{% endfor %}
</tbody>
</table>
{% else %}<p class="fine">No run yet.</p>{% endif %}
</section>
{% if unreadable %}
<section aria-labelledby="unreadable" class="alert warn">
<h2 id="unreadable">Not readable</h2>
<ul>{% for problem in unreadable %}<li>{{ problem }}</li>{% endfor %}</ul>
</section>
{% endif %}
</main>
{% endblock %}
"""

PROJECTS = """{% extends "layout" %}
{% block title %}Projects{% endblock %}
{% block body %}
<header>
<div class="wrap">
<h1>Projects</h1>
<p class="how">The last run of each</p>
</div>
</header>
<main id="main" class="wrap" tabindex="-1">
<section aria-labelledby="projects">
<h2 id="projects">Projects</h2>
<table class="cards" role="table">
<caption>How the last run of each project ended</caption>
<thead role="rowgroup"><tr role="row">
{% for head in ("project", "verdict", "how it ended", "began", "runs") %}
<th scope="col" role="columnheader">{{ head }}</th>
{% endfor %}
</tr></thead>
<tbody role="rowgroup">
{% for entry in entries %}
<tr role="row">
<th scope="row" role="rowheader"><a href="{{ entry.link }}">{{ entry.project }}</a></th>
<td role="cell"><span class="pill {{ entry.last.tone }}">{{ entry.last.run.verdict | replace("_", " ") }}</span></td>
<td role="cell" data-head="how it ended">{{ entry.last.run.headline or "" }}</td>
<td role="cell" data-head="began" class="short">{{ entry.last.began }}</td>
<td role="cell" data-head="runs" class="num">{{ entry.runs }}</td>
</tr>
{% endfor %}
</tbody>
</table>
</section>
</main>
{% endblock %}
"""
