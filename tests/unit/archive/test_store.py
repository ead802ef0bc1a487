# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive's entries, its script with the rows in between, what of it is restored, and access lists."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.archive.content import Entry, entries_of
from ansible_collections.pgops.supabase.plugins.module_utils.archive.selection import (
    Selection,
    load_order,
    select_entries,
)
from ansible_collections.pgops.supabase.plugins.module_utils.archive.stream import ArchiveScript, Rows, run_entries
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BackupError
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.privileges import (
    PrivilegeChange,
    privilege_changes,
    roles_in,
)

LISTING = """;
; Archive created at 2026-11-23
;
10; 2615 16404 SCHEMA - app postgres
11; 1259 16500 TABLE app my table an owner
12; 0 0 COMMENT app TABLE "my table" an owner
13; 0 16500 TABLE DATA app my table an owner
14; 0 0 SEQUENCE SET app s postgres
15; 1259 16501 SEQUENCE app s postgres
16; 2613 4711 BLOB METADATA - 4711 postgres
"""


def heading(dump_id: int, name: str, kind: str, schema: str, owner: str, depends: str = "") -> str:
    dependencies = f"-- Dependencies: {depends}\n" if depends else ""
    return (
        f"--\n-- TOC entry {dump_id} (class 1 OID 2)\n{dependencies}"
        f"-- Name: {name}; Type: {kind}; Schema: {schema}; Owner: {owner}\n--\n\n"
    )


SCRIPT = (
    # As the custom format has it.
    heading(10, "app", "SCHEMA", "-", "postgres").replace("postgres\n--", "postgres\n-- Data Pos: 0\n--")
    + heading(11, "my table", "TABLE", "app", "an owner", "10")
    + heading(12, 'TABLE "my table"', "COMMENT", "app", "an owner", "11")
    + heading(15, "s", "SEQUENCE", "app", "postgres")
    # In the body of a function, and so not the archive's.
    + heading(11, "other", "VIEW", "elsewhere", "postgres")
)


def test_entries_have_what_their_headings_say_and_data_is_told_by_what_it_fills() -> None:
    entries = entries_of(LISTING, SCRIPT)
    assert [(e.dump_id, e.kind, e.schema, e.name, e.owner) for e in entries] == [
        (10, "SCHEMA", None, "app", "postgres"),
        (11, "TABLE", "app", "my table", "an owner"),
        (12, "COMMENT", "app", 'TABLE "my table"', "an owner"),
        (13, "TABLE DATA", "app", "my table", "an owner"),
        (14, "SEQUENCE SET", "app", "s", "postgres"),
        (15, "SEQUENCE", "app", "s", "postgres"),
        (16, "BLOB METADATA", None, "- 4711 postgres", None),
    ]
    assert entries[2].depends_on == (11,)


@contextmanager
def piped(content: bytes) -> Iterator[ArchiveScript]:
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    try:
        yield ArchiveScript(reading)
    finally:
        os.close(reading)


ROWS = b"1\ta\n2\t\\\\.\n3\t\\.x\n"
DATA = heading(13, "my table", "TABLE DATA", "app", "an owner").encode() + b'COPY app."my table" (a, b) FROM stdin;\n'


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("rows", [ROWS, b""])
def test_rows_end_at_their_mark_and_statements_go_on_after_it(rows: bytes, size: int) -> None:
    after = heading(15, "s", "SEQUENCE", "app", "postgres").encode() + b"\\unrestrict y\nSELECT 1;\n\\unrestrict x\n"
    entries = {e.dump_id: e for e in entries_of(LISTING, SCRIPT) if e.dump_id in (13, 15)}
    copied: list[bytes] = []
    executed: list[tuple[str, bytes]] = []

    def copy(entry: Entry, statement: str, source: Rows) -> None:
        assert statement == 'COPY app."my table" (a, b) FROM stdin;\n'
        while block := source.read(size):
            copied.append(block)

    with piped(b"\\restrict x\nSET x = 1;\n" + DATA + rows + b"\\.\n\n\n" + after) as script:
        run_entries(script, entries, execute=lambda e, text: executed.append((e.kind, text)), copy=copy)
    assert b"".join(copied) == rows
    assert [(kind, text.strip().splitlines()[-2:]) for kind, text in executed] == [
        ("SEQUENCE", [b"\\unrestrict y", b"SELECT 1;"])
    ]


def test_rows_that_end_without_their_mark_are_no_rows() -> None:
    def copy(_entry: Entry, _statement: str, source: Rows) -> None:
        while source.read():
            pass

    entries = {13: Entry(13, "TABLE DATA", "app", "my table", None)}
    with piped(DATA + ROWS) as script, pytest.raises(BackupError, match="in the middle of a table's rows"):
        run_entries(script, entries, execute=lambda e, text: None, copy=copy)


