# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches of migrations made by chance, which a dry run and the run after it are to judge alike.

Nothing here knows which of them are good: names come from small pools, so that files meet what earlier ones made, dropped or
left wrong. The same number makes the same batch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

# Rows that some constraints would refuse, a deferred foreign key and a deferred key, an enum and partitions.
START = """
create type public.mood as enum ('calm', 'cross');
create table public.clients (id int primary key, name text, email text);
insert into public.clients select i, case when i > 2 then 'client ' || i end, 'c' || i % 15 from generate_series(1, 20) i;
create table public.orders (
    id int primary key, client int, total int,
    constraint orders_client foreign key (client) references public.clients deferrable initially deferred
);
insert into public.orders select i, i % 20 + 1, i - 3 from generate_series(1, 30) i;
create table public.notes (
    id int primary key, mood public.mood, body text, "order" int,
    constraint notes_body unique (body) deferrable initially deferred
);
insert into public.notes select i, 'calm', 'note ' || i, i from generate_series(1, 10) i;
create table public.events (id int, at int) partition by range (at);
create table public.events_1 partition of public.events for values from (0) to (100);
create table public.events_2 partition of public.events for values from (100) to (200);
insert into public.events select i, i from generate_series(1, 150) i;
"""


class Dice(random.Random):
    """Chance, and how careful the author of a batch is."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.careful = self.random() < 0.6
        self._made = 1000

    def new_id(self) -> int:
        """A key that nobody has yet."""
        self._made += 1
        return self._made

    def slips(self) -> bool:
        """Whether the author is careless now."""
        return self.random() < (0.01 if self.careful else 0.5)


_Make = Callable[[Dice], str]


def _table(dice: Dice) -> str:
    return dice.choice(("clients", "orders", "notes"))


def _new(dice: Dice) -> str:
    return f"made_{dice.randrange(4)}"


def _index(dice: Dice) -> str:
    return f"index_{dice.randrange(3)}"


def _value(dice: Dice) -> str:
    return f"mood_{dice.randrange(2)}"


def _id(dice: Dice) -> int:
    """A key for a new row."""
    return dice.choice((dice.randrange(1, 20), *range(100, 103))) if dice.slips() else dice.new_id()


def _known(dice: Dice) -> int:
    """The key of a row that is there."""
    return dice.choice((*range(100, 106), 1001)) if dice.slips() else dice.randrange(1, 11)


def _unless_careless(dice: Dice, words: str) -> str:
    return "" if dice.slips() else f"{words} "


def _enum(dice: Dice) -> str:
    return f"alter type public.mood add value {_unless_careless(dice, 'if not exists')}'{_value(dice)}'"


def _concurrently(dice: Dice) -> str:
    kind = "unique " if dice.slips() else ""
    places = ["clients (email)", "clients (id, email)", "orders (client)", "notes (body)", "notes (mood)"]
    if dice.slips():
        places += ["made_0 (id)", "events (at)"]
    tolerant = _unless_careless(dice, "if not exists")
    return f"create {kind}index concurrently {tolerant}{_index(dice)}\n  on public.{dice.choice(places)}"


# How often a statement is drawn, and what makes it: what is right where the author is careful, and what may be wrong anyway.
_TRANSACTIONAL: Sequence[tuple[int, _Make]] = (
    (
        6,
        lambda d: f"create table {_unless_careless(d, 'if not exists')}public.{_new(d)} (id int primary key, label text)",
    ),
    (2, lambda d: f"drop table {_unless_careless(d, 'if exists')}public.{_new(d)}"),
    (
        4,
        lambda d: f"alter table public.{_table(d)} add column {_unless_careless(d, 'if not exists')}extra_{d.randrange(3)} int",
    ),
    (3, lambda d: f"insert into public.clients (id, name) values ({_id(d)}, 'somebody')"),
    (4, lambda d: f"insert into public.orders (id, client, total) values ({_id(d)}, {_known(d)}, 1)"),
    (3, lambda d: f"insert into public.notes (id, body) values ({(key := _id(d))}, 'note {key}')"),
    (2, lambda d: f"delete from public.notes where id > {d.randrange(8, 12)}"),
    (2, lambda d: "update public.clients set name = 'none' where name is null"),
    (1, lambda d: "delete from public.orders where total <= 0"),
    (2, lambda d: f"drop index {_unless_careless(d, 'if exists')}public.{_index(d)}"),
    (2, lambda d: f"create or replace view public.seen as select id from public.{_table(d)}"),
    (2, lambda d: "create or replace function public.twice(n int) returns int language sql as 'select 2 * n'"),
    (2, lambda d: "set constraints all immediate"),
    (1, lambda d: "set search_path = public"),
    (1, lambda d: "comment on table public.orders is 'what was ordered'"),
    (5, _enum),
    (2, lambda d: f"create table public.later_{d.new_id()} as select distinct mood from public.notes"),
)
_RISKY: Sequence[tuple[int, _Make]] = (
    (3, lambda d: f"insert into public.{_new(d)} values ({_id(d)}, 'label')"),
    (2, lambda d: f"update public.{_table(d)} set extra_{d.randrange(3)} = id"),
    (2, lambda d: f"alter table public.{_table(d)} add column strict_{d.randrange(3)} int not null"),
    (2, lambda d: f"delete from public.clients where id = {_known(d)}"),
    (2, lambda d: "alter table public.clients alter column name set not null"),
    (2, lambda d: "alter table public.orders\n  add constraint orders_total check (total > 0)"),
    (
        2,
        lambda d: 'alter table public.notes\n  add constraint notes_order\n  foreign key ("order") references public.orders',
    ),
    (1, lambda d: "alter table public.orders validate constraint orders_total"),
    (2, lambda d: f"create unique index {_index(d)} on public.{d.choice(('clients (email)', 'notes (id, body)'))}"),
    (2, lambda d: f"alter table public.clients add constraint clients_key unique using index {_index(d)}"),
    (1, lambda d: f"comment on index public.{_index(d)} is 'of use'"),
    (1, lambda d: f"select public.twice({d.choice(('1', repr('x')))})"),
    (1, lambda d: f"select 1,\n  10 / (select count(*) - {d.choice((20, 99))} from public.clients)"),
    (1, lambda d: "do $$ begin if (select count(*) from public.notes) > 10 then raise 'too many'; end if; end $$"),
    (1, lambda d: f"do $$ begin insert into public.clients (id) values ({_known(d)}); end $$"),
    (2, lambda d: f"insert into public.orders (id, client, total) values ({_id(d)}, {d.new_id()}, 1)"),
    (2, lambda d: f"insert into public.notes (id, body) values ({_id(d)}, 'note {_known(d)}')"),
    (1, lambda d: "update public.clients\n  set nonsense = 1"),
    (1, lambda d: "selct 1"),
    (1, lambda d: "alter type public.mood rename value 'calm' to 'quiet'"),
    (1, lambda d: f"insert into public.events values (1, {d.choice((50, 150, 500))})"),
    (1, lambda d: "create table public.events_3 partition of public.events for values from (200) to (300)"),
)
_OF_THE_VALUE: Sequence[tuple[int, _Make]] = (
    (
        6,
        lambda d: f"insert into public.notes (id, mood, body, \"order\") values ({(key := _id(d))}, '{_value(d)}', 'of {key}', {key})",
    ),
    (2, lambda d: f"update public.notes set mood = '{_value(d)}' where id = {_known(d)}"),
    (2, lambda d: f"alter table public.notes alter column mood set default '{_value(d)}'"),
    (1, lambda d: f"create index on public.notes (id) where mood = '{_value(d)}'"),
)
_OUTSIDE: Sequence[tuple[int, _Make]] = (
    (6, _concurrently),
    (2, lambda d: f"drop index concurrently {_unless_careless(d, 'if exists')}public.{_index(d)}"),
    (
        2,
        lambda d: f"vacuum {d.choice(('public.clients', 'public.notes, public.orders', '(analyze) public.orders (id)'))}",
    ),
    (1, lambda d: f"vacuum public.{_new(d) if d.slips() else 'notes'}"),
    (1, lambda d: f"reindex index concurrently public.{_index(d) if d.slips() else 'clients_pkey'}"),
    (1, lambda d: f"reindex table concurrently public.{_table(d)}"),
    (1, lambda d: "alter table public.events detach partition public.events_2 concurrently"),
)


def batch(number: int) -> Mapping[str, str]:
    """The files of a batch: name without suffix, and content."""
    dice = Dice(number)
    files = range(1, dice.randrange(2, 6))
    return {f"2026010{place}000000_file_{place}": _file(dice, place) for place in files}


def _file(dice: Dice, place: int) -> str:
    shape = dice.choices(("plain", "wrapped", "transactions", "outside"), weights=(10, 3, 3, 5))[0]
    known = (*_TRANSACTIONAL, *(_OF_THE_VALUE if place > 1 or dice.slips() else ()))
    if shape == "outside":
        return _text(
            dice, _drawn(dice, (*known, *[(weight * 8, make) for weight, make in _OUTSIDE]), dice.randrange(1, 5))
        )
    statements = _drawn(dice, known, dice.randrange(1, 6))
    if shape == "wrapped":
        before = dice.choice(([], ["set lock_timeout = '2s'"]))
        return _text(dice, [*before, "begin", *statements, "commit"])
    if shape == "transactions":
        more = _drawn(dice, known, dice.randrange(1, 4))
        return _text(dice, ["begin", *statements, "commit", *dice.choice((["begin", *more, "commit"], more))])
    return _text(dice, statements)


def _drawn(dice: Dice, kinds: Sequence[tuple[int, _Make]], number: int) -> list[str]:
    drawn = []
    for _time in range(number):
        among = _RISKY if dice.slips() or dice.random() < 0.02 else kinds
        (make,) = dice.choices([make for _weight, make in among], weights=[weight for weight, _make in among])
        drawn.append(make(dice))
    return drawn


def _text(dice: Dice, statements: Sequence[str]) -> str:
    comments = ("", "", "-- what comes next\n", "\n  ")
    return "".join(f"{dice.choice(comments)}{statement};{dice.choice((' ', chr(10)))}" for statement in statements)
