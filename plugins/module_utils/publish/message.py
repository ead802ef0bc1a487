# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The message of a run's commit: a template, the team's own where it has one, and the trailer by which our commits are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError

if TYPE_CHECKING:
    from jinja2 import Template

Documents = Mapping[str, Mapping[str, Any]]

TRAILER = "Pgops-Run"
DEFAULT_TEMPLATE = """\
chore(db): {{ action }} {{ run.project }}{{ ' to ' ~ versions[-1] if versions and run.verdict == 'migrated' else '' }}

{{ run.headline }}

{% for name in migrations %}
- {{ name }}
{% endfor %}

Operator: {{ run.operator }}
Started: {{ run.started_at }}
{% if rows_before is not none and rows_after is not none %}
Rows: {{ rows_before }} before, {{ rows_after }} after
{% endif %}
{% if checks %}
Checks: {{ checks.passed }} passed, {{ checks.failed }} failed, {{ checks.warnings }} warnings
{% endif %}
"""
_ACTIONS = {
    "migrated": "migrate",
    "rolled_back": "roll back",
    "adopted": "adopt what was applied to",
    "restored": "restore",
    "backed_up": "back up",
    "needs_attention": "leave for attention",
}


def compiled(template: str) -> Template:
    """A template of a message.

    :raises InputError: when it is none.
    """
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, autoescape=False
    )
    try:
        return environment.from_string(template)
    except TemplateError as error:
        raise _no_template(error) from error


def message_of(template: str, run: Mapping[str, Any], documents: Documents) -> str:
    """The message of a run's commit. Of a failure it has the headline and nothing else, because the rest may quote rows.

    :param run: run.json.
    :raises InputError: when the template is none, or makes no subject.
    """
    from jinja2 import TemplateError

    taken_back = documents.get("rollback", {}).get("migrations", [])
    applied = documents.get("migration", {}).get("migrations", [])
    listed = taken_back if run["verdict"] == "rolled_back" else applied
    deciding = documents.get("validation_after") or documents.get("migration", {}).get("validation")
    try:
        text = compiled(template).render(
            action=_ACTIONS.get(run["verdict"], "record"),
            run={
                name: run.get(name)
                for name in ("run_id", "project", "operation", "verdict", "headline", "operator", "started_at")
            }
            | {"reason": run.get("reason")},
            migrations=[f"{m['version']}_{m['name']}" for m in listed],
            versions=[m["version"] for m in listed],
            rows_before=documents.get("counts_before", {}).get("total"),
            rows_after=documents.get("counts_after", {}).get("total"),
            checks=deciding,
        )
    except TemplateError as error:
        raise _no_template(error) from error
    subject, _newline, body = text.strip().partition("\n")
    if not subject:
        raise InputError(
            "The message's template makes no subject", where="message", next_step="Begin it with a line of text."
        )
    paragraphs = [subject, *(part.strip("\n") for part in body.split("\n\n") if part.strip())]
    return "\n\n".join([*paragraphs, f"{TRAILER}: {run['run_id']}"]) + "\n"


def _no_template(error: Exception) -> InputError:
    return InputError(
        f"The message's template cannot be used: {error}",
        where="message",
        next_step="Correct it (project_publish.message in the inventory); docs/publish.md names what it can use.",
    )
