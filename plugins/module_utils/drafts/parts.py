# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A catalog that knows what belongs to what, and where a name is said, so that no draft has to look through all of it for
each object. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, column_of, cut
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import Catalog
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.names import owner_relation

_WORD = re.compile(r"[\w$]+")


class CatalogWithParts(dict[str, dict[str, Any]]):
    """A catalog that is not changed any more.

    ``parts`` holds, for a relation or a domain by its name, the keys of what belongs to it; ``of_kind`` the keys of each
    type of object. Both in the catalog's order.
    """

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog)
        self.parts: Mapping[str | None, list[str]] = defaultdict(list)
        self.of_kind: Mapping[str, list[str]] = defaultdict(list)
        for key, definition in self.items():
            self.parts[owner_relation(key, definition)].append(key)
            self.of_kind[CatalogKey.parse(key).kind].append(key)

    def columns(self, relation: str) -> list[tuple[str, str, Mapping[str, Any]]]:
        """The relation's columns: key, name as SQL and definition."""
        return [
            (key, column_of(CatalogKey.parse(key).name), self[key])
            for key in self.parts.get(relation, ())
            if key.startswith("column ")
        ]


class Words:
    """Texts by the words that they say, so that not each has to be searched for every name."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._saying: dict[str, set[int]] = defaultdict(set)
        for number, text in enumerate(texts):
            for word in set(_WORD.findall(text)):
                self._saying[word].add(number)

    def that_may_mention(self, key: str) -> set[int]:
        """The places of all texts that mention the object, and others: a mention of a name holds every word of it."""
        words = _WORD.findall(cut(CatalogKey.parse(key).name, "(")[0])
        return min((self._saying.get(word, set()) for word in words), key=len, default=set())