def test_an_entry_that_never_comes_is_missed() -> None:
    with piped(b"-- nothing\n") as script, pytest.raises(BackupError, match="left out TABLE app.t and 1 more"):
        entries = {1: Entry(1, "TABLE", "app", "t", None), 2: Entry(2, "TABLE", "app", "u", None)}
        run_entries(script, entries, execute=lambda e, text: None, copy=lambda e, statement, rows: None)


ENTRIES = [
    Entry(1, "SCHEMA", None, "auth", "supabase_admin"),
    Entry(2, "SCHEMA", None, "app", "postgres"),
    Entry(3, "ACL", None, "SCHEMA app", "postgres", (2,)),
    Entry(4, "EXTENSION", None, "citext", None),
    Entry(5, "ACL", "public", "FUNCTION citextin(cstring)", "supabase_admin", (999,)),
    Entry(6, "TABLE", "auth", "users", "a"),
    Entry(7, "ACL", "auth", "TABLE users", "a", (6,)),
    Entry(8, "TABLE", "app", "t", "postgres"),
    Entry(9, "ACL", "app", "TABLE t", "postgres", (8,)),
    Entry(10, "TABLE DATA", "auth", "identities", "a"),
    Entry(11, "TABLE DATA", "app", "t", "postgres"),
    Entry(12, "TABLE DATA", "auth", "users", "a"),
    Entry(13, "TRIGGER", "auth", "users t", "a"),
    Entry(14, "PUBLICATION", None, "p", "postgres"),
    Entry(15, "PUBLICATION TABLE", "app", "p t", "postgres", (14, 8)),
    Entry(16, "PUBLICATION TABLE", "auth", "p users", "postgres", (14, 6)),
    Entry(17, "SUBSCRIPTION", None, "s", "postgres"),
    Entry(18, "DEFAULT ACL", "app", "DEFAULT PRIVILEGES FOR TABLES", "postgres"),
]
REFERENCES = {("auth", "identities"): {("auth", "users"), ("auth", "identities")}}


def chosen(selection: Selection) -> list[int]:
    return [entry.dump_id for entry in select_entries(ENTRIES, selection)]


def test_of_the_platform_only_rows_come_back_and_those_referred_to_first() -> None:
    selection = Selection(
        whole=frozenset({"app"}),
        rows_only=frozenset({"auth"}),
        settled=frozenset({"app"}),
        references=REFERENCES,
    )
    assert chosen(selection) == [8, 9, 12, 11, 10, 15]
    left = Selection(**{**vars(selection), "left": frozenset({("auth", "users"), ("auth", "identities")})})
    assert chosen(left) == [8, 9, 11, 15]


def test_what_the_target_does_not_have_is_made_whole() -> None:
    selection = Selection(
        whole=frozenset({"app", "auth"}),
        made=frozenset({"auth"}),
        settled=frozenset({"app"}),
        publications=frozenset({"p"}),
    )
    assert chosen(selection) == [1, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]


def test_a_circle_of_references_has_no_first_table() -> None:
    a, b, c = ("auth", "a"), ("auth", "b"), ("auth", "c")
    assert load_order([c, b, a], {c: {b}, b: {a, b}}) == [a, b, c]
    with pytest.raises(BackupError, match=r"in a circle.*auth\.b, auth\.a"):
        load_order([c, b, a], {a: {b}, b: {a}})


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (["anon=U/postgres"], ["anon=U/postgres"], []),
        ([], ["=X/postgres"], [PrivilegeChange("grant", ("EXECUTE",), None)]),
        (["anon=UC/p"], ["anon=U/p"], [PrivilegeChange("revoke", ("CREATE",), "anon")]),
        (
            ["a=r*w/p"],
            ["a=rw*/p"],
            [
                PrivilegeChange("revoke", ("SELECT",), "a"),
                PrivilegeChange("grant", ("SELECT",), "a"),
                PrivilegeChange("grant", ("UPDATE",), "a", grant_option=True),
            ],
        ),
        (['"odd ""one"=r/p'], [], [PrivilegeChange("revoke", ("SELECT",), 'odd "one')]),
    ],
)
def test_an_access_list_is_turned_into_another(
    before: list[str], after: list[str], expected: list[PrivilegeChange]
) -> None:
    assert privilege_changes(before, after) == expected


def test_roles_are_owners_grantees_and_grantors() -> None:
    catalog: dict[str, dict[str, object]] = {
        "table a.b": {"owner": "o", "privileges": ["=r/o", '"G x"=r*/h']},
        "column a.b.c": {"position": 1},
    }
    assert roles_in(catalog) == {"o", "G x", "h"}
