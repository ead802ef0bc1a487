# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A message as text, by a Jinja2 template: the one here, or the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.notify.documents import Event, Message

if TYPE_CHECKING:
    from jinja2 import Environment

_SUFFIX = ".j2"
# Of every event that has no template of its own.
_ANY_EVENT = "message"
_NEXT = "Correct the template, or move it away and the text is ours."

# A mark that shows from afar whether all is well.
_MARKS: Mapping[Event, str] = {
    "announced": "\U0001f4c5",
    "started": "\U0001f6a7",
    "maintenance_on": "\U0001f6a7",
    "maintenance_off": "\u2705",
    "alert": "\U0001f6a8",
    "recovered": "\u2705",
    "migrated": "\u2705",
    "adopted": "\u2705",
    "restored": "\u2705",
    "backed_up": "\u2705",
    "rolled_back": "\u26a0\ufe0f",
    "not_applied": "\u26a0\ufe0f",
    "needs_attention": "\U0001f6a8",
}
_OURS = """\
{{ mark }} {{ title }}
{% set width = ([0] + facts | map('length') | list) | max + 1 %}
{% for label, value in facts.items() %}
{{ (label ~ ':').ljust(width) }} {{ value }}
{% endfor %}
{% if next_steps %}

Next:
{% for step in next_steps %}
{{ loop.index }}. {{ step }}
{% endfor %}
{% endif %}
{% if contacts %}

Contact: {{ contacts | join(', ') }}
{% endif %}
"""


def check_templates(directory: Path, events: frozenset[str]) -> None:
    """See, before anything is done, that every template in a directory is one and has an event's name.

    :raises InputError: when the directory is not there, a template does not parse, or its name is no event's.
    """
    if not directory.is_dir():
        raise InputError(
            "There is no directory of templates", where=str(directory), next_step="Correct templates, or leave it out."
        )
    for file in sorted(directory.glob(f"*{_SUFFIX}")):
        if file.stem not in {*events, _ANY_EVENT}:
            raise InputError(
                f"No event is called {file.stem}",
                where=str(file),
                next_step=f"Rename the template: {_ANY_EVENT} (for all), or one of {', '.join(sorted(events))}.",
            )
        _parsed(file)


def written(message: Message, directory: Path | None) -> str:
    """The message as text; its first line is the subject.

    :param directory: the user's templates, C(<event>.j2) or C(message.j2); None for ours.
    :raises InputError: when the user's template cannot be read or filled in.
    """
    file = _template(message.event, directory)
    template = _OURS if file is None else _parsed(file)
    environment = _environment()
    from jinja2 import TemplateError

    parts = {**message.as_dict(), "mark": _MARKS.get(message.event, "")}
    # A title is one line, whatever a name in it holds: a line break would begin the headers of a mail anew.
    parts["title"] = " ".join(message.title.split())
    try:
        text = environment.from_string(template).render(parts)
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise InputError(
            f"The template cannot be filled in: {error}", where=str(file or "templates"), next_step=_NEXT
        ) from error
    return text.strip() + "\n"


def _template(event: Event, directory: Path | None) -> Path | None:
    candidates = [] if directory is None else [directory / f"{name}{_SUFFIX}" for name in (event, _ANY_EVENT)]
    return next((file for file in candidates if file.is_file()), None)


def _parsed(file: Path) -> str:
    """The template's text.

    :raises InputError: when it cannot be read, or is no template of Jinja2.
    """
    from jinja2 import TemplateSyntaxError

    try:
        text = file.read_text(encoding="utf-8")
        _environment().parse(text)
    except (OSError, UnicodeError) as error:
        raise InputError(f"The template cannot be read: {error}", where=str(file), next_step=_NEXT) from error
    except TemplateSyntaxError as error:
        raise InputError(
            f"The template does not parse: {error.message}", where=f"{file}:{error.lineno}", next_step=_NEXT
        ) from error
    return text


def _environment() -> Environment:
    # Here, because whoever uses the room for its shapes alone does without Jinja2.
    from jinja2 import Environment, StrictUndefined

    return Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
