# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bridge proven by running it: on copies of the target, as drafted and in full, and back again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.apply.script_runner import run_script, run_statement
from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import DumpTools
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import PgopsError, reason_of
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, column_of, relation_of
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    Catalog,
    compare_catalogs,
    read_catalog,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.names import mentions, owner_relation, text_of
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.steps import NotCovered
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.whole import draft_whole
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.bridge_copy import (
    Copy,
    clone,
    dump_lines,
    dump_schemas,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.bridge_documents import Trial
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.bridge_files import (
    DraftedFile,
    rollback_statements,
)
from ansible_collections.pgops.supabase.plugins.module_utils.servers.scratch import ScratchServer
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import OWNER, SUPERUSER
from ansible_collections.pgops.supabase.plugins.module_utils.sql.runnable import runnable
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import parse_script

_AS_DRAFTED, _IN_FULL = "as_drafted", "in_full"
# SQLSTATE insufficient_privilege.
_NOT_ALLOWED = "42501"
_SHOWN = 20


@dataclass(frozen=True)
class Judge:
    """What a proof compares with.

    :param source_dump: what pg_dump wrote of a copy of the source; None where only its catalog is known.
    """

    scratch: ScratchServer
    source: Catalog
    schemas: Sequence[str]
    target: Copy
    target_dump: str
    source_dump: str | None
    tools: DumpTools
    place: Path


@dataclass
class Proof:
    """What running the draft found, and the rollbacks that were drafted from what each file had done."""

    as_drafted: Trial = field(default_factory=lambda: Trial(executed=False))
    in_full: Trial = field(default_factory=lambda: Trial(executed=False))
    rollback: Trial = field(default_factory=lambda: Trial(executed=False))
    rollbacks: dict[str, list[str]] = field(default_factory=dict)
    not_covered: dict[str, list[NotCovered]] = field(default_factory=dict)
    applied_as: str = OWNER


def prove(judge: Judge, files: Sequence[DraftedFile], left: Sequence[NotCovered]) -> Proof:
    """Run the draft as the project's role; where that may not do something here, all of it as the superuser.

    :param left: what the draft does not cover.
    """
    proof = _prove(judge, files, left, OWNER)
    if proof is None:
        proof = _prove(judge, files, left, SUPERUSER)
    if proof is None:
        raise AssertionError("the superuser may do it")
    return proof


class _NotAllowed(Exception):
    """The role may not do it on this server."""


def _prove(judge: Judge, files: Sequence[DraftedFile], left: Sequence[NotCovered], role: str) -> Proof | None:
    proof = Proof(applied_as=role)
    names = {name: f"{judge.target.database}_{name}_{role}" for name in (_AS_DRAFTED, _IN_FULL)}
    for name in names.values():
        clone(judge.scratch, judge.target.database, name)
    commented = [step.key for file in files for step in file.steps if step.destroys]
    explaining = _Explaining([*commented, *(item.key for item in left)], (judge.source, judge.target.catalog))
    try:
        drafted = judge.scratch.connection(names[_AS_DRAFTED], role)
        proof.as_drafted = _forth(drafted, judge, files, proof)
        if proof.as_drafted.executed:
            _explain(proof.as_drafted, drafted, judge, explaining)
            proof.rollback = _back(drafted, judge, files, proof)
        full = judge.scratch.connection(names[_IN_FULL], role)
        proof.in_full = _in_full(full, judge, files)
        _explain(
            proof.in_full, full, judge, _Explaining([item.key for item in left], (judge.source, judge.target.catalog))
        )
    except _NotAllowed:
        if role == OWNER:
            return None
        raise
    return proof


def _forth(options: ConnectionOptions, judge: Judge, files: Sequence[DraftedFile], proof: Proof) -> Trial:
    """Run each file as drafted, and draft from what it did how that is taken back."""
    before = judge.target.catalog
    for file in files:
        failure = _run(options, f"{file.label}.sql", file.statements(in_full=False), alone=file.outside_transaction)
        if failure:
            return Trial(executed=False, failure=failure)
        after = _catalog(options, judge)
        back = draft_whole(before, after)
        proof.rollbacks[file.label] = rollback_statements(back.steps)
        proof.not_covered[file.label] = back.not_covered
        before = after
    return Trial(executed=True)


def _back(options: ConnectionOptions, judge: Judge, files: Sequence[DraftedFile], proof: Proof) -> Trial:
    for file in reversed(files):
        failure = _run(options, f"rollback of {file.label}.sql", proof.rollbacks[file.label])
        if failure:
            return Trial(executed=False, failure=failure)
    wanted, found = judge.target.catalog, _catalog(options, judge)
    trial = Trial(executed=True, differences=compare_catalogs(placed(found, wanted), wanted))
    trial.unexplained = trial.differences
    _compare_dumps(trial, judge.target_dump, options, judge)
    return trial


def _in_full(options: ConnectionOptions, judge: Judge, files: Sequence[DraftedFile]) -> Trial:
    for file in files:
        failure = _run(
            options, f"{file.label}.sql in full", file.statements(in_full=True), alone=file.outside_transaction
        )
        if failure:
            return Trial(executed=False, failure=failure)
    trial = Trial(executed=True)
    if judge.source_dump is not None:
        _compare_dumps(trial, judge.source_dump, options, judge)
    return trial


def _explain(trial: Trial, options: ConnectionOptions, judge: Judge, explaining: _Explaining) -> None:
    """Tell what is left, and which of it nothing that was left to a person accounts for."""
    if not trial.executed:
        return
    found = _with_extensions_of(judge, placed(_catalog(options, judge), judge.source))
    trial.differences = compare_catalogs(found, judge.source)
    rest = {key for key in found.keys() | judge.source.keys() if found.get(key) != judge.source.get(key)}
    unexplained = {key for key in rest if not explaining.accounts_for(key, found)}
    names = {(CatalogKey.parse(key).kind, CatalogKey.parse(key).name) for key in unexplained}
    trial.unexplained = [change for change in trial.differences if (change.object_type, change.object_name) in names]


class _Explaining:
    """The objects that were left as they are, and what can differ because of that."""

    def __init__(self, keys: Iterable[str], catalogs: Sequence[Catalog]) -> None:
        self._keys = set(keys)
        self._names = {CatalogKey.parse(key).name for key in self._keys}
        self._catalogs = catalogs

    def accounts_for(self, key: str, found: Catalog) -> bool:
        """Whether the object, in the catalog that was found or before, is one of them, belongs to one, or speaks of one."""
        if key in self._keys:
            return True
        if key.startswith("column "):
            relation = relation_of(CatalogKey.parse(key).name)
            views = (f"{kind} {relation}" for kind in ("view", "materialized view"))
            if any(view in found and self.accounts_for(view, found) for view in views):
                return True
        for catalog in (*self._catalogs, found):
            told = catalog.get(key)
            if told is None:
                continue
            if owner_relation(key, told) in self._names or self._of_parent(key, catalog):
                return True
            text = f"{text_of(told)}\n{CatalogKey.parse(key).on}"
            if any(_speaks_of(text, other) for other in self._keys):
                return True
        return False

    def _of_parent(self, key: str, catalog: Catalog) -> bool:
        """Whether it is the column of a child, and its parent's is one of them."""
        kind, name = CatalogKey.parse(key)
        parents = catalog.get(f"table {relation_of(name)}", {}).get("inherits") or [] if kind == "column" else []
        return any(f"column {parent}.{column_of(name)}" in self._keys for parent in parents)


def _speaks_of(text: str, key: str) -> bool:
    kind, name = CatalogKey.parse(key)
    if kind != "column":
        return mentions(text, key)
    word = re.escape(column_of(name))
    return relation_of(name) in text and re.search(rf'(?<![\w$"]){word}(?![\w$"])', text) is not None


def placed(found: Catalog, wanted: Catalog) -> Catalog:
    """The found catalog with the columns of tables at the places that they are wanted at: those follow from when each was added."""
    at_places = dict(found)
    for key in wanted.keys() & found.keys():
        if key.startswith("column ") and f"table {relation_of(CatalogKey.parse(key).name)}" in wanted:
            at_places[key] = {**found[key], "position": wanted[key]["position"]}
    return at_places


def _with_extensions_of(judge: Judge, found: Catalog) -> Catalog:
    """An extension has the version, and when it is made the comment, of the server's own files: here those of the scratch server."""
    known = dict(found)
    for key in (key for key in found.keys() & judge.source.keys() if key.startswith("extension ")):
        told = {**found[key], "version": judge.source[key]["version"]}
        if key not in judge.target.catalog:
            told = {**judge.source[key], "schema": found[key]["schema"]}
        known[key] = told
    return known


def _compare_dumps(trial: Trial, wanted: str, options: ConnectionOptions, judge: Judge) -> None:
    superuser = judge.scratch.connection(options.login_db)
    text = dump_schemas(judge.tools, superuser, SessionSettings(), judge.schemas, judge.place / "found.sql")
    one, other = dump_lines(wanted), dump_lines(text)
    missing = [f"- {line}" for line in (one - other).elements()] + [f"+ {line}" for line in (other - one).elements()]
    trial.dump_equal = not missing
    trial.dump_differences = missing[:_SHOWN]


def _catalog(options: ConnectionOptions, judge: Judge) -> Catalog:
    with session(options, SessionSettings(read_only=True)) as connection:
        return read_catalog(connection, judge.schemas)


def _run(options: ConnectionOptions, name: str, statements: Sequence[str], *, alone: bool = False) -> str | None:
    """Run what a file holds; why it failed, or None.

    :raises _NotAllowed: when the role may not do it.
    """
    if not statements:
        return None
    script = runnable(parse_script(name, "\n".join(statements)), outside_transaction=alone)
    try:
        with session(options, autocommit=alone) as connection:
            if alone:
                for statement in script.statements:
                    run_statement(connection, script.script, statement, name)
            else:
                run_script(connection, script, what=name)
                connection.commit()
    except PgopsError as error:
        if error.details.get("sqlstate") == _NOT_ALLOWED and options.login_user == OWNER:
            raise _NotAllowed from error
        return f"{reason_of(error)} ({error.where})"
    return None
