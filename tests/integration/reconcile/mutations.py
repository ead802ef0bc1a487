# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of a schema made by chance, each on objects of its own, with what a comparison has to say of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Told:
    """One difference that is to be told.

    :param there: on which side the object is after the change: V(changed), V(mine) for the side that was changed, V(other).
    :param risk: of the difference; V(loss) is data loss where the target would lose rows, and else availability.
    """

    key: str
    there: str
    risk: str


@dataclass(frozen=True)
class Mutation:
    """What is there before, on both sides, the change of one side, and what is to be told of it. C({t}) is the table's name."""

    change: str
    told: tuple[Told, ...]
    before: str = ""


def _one(change: str, key: str, there: str, risk: str, before: str = "") -> Mutation:
    return Mutation(change, (Told(key, there, risk),), before)


_FUNCTION = "create function {t}_f() returns trigger language plpgsql as $$ begin return new; end $$;"
_TRIGGER = _FUNCTION + "create trigger t_old before update on {t} for each row execute function {t}_f();"
MUTATIONS: tuple[Mutation, ...] = (
    _one("alter table {t} drop column c", "column {t}.c", "other", "loss"),
    _one("alter table {t} add column fresh text", "column {t}.fresh", "mine", "loss"),
    _one("alter table {t} alter column d type bigint", "column {t}.d", "changed", "loss"),
    _one("alter table {t} alter column c set not null", "column {t}.c", "changed", "availability"),
    _one("alter table {t} alter column c set default 'x'", "column {t}.c", "changed", "availability"),
    _one("alter table {t} alter column c set storage external", "column {t}.c", "changed", "cosmetic"),
    _one("alter table {t} alter column c set statistics 500", "column {t}.c", "changed", "cosmetic"),
    _one("grant select (c) on {t} to anon", "column {t}.c", "changed", "security", "revoke all on {t} from anon;"),
    Mutation(
        "alter table {t} rename column c to renamed",
        (
            Told("column {t}.c", "other", "loss"),
            Told("column {t}.renamed", "mine", "loss"),
            Told("index {t}_c", "changed", "availability"),
        ),
    ),
    _one(
        "revoke update on {t} from authenticated",
        "table {t}",
        "changed",
        "security",
        "grant update on {t} to authenticated;",
    ),
    _one("alter table {t} enable row level security", "table {t}", "changed", "security"),
    _one("alter table {t} owner to postgres", "table {t}", "changed", "security"),
    _one("alter table {t} set unlogged", "table {t}", "changed", "data_loss"),
    _one("comment on table {t} is 'of use'", "table {t}", "changed", "cosmetic"),
    _one("comment on column {t}.c is 'of use'", "column {t}.c", "changed", "cosmetic"),
    _one("alter table {t} replica identity full", "table {t}", "changed", "availability"),
    _one("create policy p on {t} using (true)", "policy p on {t}", "mine", "security"),
    _one("drop policy p on {t}", "policy p on {t}", "other", "security", "create policy p on {t} using (true);"),
    _one(
        "alter policy p on {t} to anon",
        "policy p on {t}",
        "changed",
        "security",
        "create policy p on {t} using (true);",
    ),
    _one("create index {i}_new on {t} (c)", "index {t}_new", "mine", "availability"),
    _one("drop index {t}_c", "index {t}_c", "other", "availability"),
    _one("alter table {t} add check (d > 0) not valid", "constraint {i}_d_check on {t}", "mine", "availability"),
    _one("alter table {t} drop constraint {i}_old", "constraint {i}_old on {t}", "other", "availability"),
    _one(
        "create trigger t_new before insert on {t} for each row execute function {t}_f()",
        "trigger t_new on {t}",
        "mine",
        "availability",
        _FUNCTION,
    ),
    _one("alter table {t} disable trigger t_old", "trigger t_old on {t}", "changed", "availability", _TRIGGER),
    _one("alter function {t}_f() security definer", "function {t}_f()", "changed", "security", _FUNCTION),
    _one(
        "create or replace function {t}_f() returns trigger language plpgsql as $$ begin return null; end $$",
        "function {t}_f()",
        "changed",
        "availability",
        _FUNCTION,
    ),
    _one("create view {t}_v as select c from {t}", "view {t}_v", "mine", "availability"),
    _one(
        "alter view {t}_v set (security_invoker = true)",
        "view {t}_v",
        "changed",
        "security",
        "create view {t}_v as select c from {t};",
    ),
    _one(
        "alter type {t}_m add value 'c'",
        "type {t}_m",
        "changed",
        "availability",
        "create type {t}_m as enum ('a', 'b');",
    ),
    _one("alter sequence {t}_s increment 5", "sequence {t}_s", "changed", "availability", "create sequence {t}_s;"),
    _one("create schema {i}_new", "schema {i}_new", "mine", "availability"),
    _one("create publication {i}_p for table {t}", "publication {i}_p", "mine", "availability"),
    _one(
        "create statistics {t}_x on c, d from {t}",
        "statistics {t}_x",
        "mine",
        "cosmetic",
    ),
    _one("drop table {t} cascade", "table {t}", "other", "loss", "create policy p on {t} using (true);"),
    _one(
        "create table {t}_more (id serial primary key, c text references {t} (u)); create index on {t}_more (c); "
        "alter table {t}_more enable row level security; create policy p on {t}_more using (true)",
        "table {t}_more",
        "mine",
        "gone",
    ),
    _one(
        "alter default privileges in schema {s} grant select on sequences to {r}",
        "default privileges of {me} for sequences in {s}",
        "mine",
        "security",
        "create schema if not exists {s};",
    ),
)


