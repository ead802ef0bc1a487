# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every file of a backup, damaged in every way: none is called sound, none is restored, and what is whole stays whole."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import FIGURES
from tests.faults.figures import Figures
from tests.faults.kept import ACCIDENT, FORMATS, Kept
from tests.integration.backups import content_of

FULL = os.environ.get("PGOPS_FAULTS") == "full"
# Bytes of each file of which a bit is turned, evenly spread, the first and the last among them.
FLIPS = 32 if FULL else 2

# What becomes of a file's content, in words and in bytes; None is no file. The other files are what it is swapped for.
Damages = Callable[[bytes, list[bytes]], Iterator[tuple[str, bytes | None]]]


def truncated(content: bytes, _others: list[bytes]) -> Iterator[tuple[str, bytes | None]]:
    """The file ends too soon."""
    for left in sorted({0, len(content) // 2, len(content) - 1} if FULL else {len(content) - 1}):
        yield f"to {left} of {len(content)} bytes", content[:left]


def flipped(content: bytes, _others: list[bytes]) -> Iterator[tuple[str, bytes | None]]:
    """One bit is another."""
    for number in range(FLIPS):
        place = number * (len(content) - 1) // (FLIPS - 1)
        yield f"bit {number % 8} of byte {place}", (
            content[:place] + bytes([content[place] ^ 1 << number % 8]) + content[place + 1 :]
        )


def lengthened(content: bytes, _others: list[bytes]) -> Iterator[tuple[str, bytes | None]]:
    """Something was written after the end."""
    yield "by one byte", content + b"\0"


def swapped(content: bytes, others: list[bytes]) -> Iterator[tuple[str, bytes | None]]:
    """It holds what another file holds: one beside it, or its like of another backup."""
    for number, other in enumerate(others if FULL else others[-2:]):
        if other != content:
            yield f"for another, {number}", other


def missing(_content: bytes, _others: list[bytes]) -> Iterator[tuple[str, bytes | None]]:
    """It is not there."""
    yield "", None


@pytest.mark.parametrize("damages", [truncated, flipped, lengthened, swapped, missing], ids=lambda d: d.__name__)
@pytest.mark.parametrize("archive_format", FORMATS)
def test_no_damage_passes(
    kept: Kept, archive_format: str, damages: Damages, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    runs, started = tmp_path / "runs", time.monotonic()
    # Backups of one project beside each other, and the one that is damaged where it can be looked at alone.
    whole, later, damaged = (
        runs / "whole" / "backup",
        runs / "later" / "backup",
        tmp_path / "damaged" / "run" / "backup",
    )
    points, restored, wrong = 0, 0, []
    with kept.applied.database() as project:
        made = kept.back_up(project, later, format=archive_format)
        assert made.get("changed"), made
        project.psql(ACCIDENT)
        before = kept.applied.state(project)
        for path in (whole, damaged):
            shutil.copytree(kept.backups[archive_format], path)
        older = content_of(runs)
        for name in sorted(str(file.relative_to(whole)) for file in whole.rglob("*") if file.is_file()):
            content = (whole / name).read_bytes()
            like = [(later / name).read_bytes()] if (later / name).exists() else []
            others = [file.read_bytes() for file in sorted(whole.rglob("*")) if file.is_file()] + like
            for words, damage in damages(content, others):
                points += 1
                _write(damaged / name, damage)
                refused = kept.restore(project, damaged, kept.backup_id(archive_format), tmp_path / f"aside{points}")
                restored += bool(refused.get("changed"))
                complaints = [*_judge(refused, kept.info(damaged.parent.parent)[str(damaged)])]
                if complaints:
                    wrong.append(f"{archive_format}/{damages.__name__}/{name} {words}: {'; '.join(complaints)}")
            _write(damaged / name, content)
        found = kept.applied.state(project)
        figures = Figures(
            scope=f"backup {archive_format}",
            fault=damages.__name__,
            points=points,
            untouched=points - restored,
            in_part=0,
            complete=restored,
            right=points - len(wrong),
            seconds=time.monotonic() - started,
        )
        record_property(FIGURES, figures.as_properties())
        assert not wrong, f"{len(wrong)} of {points} points:\n" + "\n".join(wrong)
        # A restore would have left an event in the ledger, whatever came after it.
        assert found == before, before.difference(found)
        assert content_of(runs) == older and not [*tmp_path.glob("aside*")]
        assert all(entry["sound"] for entry in kept.info(runs).values()), kept.info(runs)
        # Put together again it is whole again: it was each damage that was seen, and nothing else.
        again = kept.restore(project, damaged, kept.backup_id(archive_format), tmp_path / "aside")
        assert again.get("changed"), again
        assert kept.applied.state(project).rows == kept.after.rows


def _write(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


def _judge(refused: dict[str, Any], listed: dict[str, Any]) -> Iterator[str]:
    """What should not be so of a restore of something damaged, and of how it is listed."""
    if listed["sound"] or not listed["problems"]:
        yield "it is called sound"
    error = refused.get("error") or {}
    if not refused.get("failed") or error.get("code") != "restore" or "not what was written" not in refused["msg"]:
        yield f"it is not refused as what it is: {refused.get('msg', 'it was restored')}"
    elif refused.get("changed") or error["state"] != "nothing was changed" or not error["next_step"]:
        yield f"the refusal says {error['state']}: {error['next_step']}"
