# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report in short, for a terminal: a line for each thing that is as it should be, tables of what somebody should look at. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.report.section import Row, Section

Facts = list[tuple[str, str]]
_MIGRATIONS_SHOWN = 8
_SILENT = ("says nothing", "not run")
# Said by the task that failed, by the phase's line, or read later, when somebody asks how it was.
_LEFT_OUT = ("Failure", "Backup", "Durations")


def short_lines(sections: Iterable[Section], directory: str | None, watch: str | None = None) -> list[str]:
    """What a person should see at once of all sections: the facts first, then the tables, each below a blank line.

    :param directory: where the documents of the run are; None where that is not to be said.
    :param watch: what is typed to have it watched from now on.
    """
    facts: Facts = []
    tables: list[str] = []
    for section in sections:
        if section.title in _LEFT_OUT:
            continue
        found = _in_short(section)
        if isinstance(found, Section):
            tables += ["", *found.as_text()]
        else:
            facts += found
    if directory is not None:
        facts.append(("documents", directory))
    if watch is not None:
        facts.append(("watch it by", watch))
    return [*Section("", ("", ""), facts).as_text()][1:] + tables


def _in_short(section: Section) -> Facts | Section:
    """The facts of a section, or the table where somebody should look at its rows."""
    if section.title in _FACTS:
        return list(_FACTS[section.title](section))
    if section.title == "Rows":
        return _rows(section)
    if section.title == "Probes":
        return _probes(section)
    if section.title == "Checks":
        return _checks(section)
    return section


def _run(section: Section) -> Iterator[tuple[str, str]]:
    yield from (row for row in _pairs(section) if row[0] in ("took", "reason"))


def _plan(section: Section) -> Iterator[tuple[str, str]]:
    yield from (row for row in _pairs(section) if row[0] != "hash")


def _pairs(section: Section) -> Iterator[tuple[str, str]]:
    yield from ((row[0], row[1]) for row in section.rows)


def _migrations(section: Section) -> Iterator[tuple[str, str]]:
    label = "taken back" if section.title == "Rollback" else "migrations"
    for index, (name, statements, seconds) in enumerate(section.rows[:_MIGRATIONS_SHOWN]):
        yield ("" if index else label), f"{name}: {number(int(statements), 'statement')}, {seconds} s"
    if rest := section.rows[_MIGRATIONS_SHOWN:]:
        every = number(sum(int(row[1]) for row in rest), "statement")
        yield "", f"and {len(rest)} more: {every}, {sum(float(row[2]) for row in rest):.3f} s"


def _objects(section: Section) -> Iterator[tuple[str, str]]:
    """A line for what was created, one for what was changed and one for what was dropped."""
    by_change: dict[str, list[tuple[int, str]]] = {}
    for what, count, _names in section.rows:
        kind, _blank, change = what.rpartition(" ")
        by_change.setdefault(change, []).append((int(count), kind))
    for change in ("created", "changed", "dropped"):
        if kinds := sorted(by_change.get(change, ()), key=lambda kind: -kind[0]):
            yield change, ", ".join(number(count, kind) for count, kind in kinds)


def _proof(section: Section) -> Iterator[tuple[str, str]]:
    """The headline says that the catalog is what it was; the files with the data lie beside the script that brings them back."""
    catalogs = {value for name, value in section.rows if name.startswith("catalog ")}
    for name, value in _pairs(section):
        if not (name.startswith("catalog ") and len(catalogs) == 1) and not (
            name == "data exported" and not value.endswith(".sql")
        ):
            yield name, value


def _follow_ups(section: Section) -> Iterator[tuple[str, str]]:
    yield from (row for row in _pairs(section) if row[0] != "types by")


def _waivers(section: Section) -> Iterator[tuple[str, str]]:
    yield from (("waived", f"{gate}: {reason}") for gate, reason in _pairs(section))


_FACTS: Mapping[str, Callable[[Section], Iterator[tuple[str, str]]]] = {
    "Run": _run,
    "Waivers": _waivers,
    "Plan": _plan,
    "Migrations": _migrations,
    "Objects": _objects,
    "Rollback": _migrations,
    "Proof": _proof,
    "Restore": _pairs,
    "Follow-ups": _follow_ups,
}


def _rows(section: Section) -> Facts | Section:
    """One line where tables are new or as before; else the tables that are neither."""
    total = section.rows[-1:] if section.rows[-1][0] == "total" else []
    new = [row for row in section.rows if row[3] == "new"]
    others = [row for row in section.shown if row not in total and row not in new]
    compared = sum(bool(row[3]) for row in section.folded)
    if others:
        equal = [(number(compared, "table"), "", "", "unchanged")] if compared else []
        return Section(section.title, section.header, [*others, *new, *equal, *total])
    said = []
    if total:
        before, after = (int(cell) for cell in total[0][1:3])
        said.append(f"{before:,} before and after" if before == after else f"{before:,} before, {after:,} after")
    if compared:
        said.append(f"{number(compared, 'table')} unchanged")
    if new:
        said.append(f"{len(new)} new ({sum(int(row[2]) for row in new if row[2] != '-'):,} rows)")
    return [("rows", "; ".join(said))] if said else []


def _probes(section: Section) -> Facts | Section:
    if not section.shown:
        return [("probes", f"{len(section.folded)} of {len(section.rows)} answered as they should")]
    passed: Row = ("PASS", f"{len(section.folded)} of {len(section.rows)}", *[""] * (len(section.header) - 2))
    return Section(section.title, section.header, [*section.shown, *([passed] if section.folded else [])])


def _checks(section: Section) -> Facts | Section:
    """What did not pass, and the sum with how many statements say nothing."""
    *checks, total = section.rows
    silent = sum(row[0] in _SILENT for row in checks)
    says = "says" if silent == 1 else "say"
    and_silent = f"; {number(silent, 'statement')} {says} nothing" if silent else ""
    wrong = [row for row in checks if row[0] not in ("PASS", *_SILENT)]
    if not wrong:
        return [("checks", f"{len(checks) - silent} passed{and_silent}")]
    return Section(section.title, section.header, [*wrong, (total[0], total[1] + and_silent, *total[2:])])