@dataclass(frozen=True)
class Drawn:
    """Some of them, each with its own table."""

    before: str
    change: str
    told: frozenset[tuple[str, str, str]]


def draw(number: int, side: str, owner: str) -> Drawn:
    """Several changes that nobody chose, for one side. The same number draws the same.

    :param side: V(source) or V(target): which one is changed.
    :param owner: the role that changes it.
    """
    dice = random.Random(number)
    chosen = dice.sample(range(len(MUTATIONS)), dice.randrange(1, 9))
    before, change, told = [], [], set()
    for place in chosen:
        mutation, rows = MUTATIONS[place], dice.choice((0, 3))
        schema = dice.choice(("public", "app", '"Odd one"'))
        table = dice.choice((f"thing_{place}", f"t{place}_x"))
        names = {"t": f"{schema}.{table}", "i": table, "s": f"own_{place}", "r": "anon", "me": owner}
        fill = _filler(names)
        before.append(
            f"create schema if not exists {schema}; create table {schema}.{table} (id int primary key, c text, d int, u text unique, "
            f"constraint {table}_old check (id < 1000)); create index {table}_c on {schema}.{table} (c); "
            f"insert into {schema}.{table} select i, 'c' || i, i, 'u' || i from generate_series(1, {rows}) i; "
            + fill(mutation.before)
        )
        change.append(fill(mutation.change) + ";")
        for one in mutation.told:
            told.add(_told(one, fill, side, rows))
    return Drawn("\n".join(before), "\n".join(change), frozenset(told))


def _filler(names: dict[str, str]) -> Callable[[str], str]:
    def fill(text: str) -> str:
        for name, value in names.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    return fill


def _told(one: Told, fill: Callable[[str], str], side: str, rows: int) -> tuple[str, str, str]:
    other = {"source": "target", "target": "source"}[side]
    direction = {"changed": "differs", "mine": f"only_{side}", "other": f"only_{other}"}[one.there]
    risk = one.risk
    if risk in ("loss", "gone"):
        lost = direction in ("only_target", "differs") and rows > 0 and risk == "loss"
        risk = "data_loss" if lost else "availability"
    return fill(one.key), direction, risk
