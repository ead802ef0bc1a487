# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge between Ansible and the engine: argument-spec pieces, one place that turns errors into failures."""

from __future__ import annotations

import getpass
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, PgopsError, State
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.lease import kept_alive
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    is_loopback,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import server_error

ArgumentSpec = dict[str, dict[str, Any]]


class _Committing(Protocol):
    """The document of a work that may commit."""

    committed: bool

    def as_dict(self) -> dict[str, Any]:
        """The document as plain data."""


Committing = TypeVar("Committing", bound=_Committing)

CONNECTION_ARGUMENTS: ArgumentSpec = {
    "login_host": {"type": "str", "required": True},
    "login_port": {"type": "int", "default": 5432},
    "login_user": {"type": "str", "default": "postgres"},
    "login_password": {"type": "str", "no_log": True},
    "login_db": {"type": "str", "default": "postgres"},
    "ssl_mode": {
        "type": "str",
        "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
        "default": "verify-full",
    },
    "ca_cert": {"type": "path"},
    "ssl_cert": {"type": "path"},
    "ssl_key": {"type": "path"},
    "connect_params": {"type": "dict", "default": {}},
    "session_role": {"type": "str"},
}

RUN_ARGUMENTS: ArgumentSpec = {
    "run_id": {"type": "str"},
    "run_dir": {"type": "path"},
}

TIMEOUT_ARGUMENTS: ArgumentSpec = {
    "lock_timeout_seconds": {"type": "float", "default": 5.0},
    "statement_timeout_seconds": {"type": "float", "default": 600.0},
}

LOCK_ARGUMENTS: ArgumentSpec = {
    "lock_wait_seconds": {"type": "float", "default": 10.0},
    "retries": {"type": "int", "default": 3},
    "schemas": {"type": "list", "elements": "str"},
}

BASELINE_ARGUMENTS: ArgumentSpec = {
    "baseline": {"type": "raw"},
}

MIGRATIONS_ARGUMENTS: ArgumentSpec = {
    "supabase_dir": {"type": "path", "required": True},
}


CLIENT_CHECK_INTERVAL_MS = 2000
# Verdicts of what needs nobody's attention.
_IN_ORDER = ("PASS", "adopted", "known")
SQL_LIBRARIES = ("psycopg2", "pglast")


def connection_options(params: Mapping[str, Any]) -> ConnectionOptions:
    """The connection of a module's parameters.

    :raises InputError: when the encryption asked for would be weaker than a password on a network needs.
    """
    options = ConnectionOptions(**{name: params[name] for name in CONNECTION_ARGUMENTS})
    for name in ("ca_cert", "ssl_cert", "ssl_key"):
        if params[name] and not Path(params[name]).is_file():
            raise InputError(
                f"There is no file {params[name]}",
                where=name,
                next_step=f"Correct {name} (project_ca_cert in the inventory); Supabase offers its certificate for download.",
            )
    if options.ssl_mode in ("disable", "allow", "prefer") and not is_loopback(options.login_host):
        raise InputError(
            f"ssl_mode {options.ssl_mode} would let the password travel to {options.login_host} unencrypted",
            where="ssl_mode",
            next_step="Use ssl_mode: verify-full with Supabase's CA in ca_cert; prefer is for loopback only.",
        )
    return options


def session_settings(params: Mapping[str, Any]) -> SessionSettings:
    """The bounds of every statement, of a module that takes C(TIMEOUT_ARGUMENTS)."""
    return SessionSettings(
        lock_timeout_ms=lock_timeout_milliseconds(params["lock_timeout_seconds"]),
        statement_timeout_ms=milliseconds(params["statement_timeout_seconds"]),
        client_check_interval_ms=CLIENT_CHECK_INTERVAL_MS,
    )


def read_only_settings(params: Mapping[str, Any]) -> SessionSettings:
    """The same for a module that only reads: the server refuses it any change."""
    return replace(session_settings(params), read_only=True)


def optional_path(value: str | None) -> Path | None:
    """An option of type path that may be left out."""
    return Path(value) if value else None


def catalog_diff(changes: Sequence[CatalogChange]) -> dict[str, str]:
    """What diff mode shows: a line for each object that differs."""
    signs = {"created": "+", "changed": "~", "dropped": "-"}
    lines = [f"{signs[c.change]} {c.object_type} {c.object_name}  {c.detail}".rstrip() for c in changes]
    return {"prepared": "\n".join(lines) + "\n" if lines else ""}


def operator() -> str:
    """Who runs this, as the machine knows them; it stands in the ledger."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def milliseconds(seconds: float) -> int:
    """Seconds of an option as PostgreSQL's milliseconds; what is more than nothing stays so, since V(0) is no limit to it."""
    return max(1, round(seconds * 1000)) if seconds > 0 else round(seconds * 1000)


def lock_timeout_milliseconds(seconds: float) -> int:
    """The same for a lock: whoever waits for one without a limit holds up everybody who comes after.

    :raises InputError: when it is no limit.
    """
    if seconds <= 0:
        raise InputError(
            f"{seconds} seconds are no limit: a statement that waits for a lock holds up everybody who comes after it",
            where="lock_timeout_seconds",
            next_step="Give more than 0.",
        )
    return milliseconds(seconds)


