# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A column that becomes an identity column, or stops to be one, with the sequence that counts it. Pure."""

from __future__ import annotations

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, column_of, relation_of
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.conversions import Conversion
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.objects import create_statements
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.parts import CatalogWithParts
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.tables import (
    counting,
    identity_details,
    identity_sequence,
    sequence_statements,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.identifiers import literal


def identity_addition(key: str, wanted: CatalogWithParts, present: CatalogWithParts) -> Conversion | None:
    """What makes a column count by itself, from its highest value on; a sequence of that name goes first."""
    if "identity" not in wanted[key] or "identity" in present[key]:
        return None
    name = CatalogKey.parse(key).name
    relation, column = relation_of(name), column_of(name)
    alter, sequence = f"alter table {relation} alter column {column}", identity_sequence(key, wanted)
    if sequence is None:
        return None
    own = CatalogKey.parse(sequence).name
    statements = [f"{alter} drop default;"] if "default" in present[key] else []
    statements += [f"drop sequence {own};"] if sequence in present else []
    statements += [] if present[key]["not null"] else [f"{alter} set not null;"]
    options = f"(sequence name {own} {counting(wanted[sequence])})"
    statements.append(f"{alter} add generated {wanted[key]['identity']} as identity {options};")
    statements += [*identity_details(key, wanted), _from_the_highest(own, relation, column)]
    return Conversion(statements, ("identity", "default", "not null"), "")


def identity_removal(key: str, wanted: CatalogWithParts, present: CatalogWithParts) -> Conversion | None:
    """What leaves a column to its default; a sequence of the same name is made again, for that default."""
    if "identity" in wanted[key] or "identity" not in present[key]:
        return None
    name = CatalogKey.parse(key).name
    relation, column = relation_of(name), column_of(name)
    alter, sequence = f"alter table {relation} alter column {column}", identity_sequence(key, present)
    statements = [f"{alter} drop identity;"]
    if sequence is not None and sequence in wanted:
        own, owner = CatalogKey.parse(sequence).name, wanted[sequence].get("owned by")
        statements += create_statements(sequence, wanted, {"sequence": sequence_statements})
        statements += [f"alter sequence {own} owned by {owner};"] if owner else []
        statements.append(_from_the_highest(own, relation, column))
    if "default" in wanted[key]:
        statements.append(f"{alter} set default {wanted[key]['default']};")
    return Conversion(statements, ("identity", "default"), "")


def made_with_identity(sequence: str, wanted: CatalogWithParts, present: CatalogWithParts) -> bool:
    """Whether the sequence is dropped and made again because its column becomes an identity column, or stops to be one."""
    columns = {f"column {catalog[sequence].get('owned by')}" for catalog in (wanted, present)}
    return any(
        ("identity" in wanted[column]) != ("identity" in present[column])
        for column in columns
        if column in wanted and column in present
    )


def _from_the_highest(sequence: str, relation: str, column: str) -> str:
    return f"select pg_catalog.setval({literal(sequence)}, max({column})) from {relation} having max({column}) > 0;"
