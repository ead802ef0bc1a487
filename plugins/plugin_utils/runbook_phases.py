# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbered phases of a play for one host: those that this run has, counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible.template import Templar
from jinja2 import Environment, TemplateError, meta

from ansible_collections.pgops.supabase.plugins.plugin_utils.runbook_text import Heading, heading_of

# What is known of a run before it begins: the inventory's variables that all phases share, and how it was called.
_KNOWN_BEFORE = "project_"
_HOW_IT_WAS_CALLED = ("ansible_run_tags", "ansible_skip_tags", "ansible_check_mode")


def has_phases(play: Any) -> bool:
    """Whether a play has tasks that are numbered phases."""
    return any(True for _phase in _numbered(play))


def headings_of(play: Any, host: Any) -> dict[str, Heading]:
    """The heading of each phase by the identity of its task, numbered without those that tags or the inventory leave out.

    What is left out for a reason that shows only on the way, as a failure, keeps its number.
    """
    numbered = list(_numbered(play))
    counted = [uuid for uuid, _heading, item in numbered if _is_in_this_run(play, host, item)]
    told = {uuid: Heading(None, None, heading.title) for uuid, heading, _item in numbered}
    return {
        **told,
        **{uuid: Heading(number, len(counted), told[uuid].title) for number, uuid in enumerate(counted, 1)},
    }


def _numbered(play: Any) -> Iterator[tuple[str, Heading, Any]]:
    """The numbered phases of a play, in their order."""

    def within(items: Any) -> Iterator[tuple[str, Heading, Any]]:
        for item in items or ():
            heading = heading_of(getattr(item, "name", None) or "")
            if heading is not None:
                yield item._uuid, heading, item
            else:
                for part in ("block", "rescue", "always"):
                    yield from within(getattr(item, part, None))

    for tasks in (play.pre_tasks, play.tasks, play.post_tasks):
        yield from within(tasks)


def _is_in_this_run(play: Any, host: Any, item: Any) -> bool:
    try:
        variables = play.get_variable_manager().get_vars(play=play, host=host, task=item, include_hostvars=False)
        if not item.evaluate_tags(play.only_tags, play.skip_tags, variables):
            return False
        templar = Templar(loader=play.get_loader(), variables=variables)
        return all(templar.evaluate_conditional(asked) for asked in item.when if _can_be_told(asked))
    except Exception:  # pylint: disable=broad-except
        # Whatever is wrong with a condition or a variable is said where the task runs; until then the phase counts.
        return True


def _can_be_told(condition: Any) -> bool:
    """Whether a condition asks only for what is known before the run."""
    if not isinstance(condition, str):
        return True
    try:
        asked = meta.find_undeclared_variables(Environment().parse(f"{{{{ {condition} }}}}"))  # noqa: S701
    except TemplateError:
        return False
    return all(name.startswith(_KNOWN_BEFORE) or name in _HOW_IT_WAS_CALLED for name in asked)
