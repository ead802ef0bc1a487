# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record a command on a terminal and write what is seen as a picture (SVG).

python scripts/picture.py docs/pictures/migrate.svg -- ansible-playbook playbooks/migrate.yml -l prod
python scripts/picture.py --at 'dump, ' docs/pictures/backup.svg -- ...      as it looks the first time that this is seen
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from clone import CLONE, environment
from rich.console import Console
from rich.text import Text

COLUMNS = 120
# What of a terminal's language the pictures need: colours stay in the text.
_PIECE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|\x1b|[^\x1b\r\n]+")
_COUNT = re.compile(r"\d+")


def main() -> int:
    """Record, write, and end as the command did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at", default="", metavar="TEXT", help="the moment when this is seen; by default the end")
    parser.add_argument("picture", type=Path)
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    code, drawn = record(given.command, environment())
    if given.at and given.at not in drawn:
        print(f"error: {given.at!r} was never seen", file=sys.stderr)
        return 1
    typed = " ".join(Path(word).name if index == 0 else word for index, word in enumerate(given.command))
    write(given.picture, typed, screen(until(drawn, given.at)))
    return code


def record(command: list[str], env: dict[str, str]) -> tuple[int, str]:
    """Run a command on a terminal; its exit code, and all that it wrote."""
    ours, theirs = os.openpty()
    env = {**env, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": "50"}
    written = bytearray()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=CLONE) as running:
        os.close(theirs)
        try:
            while piece := os.read(ours, 65536):
                written += piece
        except OSError:
            # Linux says so when the last program has closed the terminal.
            pass
        code = running.wait()
    os.close(ours)
    return code, written.decode(errors="replace")


def until(drawn: str, text: str) -> str:
    """What was drawn up to the frame that has that text."""
    if not text:
        return drawn
    end = drawn.find("\r", drawn.index(text))
    return drawn if end < 0 else drawn[:end]


def screen(drawn: str) -> list[str]:
    """The lines that are seen: those that were erased are gone."""
    rows, row, fresh = [""], 0, False
    for piece in _PIECE.findall(drawn):
        count = int((_COUNT.search(piece) or ["1"])[0]) if piece.startswith("\x1b[") else 1
        if piece == "\n":
            row, fresh = row + 1, False
            rows += [""] * (row + 1 - len(rows))
        elif piece == "\r":
            fresh = True
        elif piece.startswith("\x1b[") and piece[-1] == "A":
            row = max(row - count, 0)
        elif piece.startswith("\x1b[") and piece[-1] == "K":
            rows[row] = ""
        elif piece.startswith("\x1b") and piece[-1:] != "m":
            continue
        else:
            rows[row] = piece if fresh else rows[row] + piece
            fresh = False
    while rows and not rows[-1].strip():
        rows.pop()
    return rows


def write(picture: Path, typed: str, lines: list[str]) -> None:
    """Draw the lines below the command that was typed; where the clone lies is nobody's concern."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w", encoding="utf-8"))
    for line in (f"\x1b[1m$ {typed}\x1b[0m", *lines):
        console.print(Text.from_ansi(line.replace(str(CLONE), "~/pgops.supabase")), soft_wrap=False, highlight=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    drawn = console.export_svg(title="pgops.supabase", unique_id=picture.stem)
    # Nobody who looks at it fetches a font from elsewhere.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    picture.write_text(drawn.replace(" \n", "\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
