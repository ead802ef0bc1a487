# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Migration files put together by chance from what is hard to split; the same seed makes the same files."""

from __future__ import annotations

import random
from pathlib import Path

# ME stands for a name that no other statement of the corpus has.
STATEMENTS = (
    "create table ME (id int, \"a;b\" text default 'x;y' -- c;\n)",
    "select 'it''s; fine', E'a\\';b', 'c:\\', $$d;e$$, $t$ $$;$$ -- $t$",
    "select 'over\nlines;\n-- no comment;\n/* nor; this'",
    "do $$ begin perform 1; /* ; */ perform ';'; -- ;\nend $$",
    "do $été$ begin execute $x$select ';'$x$; end $été$",
    "create function ME() returns int language plpgsql as $body$\nbegin\n  -- a; $$ b;\n  return length($s$;$s$);\nend;\n$body$",
    "create function ME(x int) returns int language sql begin atomic\n  select case when x > 1 then 2 end; -- ;\n  select x;\nend",
    "create function ME() returns text language sql as 'select '';''::text'",
    "comment on schema public is '日本; €'",
    "select 1 /* a /* ; */ b; */ + 1 -- why;\n, 2",
    "select U&'d\\0061;a', U&'x!0061;' uescape '!', B'101', X'1F'",
    "create view ME as select case when true then ';' else 'end;' end as \"end;\"",
    "select '{\"a\": \";\"}'::jsonb ? 'a', 4 / 2, 2 - -1, array[[1], [2]]",
    'with ME as (select 1 as "é;") select * from ME',
    'create table "ME ä;" ("naïve;" text, begin_ int, atomic int)',
    "prepare ME(int) as select $1 + 1",
    "create table ME$x$ (c$1 int)",
    "table pg_catalog.pg_am",
    "values (';'), ('\t;\f')",
    "(select 1) union all (select 2)",
)
BEFORE = (
    "",
    "",
    "-- about; this\n",
    "/* block; */ ",
    "/* /* nested; */ ; */\n",
    "-- 日本;\n\n-- two\n",
    "\n\t ",
    "--\n",
    "\f\v ",
)
AFTER = ("", "", " ", "\n", " -- why;\n", " /* ; */", "\n\n-- end\n")
BETWEEN = (
    ";\n",
    ";",
    ";;\n",
    " ;\n\n",
    ";\n;\n",
    "; -- after;\n",
    "; /* alone; */ ;\n",
    ";\n-- alone\n;",
    ";\r ",
    ";\t",
)
AT_THE_END = ("", ";", ";\n", ";\n\n-- the end;\n", ";\n/* the end */", ";;\n ; \n", " -- no more", ";\n--")
WRAPPERS = (("", ""), ("", ""), ("", ""), ("BEGIN;\n", ";\nCOMMIT"), ("-- head;\nstart transaction;", "; commit work"))


def write_corpus(directory: Path, *, seed: int, files: int) -> None:
    """Write so many migrations into a directory, each of one to six statements."""
    chance = random.Random(seed)
    directory.mkdir(parents=True)
    for number in range(files):
        opened, closed = chance.choice(WRAPPERS)
        text = opened
        for position in range(chance.randint(1, 6)):
            text += chance.choice(BETWEEN) if position else ""
            statement = chance.choice(STATEMENTS).replace("ME", f"m{number}_{position}")
            text += chance.choice(BEFORE) + statement + chance.choice(AFTER)
        text += closed + chance.choice(AT_THE_END)
        # As bytes: the text layer would translate the carriage returns.
        (directory / f"{20250101000000 + number}_corpus_{number}.sql").write_bytes(text.encode())