def make_module(
    arguments: ArgumentSpec, *, libraries: Sequence[str] = ("psycopg2",), **constraints: Any
) -> AnsibleModule:
    """An Ansible module whose third-party libraries are there.

    C(constraints) are Ansible's own: C(required_if), C(mutually_exclusive) and the like.
    """
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True, **constraints)
    for library in libraries:
        if importlib.util.find_spec(library) is None:
            module.fail_json(msg=missing_required_lib(library))
    return module


def worth_showing(document: Any) -> Any:
    """A partial result without what is in order: who reads a failure looks for what is not. The run's files hold all of it."""
    if isinstance(document, dict):
        return {name: worth_showing(value) for name, value in document.items() if not _is_long(name, value)}
    if isinstance(document, list):
        wrong = [
            item
            for item in document
            if not (isinstance(item, dict) and (item.get("verdict") in _IN_ORDER or item.get("new_object")))
        ]
        return [worth_showing(item) for item in wrong]
    return document


def _is_long(name: str, value: Any) -> bool:
    """Lists of all that went well: objects that were made, and statements that ran."""
    return name in ("catalog_changes", "objects") or (name == "statements" and isinstance(value, list))


def with_document(
    name: str, file: Path | None, work: Callable[[], Committing], failure: type[PgopsError]
) -> Committing:
    """Do what may commit, and keep its document, that of a failure too where it changed something: for the run's verdict.

    :param name: of the work, and of its document in the result of a failure.
    :param file: where the document goes; None keeps none.
    :param failure: raised when it is committed and its document cannot be written.
    """
    try:
        result = work()
    except PgopsError as error:
        # Where nothing was changed there is no document, and the result is all there is.
        error.details["only_here"] = error.outcome == "unchanged"
        if file and error.outcome != "unchanged":
            try:
                write_json(file, error.details["result"][name])
            except OSError as unwritten:
                error.details["unwritten"] = f"{file}: {unwritten.strerror}"
        raise
    if file and result.committed:
        try:
            write_json(file, result.as_dict())
        except OSError as error:
            raise failure(
                f"The result of the {name} could not be written: {error.strerror}",
                where=str(file),
                state=State(f"the {name} is committed and proven", "committed"),
                next_step="Make room, or have the directory writable; the ledger tells what was done.",
                details={"result": {"changed": True, name: result.as_dict()}},
            ) from error
    return result


def small_facts(document: Any) -> Any:
    """Of a partial result that lies in the run's directory: what the next tasks decide by, and which migrations it is about."""
    if not isinstance(document, dict):
        return document
    facts = {name: value for name, value in document.items() if not isinstance(value, dict | list)}
    if isinstance(migrations := document.get("migrations"), list):
        facts["migrations"] = [
            {name: item[name] for name in ("version", "name") if name in item} for item in migrations
        ]
    return facts


def _fail(module: AnsibleModule, error: PgopsError, **result: Any) -> NoReturn:
    """Say what happened once: C(msg) is the sentence, C(error) has the rest."""
    failure = error.as_dict()
    module.fail_json(msg=failure.pop("what"), error=failure, **result)
    raise AssertionError("fail_json does not return")


def _lease_kept(params: Mapping[str, Any]) -> AbstractContextManager[None]:
    """While a module works on a project as part of a run, the run's lease does not expire."""
    if params.get("run_id") and params.get("login_host"):
        return kept_alive(connection_options(params), str(params["run_id"]))
    return nullcontext()


def run(module: AnsibleModule, job: Callable[[], dict[str, Any]]) -> NoReturn:
    """Do the module's job and exit: its result as it is, an error of the engine as a failure that says what to do.

    A partial result travels whole only with C(-v), or where no run's directory keeps it.

    :param job: returns the result with RV(changed), and RV(msg) when there is something to tell in a few words; a partial
        result of a failure is in the error's C(details["result"]).
    """
    import psycopg2

    try:
        with _lease_kept(module.params):
            result = job()
    except PgopsError as error:
        result = error.details.pop("result", {})
        kept = module.params.get("run_dir") and not module.check_mode and not error.details.pop("only_here", False)
        on_disk = kept and not module._verbosity
        shorter = small_facts if on_disk else worth_showing
        partial = {name: shorter(value) for name, value in result.items()}
        _fail(module, error, **{"changed": False, **partial})
    except psycopg2.Error as error:
        # What the engine did not expect of the server; every session rolls back when it is closed.
        unexpected = server_error(
            error,
            "PostgreSQL refused",
            None,
            state=State("the open transaction was rolled back", "unknown"),
            otherwise="Look at the server's log for what refuses it, then run again.",
        )
        _fail(module, unexpected)
    except OSError as error:
        refused = PgopsError(
            f"The file system refused: {error.strerror or error}",
            where=error.filename2 or error.filename,
            state=State("the open transaction was rolled back; what was committed before it stays", "unknown"),
            next_step="Make room, or have the place writable, then run again.",
        )
        _fail(module, refused)
    module.exit_json(**result)
    raise AssertionError("exit_json does not return")
