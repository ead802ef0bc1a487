# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The template of monitor.html, for Jinja2 with autoescape; Python, so that Ansible takes it along to where the module runs."""

WATCH = """{% extends "layout" %}
{% import "parts" as parts %}
{% block title %}{{ record.project }}: {{ word }}{% endblock %}
{% block body %}
<header>
<div class="wrap">
<p class="eyebrow">{{ record.project }} &middot; monitor</p>
<h1><span class="verdict">{{ word }}</span></h1>
<p class="how">{{ how }}</p>
<dl class="tiles">
{% for tile in tiles %}
<div><dt>{{ tile.name }}</dt><dd>{{ tile.value }}{% if tile.more %}<small>{{ tile.more }}</small>{% endif %}</dd></div>
{% endfor %}
</dl>
</div>
</header>
<main id="main" class="wrap" tabindex="-1">
{% for number, section in sections %}
{{ parts.whole(section, "s" ~ number, "") }}
{% if loop.first %}
{% if plots_missing %}<p class="fine">{{ plots_missing }}</p>{% endif %}
{% for plot in plots %}
<section aria-labelledby="p{{ loop.index }}">
<h2 id="p{{ loop.index }}">{{ plot.title }}</h2>
<figure>{{ plot.svg }}</figure>
</section>
{% endfor %}
{% endif %}
{% endfor %}
</main>
<footer class="wrap">Made by pgops.supabase from monitor.json and monitor.jsonl beside it. Times are UTC.
It loads nothing and runs no script.</footer>
{% endblock %}
"""
