# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The locks that a statement will take, told from its text alone; an executed dry run knows them for certain.

The modes are those of PostgreSQL's "Explicit Locking" and of the commands' reference pages. What a DO block or a function does
cannot be told before it runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.pgops.supabase.plugins.module_utils.sql.documents import ExpectedLock
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Node, Script, Statement
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import walk

_BY_STATEMENT = {
    "IndexStmt": "ShareLock",
    "CreateTrigStmt": "ShareRowExclusiveLock",
    "CreatePolicyStmt": "AccessExclusiveLock",
    "AlterPolicyStmt": "AccessExclusiveLock",
    "RenameStmt": "AccessExclusiveLock",
    "AlterObjectSchemaStmt": "AccessExclusiveLock",
    "ClusterStmt": "AccessExclusiveLock",
    "RuleStmt": "AccessExclusiveLock",
    "ViewStmt": "AccessExclusiveLock",
    "InsertStmt": "RowExclusiveLock",
    "UpdateStmt": "RowExclusiveLock",
    "DeleteStmt": "RowExclusiveLock",
    "MergeStmt": "RowExclusiveLock",
    "CopyStmt": "RowExclusiveLock",
}
# ALTER TABLE takes ACCESS EXCLUSIVE unless its page says otherwise; the strongest of its commands counts.
_WEAKER_ALTER = {
    "AT_ValidateConstraint": "ShareUpdateExclusiveLock",
    "AT_SetStatistics": "ShareUpdateExclusiveLock",
    "AT_SetOptions": "ShareUpdateExclusiveLock",
    "AT_ClusterOn": "ShareUpdateExclusiveLock",
    "AT_AttachPartition": "ShareUpdateExclusiveLock",
    "AT_EnableTrig": "ShareRowExclusiveLock",
    "AT_DisableTrig": "ShareRowExclusiveLock",
}
_STRENGTH = ("ShareUpdateExclusiveLock", "ShareRowExclusiveLock", "AccessExclusiveLock")
_UNKNOWN_UNTIL_RUN = {"DoStmt": "a DO block", "CallStmt": "a procedure"}

# About seven for a table with a key, a text column and an index: the table, its type, its TOAST table and index, and each index.
LOCKS_OF_A_NEW_TABLE = 5


def expected_locks(script: Script) -> list[ExpectedLock]:
    """The locks of all statements of a script, in order, each relation and mode where it is first taken."""
    seen: set[tuple[str, str]] = set()
    locks = []
    for statement in script.statements:
        for relation, mode in _locks_of(statement):
            if (relation, mode) not in seen:
                seen.add((relation, mode))
                locks.append(ExpectedLock(relation=relation, mode=mode, where=str(statement.position)))
    return locks


def entries_in_the_lock_table(script: Script) -> int:
    """About how many entries of the server's lock table the script needs in one transaction."""
    return sum(_entries(statement) for statement in script.statements)


def _entries(statement: Statement) -> int:
    if statement.tag != "CreateStmt":
        return 1
    keys = sum(item.get("contype") in ("CONSTR_PRIMARY", "CONSTR_UNIQUE") for item in walk(statement.node))
    return LOCKS_OF_A_NEW_TABLE + keys


