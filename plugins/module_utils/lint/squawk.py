# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""squawk, a linter of PostgreSQL migrations: found, run, and its findings with places as a person counts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import ToolError

# What the runner takes care of (transaction, timeouts, repeatability), and matters of taste.
LEFT_OUT = (
    "ban-concurrent-index-creation-in-transaction",
    "ban-uncommitted-transaction",
    "prefer-bigint-over-int",
    "prefer-robust-stmts",
    "prefer-text-field",
    "require-lock-timeout",
    "require-statement-timeout",
    "require-timeout-settings",
    "transaction-nesting",
)
# PostgreSQL's own parser decides what is SQL.
_SYNTAX = "syntax-error"
_INSTALL = "Install it with: pip install squawk-cli==2.70.0, or point squawk at the program."
_TIMEOUT_SECONDS = 120
_FILES_AT_ONCE = 200


@dataclass(frozen=True)
class SquawkFinding:
    """One finding of squawk; line and column count from 1, the column in characters."""

    rule: str
    file: str
    line: int
    column: int
    message: str
    help: str


def find_squawk(named: Path | None = None) -> Path:
    """The program that was named, or else the one beside this Python, or else the one on ``$PATH``.

    :raises ToolError: when there is none.
    """
    candidate = named or Path(sys.executable).parent / "squawk"
    if candidate.is_file() and os.access(candidate, os.X_OK):
        return candidate
    on_path = None if named else shutil.which("squawk")
    if on_path:
        return Path(on_path)
    raise ToolError(
        "The program squawk is not installed on this machine",
        where=str(named) if named else f"{candidate}, $PATH",
        next_step=_INSTALL,
    )


def run_squawk(program: Path, texts: Mapping[str, str], server_major: int) -> list[SquawkFinding]:
    """Lint files, given as path and text.

    A configuration file of squawk's does not count: what is left out has to stand in our own records.

    :raises ToolError: when squawk fails or answers in a way that is not known.
    """
    findings: list[SquawkFinding] = []
    names = sorted(texts)
    for start in range(0, len(names), _FILES_AT_ONCE):
        findings += read_findings(_run(program, names[start : start + _FILES_AT_ONCE], server_major), texts)
    return findings


def read_findings(answer: str, texts: Mapping[str, str]) -> list[SquawkFinding]:
    """squawk's JSON. It counts lines and columns from 0, and columns in bytes.

    :raises ValueError: when it is not the JSON that squawk 2 writes.
    :raises KeyError: when a finding lacks what every finding has.
    """
    findings = []
    for item in json.loads(answer or "[]"):
        if item["rule_name"] == _SYNTAX:
            continue
        line = texts[item["file"]].split("\n")[item["line"]]
        column = len(line.encode()[: item["column"]].decode(errors="ignore"))
        findings.append(
            SquawkFinding(
                rule=item["rule_name"],
                file=item["file"],
                line=item["line"] + 1,
                column=column + 1,
                message=item["message"],
                help=item["help"] or "",
            )
        )
    return findings


def _run(program: Path, files: Sequence[str], server_major: int) -> str:
    """It exits with 1 when it has findings and when it fails; only what it writes tells the two apart."""
    command = [
        str(program),
        "--reporter=json",
        f"--pg-version={server_major}.0",
        "--assume-in-transaction",
        f"--exclude={','.join(LEFT_OUT)}",
        f"--config={os.devnull}",
        "--",
        *files,
    ]
    try:
        done = subprocess.run(
            command,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            encoding="utf-8",
            timeout=_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"squawk could not be run: {error}", where=str(program), next_step=_INSTALL) from error
    if done.returncode not in (0, 1) or not done.stdout.lstrip().startswith("["):
        raise ToolError(
            f"squawk failed with exit code {done.returncode}: {done.stderr.strip() or 'it gave no reason'}",
            where=str(program),
            next_step=_INSTALL,
        )
    return done.stdout
