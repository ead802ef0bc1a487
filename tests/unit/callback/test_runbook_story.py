# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of all that Ansible reports somebody is shown, and in which order."""

from __future__ import annotations

from typing import Any

from ansible_collections.pgops.supabase.plugins.plugin_utils.runbook_lines import Lines
from ansible_collections.pgops.supabase.plugins.plugin_utils.runbook_story import Event, Story, TaskFacts
from ansible_collections.pgops.supabase.plugins.plugin_utils.runbook_text import Heading

APPLY = Heading(5, 7, "Apply")
IN_APPLY = TaskFacts("Apply", "five", APPLY, ours=True, module=True)
PRINTS = TaskFacts("Report", ours=True, prints=True)
BROKEN = {
    "msg": "It broke",
    "error": {"code": "statement", "outcome": "unchanged", "where": "a.sql:1:1", "next_step": "mend"},
}


class Told:
    def __init__(self, *hosts: str) -> None:
        self.events: list[Event] = []
        self.time = 0.0
        self.story = Story(self.events.append, lambda: self.time)
        self.story.play("Migrate", hosts, numbered=True, check=False, again=False)

    def run(self, host: str, task: TaskFacts, kind: Any, seconds: float = 1, **result: Any) -> None:
        self.story.task(host, task)
        self.time += seconds
        self.story.result(host, kind, task, result)

    def text(self, width: int | None = None) -> list[str]:
        lines = Lines()
        fleet = self.story.fleet
        return [
            line
            for event in self.events
            for line, _style in lines.of(event, width, fleet=fleet and event["event"] != "play", verbose=False)
        ]


def closed(host: str, headline: str, **run: Any) -> dict[str, Any]:
    return {"headline": f"{host}: {headline}", "run": {"project": host, **run}, "run_dir": "/runs/1"}


def test_a_phase_is_one_line_with_what_its_modules_say() -> None:
    told = Told("prod")
    told.run("prod", IN_APPLY, "ok", 2, msg="2 migrations", changed=True)
    told.run("prod", TaskFacts("Between", ours=True), "ok", 5)
    told.story.end([])
    assert told.text() == [
        "Migrate: prod",
        "  5/7   Apply                          ok         2.0 s  2 migrations",
    ]


def test_what_is_printed_in_a_phase_stands_below_its_line() -> None:
    told = Told("prod")
    told.run("prod", TaskFacts("Say", "five", APPLY, ours=True, prints=True), "ok", 1, msg="prod: 2 to look at")
    told.run("prod", IN_APPLY, "ok", 1)
    told.story.end([])
    assert told.text() == [
        "Migrate: prod",
        "  5/7   Apply                          ok         2.0 s",
        "",
        "prod: 2 to look at",
    ]


def test_a_failure_that_closed_the_run_is_told_once_with_the_state_after_all() -> None:
    told = Told("prod")
    told.run("prod", IN_APPLY, "failed", 1, **BROKEN)
    told.run("prod", TaskFacts("Remember"), "ok")
    told.run(
        "prod",
        TaskFacts("Close", module=True),
        "ok",
        **closed("prod", "ROLLED BACK", failure="It broke\n\nLook: there", error=BROKEN["error"]),
    )
    told.run("prod", PRINTS, "ok", msg="prod: ROLLED BACK\n\nChecks\n  FAIL one")
    told.run("prod", TaskFacts("Stop", ours=True), "failed", msg="prod: ROLLED BACK")
    told.story.end(["prod"])
    text = "\n".join(told.text())
    assert text.count("It broke") == 1 and text.count("ROLLED BACK") == 1
    assert text.partition("\nFAILED")[2].splitlines() == [
        " prod, in 5/7 Apply",
        "  what   It broke",
        "  where  a.sql:1:1",
        "  state  ROLLED BACK",
        "  next   mend",
        "         Look: there",
        "  run    /runs/1",
    ]
    assert "  FAIL one" in text


def test_what_was_rescued_in_a_phase_does_not_fail_it() -> None:
    told = Told("prod")
    told.run("prod", IN_APPLY, "failed", 1, **BROKEN)
    told.run("prod", IN_APPLY, "ok")
    told.story.end([])
    assert [event["verdict"] for event in told.events if event["event"] == "phase"] == ["ok"]
    assert "It broke" not in "\n".join(told.text())


def test_a_foreign_failure_that_was_rescued_is_told() -> None:
    told = Told("prod")
    told.run("prod", TaskFacts("Theirs"), "failed", msg="no paper")
    told.run("prod", TaskFacts("Their rescue"), "ok")
    told.story.end([])
    assert told.text() == ["  rescued  Theirs: no paper"]


def test_a_fleet_is_a_line_a_project() -> None:
    told = Told("dev", "prod", "late")
    told.run("dev", IN_APPLY, "ok", 3, changed=True)
    told.run("dev", TaskFacts("Close", module=True), "ok", 1, **closed("dev", "MIGRATED"))
    told.run("dev", PRINTS, "ok", msg="dev: MIGRATED\n\nRows")
    told.story.play("Migrate", ["dev", "prod", "late"], numbered=True, check=False, again=True)
    told.run("prod", IN_APPLY, "failed", 1, **BROKEN)
    told.story.end(["prod"])
    assert told.text()[:3] == [
        "Migrate: 3 projects",
        "  dev                      ok             5.0 s  MIGRATED",
        "  prod                     FAILED         1.0 s  5/7 Apply: It broke",
    ]
    assert told.text()[-1] == "1 ok, 1 FAILED, 1 not begun: late"
    assert [event["event"] for event in told.events].count("failure") == 1


def test_an_interrupt_says_what_nobody_saw_to() -> None:
    stops = TaskFacts("Stop the writes", "three", Heading(3, 7, "Stop"), ours=True, module=True, maintenance=True)
    told = Told("prod")
    told.run("prod", TaskFacts("Open", module=True), "ok", run_dir="/runs/1")
    told.run("prod", stops, "ok", maintenance={"on": True})
    told.story.task("prod", TaskFacts("(5/7) Apply", "five", APPLY, ours=True))
    assert told.story.doing()[0][0] == "5/7 Apply"
    told.story.interrupted()
    assert told.text()[-6:] == [
        "",
        "INTERRUPTED prod, in 5/7 Apply",
        "  state  An open transaction is rolled back by the server; what was committed stays. The application's writes are stopped.",
        "  next   Let the writes on: ansible-playbook pgops.supabase.maintenance -l prod -e maintenance_state=off",
        "         Look: ansible-playbook pgops.supabase.status -l prod",
        "  run    /runs/1",
    ]
    told.run("prod", IN_APPLY, "ok", migration={"committed": True})
    told.run("prod", stops, "ok", maintenance={"on": False})
    told.story.task("prod", TaskFacts("Verify", "six", Heading(6, 7, "Verify"), ours=True))
    told.story.interrupted()
    assert "  state  The migrations are committed and stay; what comes after them was not done." in told.text()
    assert "stopped" not in "\n".join(told.text()).rpartition("INTERRUPTED")[2]


def test_a_secret_that_ansible_hides_stays_hidden() -> None:
    told = Told("prod")
    told.run("prod", TaskFacts("Theirs"), "failed", censored="the output has been hidden")
    told.story.end(["prod"])
    assert "  what   the output has been hidden" in told.text()