def _locks_of(statement: Statement) -> Iterator[tuple[str, str]]:
    node, tag = statement.node, statement.tag
    if tag in _UNKNOWN_UNTIL_RUN:
        yield f"whatever {_UNKNOWN_UNTIL_RUN[tag]} touches", "known when it runs"
    elif tag == "AlterTableStmt":
        yield from _locks_of_alter(node)
    elif tag == "DropStmt" and node.get("removeType") in (
        "OBJECT_TABLE",
        "OBJECT_INDEX",
        "OBJECT_VIEW",
        "OBJECT_MATVIEW",
    ):
        mode = "ShareUpdateExclusiveLock" if node.get("concurrent") else "AccessExclusiveLock"
        for item in node["objects"]:
            yield ".".join(part["String"]["sval"] for part in item["List"]["items"]), mode
    elif tag == "DropStmt" and node.get("removeType") in ("OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"):
        for item in node["objects"]:
            yield ".".join(part["String"]["sval"] for part in item["List"]["items"][:-1]), "AccessExclusiveLock"
    elif tag == "TruncateStmt":
        for relation in node["relations"]:
            yield _name(relation["RangeVar"]), "AccessExclusiveLock"
    elif tag == "LockStmt":
        for relation in node["relations"]:
            yield _name(relation["RangeVar"]), "as it says"
    elif tag == "RefreshMatViewStmt":
        yield _name(node["relation"]), "ExclusiveLock" if node.get("concurrent") else "AccessExclusiveLock"
    elif tag == "CreateStmt":
        for parent in node.get("inhRelations", []):
            yield _name(parent["RangeVar"]), (
                "AccessExclusiveLock" if "partbound" in node else "ShareUpdateExclusiveLock"
            )
        for constraint in _foreign_keys(node):
            yield _name(constraint["pktable"]), "ShareRowExclusiveLock"
    elif tag in ("ReindexStmt", "VacuumStmt") or (tag == "ClusterStmt" and "relation" not in node):
        yield from _locks_of_upkeep(tag, node)
    elif tag in _BY_STATEMENT:
        relation = node.get("relation") or node.get("table") or node.get("view")
        if relation:
            concurrent = tag == "IndexStmt" and bool(node.get("concurrent"))
            yield _name(relation), "ShareUpdateExclusiveLock" if concurrent else _BY_STATEMENT[tag]


def _locks_of_upkeep(tag: str, node: Node) -> Iterator[tuple[str, str]]:
    if tag == "ReindexStmt":
        alone = "ShareLock" if node["kind"] == "REINDEX_OBJECT_TABLE" else "AccessExclusiveLock"
        what = (
            _name(node["relation"])
            if "relation" in node
            else f"one after the other, the indexes of {node.get('name', 'all')}"
        )
        yield what, "ShareUpdateExclusiveLock" if _has_option(node, "params", "concurrently") else alone
    elif tag == "VacuumStmt":
        mode = "AccessExclusiveLock" if _has_option(node, "options", "full") else "ShareUpdateExclusiveLock"
        relations = [item["VacuumRelation"]["relation"] for item in node.get("rels", [])]
        for what in map(_name, relations) if relations else ["one after the other, all tables"]:
            yield what, mode
    else:
        yield "one after the other, all tables that were clustered before", "AccessExclusiveLock"


def _locks_of_alter(node: Node) -> Iterator[tuple[str, str]]:
    modes = []
    for command in (item["AlterTableCmd"] for item in node.get("cmds", [])):
        foreign_key = command.get("def", {}).get("Constraint", {})
        if foreign_key.get("contype") == "CONSTR_FOREIGN":
            yield _name(foreign_key["pktable"]), "ShareRowExclusiveLock"
            modes.append("ShareRowExclusiveLock")
        else:
            for reference in _foreign_keys({"tableElts": [command.get("def", {})]}):
                yield _name(reference["pktable"]), "ShareRowExclusiveLock"
            partition = command.get("def", {}).get("PartitionCmd", {})
            mode = _WEAKER_ALTER.get(command.get("subtype", ""), "AccessExclusiveLock")
            if partition.get("concurrent"):
                mode = "ShareUpdateExclusiveLock"
            if "name" in partition:
                yield _name(partition["name"]), mode if partition.get("concurrent") else "AccessExclusiveLock"
            modes.append(mode)
    if node.get("relation"):
        yield _name(node["relation"]), max(modes or ["AccessExclusiveLock"], key=_STRENGTH.index)


def _has_option(node: Node, options: str, name: str) -> bool:
    return any(item["DefElem"]["defname"] == name for item in node.get(options, []))


def _foreign_keys(node: Node) -> Iterator[Node]:
    for element in node.get("tableElts", []):
        constraints = [element.get("Constraint")] + [
            item.get("Constraint") for item in element.get("ColumnDef", {}).get("constraints", [])
        ]
        yield from (c for c in constraints if c and c.get("contype") == "CONSTR_FOREIGN")


def _name(relation: Node) -> str:
    return ".".join(part for part in (relation.get("schemaname"), relation["relname"]) if part)
