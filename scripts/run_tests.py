# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the project's tests, all or some parts of them, and end with a table: part, seconds, verdict.

Every part runs even when one before it failed. Parts of one stage run side by side: the first one's output is shown as
it comes, the others' when the first has ended, so that nothing is mixed. The whole output of each part is kept.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from clone import BIN, CLONE, COLLECTIONS, LOCAL, environment, say

LOGS = LOCAL / "test"
PYTHON = str(BIN / "python")
COLOUR_VARIABLES = ("FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE")
NO_TESTS_COLLECTED = 5  # pytest's exit code


@dataclass(frozen=True)
class Step:
    """One command of a part."""

    name: str
    command: tuple[str, ...]
    # Output that is a failure whatever the exit code says.
    forbidden: re.Pattern[str] | None = None


@dataclass(frozen=True)
class Part:
    """What can be asked for by name. Its steps run one after the other, all of them."""

    name: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Outcome:
    """How a step, or a whole part, ended."""

    name: str
    seconds: float
    verdict: str
    steps: tuple[Outcome, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return self.verdict == "passed"


def parts() -> tuple[tuple[Part, ...], ...]:
    """Return the parts in stages: the parts of one stage do not disturb each other and run side by side."""
    workers = str(max(2, os.cpu_count() or 2))
    pytest = (PYTHON, "-m", "pytest")
    lint = Part(
        "lint",
        (
            Step("black", (str(BIN / "black"), "--check", ".")),
            Step("ruff", (str(BIN / "ruff"), "check", ".")),
            Step("mypy", (str(BIN / "mypy"),)),
            Step(
                "rooms",
                ("env", f"PYTHONPATH={COLLECTIONS}:scripts", str(BIN / "lint-imports"), "--no-logo", "--no-cache"),
            ),
            Step("ansible-lint", (str(BIN / "ansible-lint"), "--offline", "--strict")),
            Step(
                "docs", (str(BIN / "antsibull-docs"), "lint-collection-docs", "--plugin-docs", "--skip-rstcheck", ".")
            ),
            Step("changelog", (str(BIN / "antsibull-changelog"), "lint")),
        ),
    )
    sanity = Part("sanity", (Step("ansible-test", (PYTHON, "scripts/sanity.py")),))
    unit = Part("unit", (Step("pytest", (*pytest, "tests/unit")),))
    # The tests of one file share a server, so a file is not spread over workers.
    integration = Part(
        "integration",
        (Step("pytest", (*pytest, "-n", workers, "--dist", "loadfile", "tests/integration", "tests/interop")),),
    )
    # Each fault in each scope is a test; a part of the points, unless PGOPS_FAULTS=full (make faults).
    faults = Part("faults", (Step("pytest", (*pytest, "-n", workers, "tests/faults")),))
    # Molecule passes over a playbook that does not exist: a scenario without its verify.yml would verify nothing.
    incomplete = re.compile(r"missing=[1-9]|Missing playbook|no scenarios", re.IGNORECASE)
    molecule = Part("molecule", (Step("molecule", (str(BIN / "molecule"), "test", "--all"), incomplete),))
    build = Part("build", (Step("archive", (PYTHON, "scripts/build.py", "--verify")),))
    return (lint, sanity), (unit,), (integration,), (faults,), (molecule,), (build,)


def verdict_of(step: Step, returncode: int, found: str | None) -> str:
    """Say in words how a step ended; ``found`` is what it printed although it may not."""
    if returncode == 0:
        return f"FAILED: it says {found!r}" if found else "passed"
    if "pytest" in step.command and returncode == NO_TESTS_COLLECTED:
        return "FAILED: there are no tests"
    return f"FAILED: killed by signal {-returncode}" if returncode < 0 else f"FAILED: exit code {returncode}"


class Output:
    """A part's output: kept in its log, and shown at once or when its turn has come."""

    def __init__(self, log: TextIO, shown: bool) -> None:
        self._log = log
        self._shown = shown
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """Keep the text, and show it when it is this part's turn."""
        with self._lock:
            self._log.write(text)
            self._log.flush()
            if self._shown:
                print(text, end="", flush=True)

    def show(self) -> None:
        """It is this part's turn: show what was kept so far, and from now on everything at once."""
        with self._lock:
            if not self._shown:
                print(Path(self._log.name).read_text(encoding="utf-8"), end="", flush=True)
            self._shown = True


def run_step(step: Step, env: Mapping[str, str], output: Output) -> Outcome:
    """Run one command to its end, whatever it says."""
    shown = [str(Path(word).relative_to(CLONE)) if word.startswith(str(CLONE)) else word for word in step.command]
    output.write(f"==> {step.name}: {' '.join(shown)}\n")
    started = time.monotonic()
    with subprocess.Popen(
        step.command,
        cwd=CLONE,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        found = None
        for line in process.stdout:
            output.write(line)
            match = step.forbidden.search(line) if step.forbidden else None
            found = match[0] if match else found
    return Outcome(step.name, time.monotonic() - started, verdict_of(step, process.returncode, found))


def run_part(part: Part, env: Mapping[str, str], output: Output) -> Outcome:
    """Run all steps of a part, one after the other."""
    output.write(f"\n==> {part.name}\n")
    started = time.monotonic()
    steps = tuple(run_step(step, env, output) for step in part.steps)
    failed = [step for step in steps if not step.passed]
    verdict = "passed" if not failed else failed[0].verdict if len(steps) == 1 else f"FAILED: {names(failed)}"
    return Outcome(part.name, time.monotonic() - started, verdict, steps if len(steps) > 1 else ())


def names(outcomes: Sequence[Outcome]) -> str:
    """Return the names of outcomes as one phrase."""
    return ", ".join(outcome.name for outcome in outcomes)


def run_stage(stage: Sequence[Part], env: Mapping[str, str]) -> list[Outcome]:
    """Run the parts of a stage side by side and show their output one after the other."""
    logs = [(LOGS / f"{part.name}.log").open("w+", encoding="utf-8") for part in stage]
    outputs = [Output(log, shown=index == 0) for index, log in enumerate(logs)]
    try:
        with ThreadPoolExecutor(len(stage)) as pool:
            running = [pool.submit(run_part, part, env, output) for part, output in zip(stage, outputs, strict=True)]
            outcomes = []
            for future, output in zip(running, outputs, strict=True):
                output.show()
                outcomes.append(future.result())
            return outcomes
    finally:
        for log in logs:
            log.close()


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the closing table, with the steps of a part below it where it has several."""
    rows = [("part", "seconds", "verdict")]
    for outcome in outcomes:
        rows.append((outcome.name, f"{outcome.seconds:.1f}", outcome.verdict))
        rows += [(f"  {step.name}", f"{step.seconds:.1f}", step.verdict) for step in outcome.steps]
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"{name:<{width}}  {seconds:>7}  {verdict}" for name, seconds, verdict in rows)


def main() -> None:
    """Run what was asked for; exit with 1 if any part failed."""
    stages = parts()
    known = [part.name for stage in stages for part in stage]
    parser = argparse.ArgumentParser(description="Run the project's tests.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"run only these: {', '.join(known)}")
    asked = parser.parse_args().parts or known
    if unknown := [name for name in asked if name not in known]:
        parser.error(f"no such part: {', '.join(unknown)}; there are: {', '.join(known)}")

    LOGS.mkdir(parents=True, exist_ok=True)
    # The output goes to files as well: without colours, whatever the tools think they write to.
    env = {name: value for name, value in environment().items() if name not in COLOUR_VARIABLES} | {"NO_COLOR": "1"}
    started = time.monotonic()
    outcomes: list[Outcome] = []
    for stage in stages:
        if wanted := [part for part in stage if part.name in asked]:
            outcomes += run_stage(wanted, env)

    failed = [outcome for outcome in outcomes if not outcome.passed]
    print(f"\n{table(outcomes)}\n")
    print(f"{time.monotonic() - started:.0f} seconds in all; the output of each part is in {LOGS.relative_to(CLONE)}/")
    for outcome in failed:
        say(f"{outcome.name} failed. Again, by itself: make test PARTS={outcome.name}")
    print(f"parts: {len(outcomes) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
