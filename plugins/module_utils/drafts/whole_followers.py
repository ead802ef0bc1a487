# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be made anew because a column, a key or an enum is dropped or converted; what stands on which. Pure."""

from __future__ import annotations

import re

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, column_of, relation_of
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.conversions import enum_additions
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.names import ROUTINES, mentions, text_of
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.steps import Followers

KEY_CONSTRAINTS = ("PRIMARY KEY", "UNIQUE")
"""What definitions of constraints begin with that an index of the same name enforces and a foreign key may reference."""

_COLUMNS = re.compile(r"\(((?:[^()\"]|\"(?:[^\"]|\"\")*\")*)\)")


class WholeFollowers(Followers):
    """With what a column, a key or an enum holds up."""

    def of_step(self, key: str, is_dropped: bool) -> set[str]:
        """What is to be made anew because this is dropped or converted."""
        kind, name = CatalogKey.parse(key)
        then, now = self._before.get(key), self._after[key]
        if kind == "column":
            relation = relation_of(name)
            is_dropped = is_dropped or then is None or ("generated" in then) > ("generated" in now)
            if not is_dropped and then is not None and then["type"] == now["type"]:
                return set()
            found = self._saying(relation, column_of(name)) | self._computed_from(relation, column_of(name), key)
            # Only converted, its constraints and indexes are PostgreSQL's to take along.
            taken = () if is_dropped else ("constraint ", "index ", "statistics ")
            return {k for k in found if not k.startswith(taken or "-")}
        if kind == "constraint" and is_dropped and now["definition"].startswith(KEY_CONSTRAINTS):
            relation, others = CatalogKey.parse(key).on, self._after.of_kind.get("constraint", ())
            # An index that stays although its constraint goes has to be made again: it goes with it.
            own = {index_of(key)} if then is None else set()
            return own | {k for k in others if references(self._after[k]["definition"], relation, now["definition"])}
        if kind == "type" and then is not None and then.get("labels") != now.get("labels"):
            if enum_additions(key, then["labels"], now.get("labels") or []) is None:
                return self._of_enum(name)
        return set()

    def _of_enum(self, name: str) -> set[str]:
        found: set[str] = set()
        for key in self._after.of_kind.get("column", ()):
            if self._after[key]["type"] in (name, f"{name}[]"):
                column = CatalogKey.parse(key).name
                found |= self._saying(relation_of(column), column_of(column))
        routines = [key for kind in ROUTINES for key in self._after.of_kind.get(kind, ())]
        found |= {key for key in routines if mentions(text_of(self._after[key]) + "\n" + key, f"type {name}")}
        others = [
            k
            for kind in ("constraint", "index", "policy", "trigger", "view")
            for k in self._after.of_kind.get(kind, ())
        ]
        return found | {key for key in others if mentions(text_of(self._after[key]), f"type {name}")}

    def _computed_from(self, relation: str, column: str, key: str) -> set[str]:
        columns = self._after.columns(relation)
        return {
            k
            for k, _n, told in columns
            if k != key and k in self._before and says_word(told.get("generated", ""), column)
        }

    def _saying(self, relation: str, column: str) -> set[str]:
        table = f"table {relation}"
        near = {self._keys[n] for n in self._words.that_may_mention(table) if mentions(self._texts[n], table)}
        near |= {key for key in self._after.parts.get(relation, ()) if not key.startswith(("column ", "sequence "))}
        return {key for key in near if key in self._before and says_word(text_of(self._after[key]), column)}


def references(foreign_key: str, relation: str, key: str) -> bool:
    """Whether a foreign key, by its definition, references the columns of a key of the relation, by the definition of that."""
    after = foreign_key.partition(f" REFERENCES {relation}(")[2]
    if not foreign_key.startswith("FOREIGN KEY") or not after:
        return False
    mine, theirs = _COLUMNS.search(f"({after}"), _COLUMNS.search(key)
    return bool(mine and theirs) and _names(mine) == _names(theirs)


def _names(match: re.Match[str] | None) -> list[str]:
    return sorted(match[1].split(", ")) if match else []


def index_of(constraint: str) -> str:
    """The key of the index with the name of a constraint."""
    parsed = CatalogKey.parse(constraint)
    return f"index {parsed.schema}.{parsed.own_name}"


def says_word(text: str, name: str) -> bool:
    """Whether a text says a name, as SQL, as a word."""
    return re.search(rf'(?<![\w$"]){re.escape(name)}(?![\w$"])', text) is not None
