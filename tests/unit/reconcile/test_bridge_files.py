# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bridges from catalogs alone: phases, safe forms, what destroys, and the text of the files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.drafts import whole_order
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.conversions import (
    enum_additions,
    keeps_every_value,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.order import Step
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.whole import WholeDraft, draft_whole
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.whole_columns import (
    INDEXES,
    MAIN,
    VALIDATION,
    VALUES,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.whole_followers import references
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.whole_order import merged
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.bridge_copy import dump_lines
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.bridge_documents import BridgeFile
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.bridge_files import (
    copying,
    drafted_files,
    migration_text,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import parse_script

TABLE: dict[str, Any] = {
    "owner": "postgres",
    "persistence": "permanent",
    "partitioned": False,
    "row security": False,
    "row security forced": False,
    "replica identity": "default",
    "privileges": ["postgres=r/postgres"],
}


def column(position: int, kind: str = "integer", **more: Any) -> dict[str, Any]:
    return {"position": position, "type": kind, "not null": False, **more}


def constraint(definition: str) -> dict[str, Any]:
    return {"definition": definition, "validated": True}


def drafted(wanted: dict[str, Any], present: dict[str, Any], rows: int = 0) -> WholeDraft:
    return draft_whole(wanted, present, missing_values=lambda relation, column: rows)


def statements(draft: WholeDraft, phase: int) -> list[str]:
    return [statement for step in draft.phases[phase] for statement in step.statements]


ORDERS = {"table public.orders": TABLE, "column public.orders.id": column(1)}


def test_a_foreign_key_is_validated_in_a_later_file() -> None:
    clients = {
        "table public.clients": TABLE,
        "column public.clients.id": column(1),
        "constraint clients_pkey on public.clients": constraint("PRIMARY KEY (id)"),
    }
    key = {"constraint o_c on public.orders": constraint("FOREIGN KEY (id) REFERENCES public.clients(id)")}
    draft = drafted({**ORDERS, **clients, **key}, dict(ORDERS))
    assert statements(draft, MAIN)[-1].endswith("REFERENCES public.clients(id) not valid;")
    assert statements(draft, VALIDATION) == ["alter table public.orders validate constraint o_c;"]


def test_an_index_of_a_table_in_use_is_made_alone_and_of_a_new_one_at_once() -> None:
    def index(table: str) -> dict[str, Any]:
        return {
            "definition": f"CREATE INDEX i_{table} ON public.{table} USING btree (id)",
            "valid": True,
            "ready": True,
        }

    fresh = {"table public.fresh": TABLE, "column public.fresh.id": column(1), "index public.i_fresh": index("fresh")}
    draft = drafted({**ORDERS, **fresh, "index public.i_orders": index("orders")}, dict(ORDERS))
    assert statements(draft, INDEXES) == ["CREATE INDEX CONCURRENTLY i_orders ON public.orders USING btree (id);"]
    assert "CREATE INDEX i_fresh ON public.fresh USING btree (id);" in statements(draft, MAIN)


def test_what_loses_data_is_commented_out_with_what_waits_for_it() -> None:
    mood = {"kind": "enum", "labels": ["calm"], "owner": "postgres", "privileges": ["=U/postgres"]}
    present = {**ORDERS, "column public.orders.mood": column(2, "public.mood"), "type public.mood": mood}
    draft = drafted(dict(ORDERS), present)
    (file,) = drafted_files(draft.phases, "tidy", "20260101000000")
    text = migration_text(file, ["What it is."], {"column public.orders.mood": 3})
    assert "-- column public.orders.mood: its values would be lost (3 rows)" in text
    assert "-- type public.mood: it waits for what drops column public.orders.mood" in text
    assert parse_script("draft.sql", text).statements == ()
    assert len(parse_script("draft.sql", "\n".join(file.statements(in_full=True))).statements) == 2


def test_not_null_waits_for_rows_that_have_no_value() -> None:
    wanted = {**ORDERS, "column public.orders.id": {**column(1), "not null": True}}
    safe = drafted(wanted, dict(ORDERS))
    assert "check (id is not null) not valid" in statements(safe, MAIN)[0]
    assert statements(safe, VALIDATION)[1] == "alter table public.orders alter column id set not null;"
    (step,) = drafted(wanted, dict(ORDERS), rows=4).steps
    assert step.destroys.startswith("4 rows have no value in it") and step.phase == VALIDATION
    (back,) = draft_whole(wanted, dict(ORDERS)).steps
    assert back.statements == ("alter table public.orders alter column id set not null;",)


def test_values_of_an_enum_come_first_only_where_they_are_used() -> None:
    def mood(*labels: str) -> dict[str, Any]:
        return {"kind": "enum", "labels": list(labels), "owner": "postgres", "privileges": ["=U/postgres"]}

    present = {**ORDERS, "type public.mood": mood("calm")}
    wanted = {**ORDERS, "type public.mood": mood("calm", "cross")}
    assert statements(drafted(wanted, present), MAIN) == ["alter type public.mood add value 'cross' after 'calm';"]
    used = {**wanted, "column public.orders.mood": column(2, "public.mood", default="'cross'::public.mood")}
    draft = drafted(used, present)
    assert statements(draft, VALUES) and "default 'cross'" in statements(draft, MAIN)[0]


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        (["a", "b"], ["b"], ["alter type public.e add value 'a' before 'b';"]),
        (
            ["a", "b", "c"],
            ["a"],
            ["alter type public.e add value 'b' after 'a';", "alter type public.e add value 'c' after 'b';"],
        ),
        (["b", "a"], ["a", "b"], None),
        (["a"], ["a", "b"], None),
    ],
)
def test_values_are_added_where_they_stand(then: list[str], now: list[str], expected: list[str] | None) -> None:
    assert enum_additions("type public.e", then, now) == expected


@pytest.mark.parametrize(
    ("now", "then", "kept"),
    [
        ("integer", "bigint", True),
        ("bigint", "integer", False),
        ("character varying(10)", "character varying(20)", True),
        ("character varying(20)", "character varying(10)", False),
        ("character varying(20)", "text", True),
        ("text", "character varying", False),
        ("numeric(8,2)", "numeric(10,2)", True),
        ("numeric(8,2)", "numeric(8,4)", False),
        ("character(3)", "character(5)", False),
        ("timestamp with time zone", "timestamp without time zone", False),
    ],
)
def test_a_type_is_wider_only_where_every_value_fits(now: str, then: str, kept: bool) -> None:
    assert keeps_every_value(now, then) is kept


def test_grants_of_the_same_are_one() -> None:
    given = [
        "revoke all on table t from a, b;",
        "grant select on table t to a;",
        "grant select, insert on table t to b;",
        "grant select on table t to c;",
        "grant select on table t to d with grant option;",
    ]
    assert merged(given) == [
        "revoke all on table t from a, b;",
        "grant select on table t to a, c;",
        "grant select, insert on table t to b;",
        "grant select on table t to d with grant option;",
    ]


def test_a_foreign_key_stands_on_the_key_of_the_same_columns() -> None:
    key = "FOREIGN KEY (x, y) REFERENCES public.t(b, a) ON DELETE CASCADE"
    assert references(key, "public.t", "UNIQUE (a, b)")
    assert not references(key, "public.t", "PRIMARY KEY (a)")
    assert not references(key, "public.tt", "UNIQUE (a, b)")
    assert not references("CHECK (a > 0)", "public.t", "UNIQUE (a)")


def test_a_sequence_goes_after_the_default_that_names_it() -> None:
    sequence = {"owner": "postgres", "persistence": "permanent", "type": "integer", "owned by": "public.orders.id"}
    default = "nextval('public.orders_id_seq'::regclass)"
    counted = {"column public.orders.id": column(1, default=default), "sequence public.orders_id_seq": sequence}
    wanted = {**ORDERS, "column public.orders.id": column(1, "uuid")}
    draft = drafted(wanted, {**ORDERS, **counted})
    assert [step.key for step in draft.steps] == ["column public.orders.id", "sequence public.orders_id_seq"]
    assert all(step.destroys for step in draft.steps)


def test_dumps_are_compared_without_order_and_wording() -> None:
    one = "-- Name: t\nCREATE TABLE t (\n    a integer,\n    b integer,\n    CHECK ((((a > 0) AND (b > 0)) AND (a < 9)))\n);\n"
    other = "\nCREATE TABLE t (\n    b integer,\n    CHECK (((a > 0) AND (b > 0) AND (a < 9))),\n    a integer\n);\n"
    assert dump_lines(one) == dump_lines(other)
    assert dump_lines(one) != dump_lines(other.replace("a integer", "a bigint"))


def test_a_body_that_names_concurrently_needs_no_file_of_its_own() -> None:
    step = Step("create", "function public.f()", ("create function public.f() ... -- CREATE INDEX CONCURRENTLY\n;",))
    (file,) = drafted_files({MAIN: [step]}, "bridge", "20250101000000")
    assert not file.outside_transaction
    (file,) = drafted_files({INDEXES: [step]}, "bridge", "20250101000000")
    assert file.outside_transaction


def test_a_key_is_held_against_what_may_reference_it_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted(foreign_key: str, relation: str, key: str) -> bool:
        asked.append(relation)
        return references(foreign_key, relation, key)

    monkeypatch.setattr(whole_order, "references", counted)
    wanted = {}
    for number in range(40):
        wanted[f"table public.t{number}"] = TABLE
        wanted[f"column public.t{number}.id"] = column(1)
        wanted[f"constraint k on public.t{number}"] = constraint("PRIMARY KEY (id)")
    draft_whole(wanted, {})
    assert asked == []
    wanted["constraint f on public.t0"] = constraint("FOREIGN KEY (id) REFERENCES public.t1(id)")
    keys = [step.key for step in draft_whole(wanted, {}).steps]
    assert keys.index("constraint k on public.t1") < keys.index("constraint f on public.t0") and len(asked) < 400


def test_only_the_files_of_this_draft_are_copied() -> None:
    one = BridgeFile(
        version="1",
        name="a",
        path="/runs/a b/migrations/1_a.sql",
        rollback=None,
        statements=1,
        commented=0,
        outside_transaction=False,
    )
    assert copying([one]) == "cp '/runs/a b/migrations/1_a.sql' supabase/migrations/"
    two = replace(one, path="/runs/2.sql", rollback="/runs/r2.sql")
    assert copying([one, two]) == (
        "cp '/runs/a b/migrations/1_a.sql' /runs/2.sql supabase/migrations/ && cp /runs/r2.sql supabase/rollbacks/"
    )
