# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of all documents: the JSON files of a run and what the modules return; each room has its own shapes.

Each document is one dataclass with a version. Times are UTC in ISO 8601, durations are seconds, sizes are bytes.
"""

from __future__ import annotations

import dataclasses
import secrets
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import read_json


def utc_now() -> str:
    """The present moment as documents write it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def new_id() -> str:
    """An identifier of a run, a backup or a rehearsal: it sorts by time, and two of the same second do not share it."""
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


@dataclass(kw_only=True)
class Document:
    """What all documents share: their kind and the version of their shape."""

    kind: ClassVar[str]
    document_version: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON and ``exit_json``."""
        return {"document": self.kind, **dataclasses.asdict(self)}


_T = TypeVar("_T")


def from_dict(shape: type[_T], data: Any) -> _T:
    """Read plain data back into a dataclass; keys that the shape does not know are left out.

    :raises TypeError: when a required key is missing.
    :raises ValueError: when a value has the wrong shape or the document another kind.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{shape.__name__} has to be a mapping, not {type(data).__name__}")
    expected_kind = getattr(shape, "kind", None)
    if expected_kind and data.get("document", expected_kind) != expected_kind:
        raise ValueError(f"expected a document of kind {expected_kind}, found {data['document']}")
    hints = typing.get_type_hints(shape)
    names = {f.name for f in dataclasses.fields(shape)}  # type: ignore[arg-type]
    return shape(**{key: _read(hints[key], value) for key, value in data.items() if key in names})


def given_document(
    shape: type[_T], given: Mapping[str, Any] | str | Path, *, option: str, refusal: str, next_step: str
) -> _T:
    """A document that one task hands to the next: as plain data, or as the path of its file.

    :param option: what it was given as, for the error.
    :param refusal: what to say where it is something else, without a full stop; the reason follows.
    :raises InputError: when there is no such file, or it is no such document.
    """
    path = None if isinstance(given, Mapping) else Path(given).expanduser()
    try:
        return from_dict(shape, read_json(path) if path else given)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{refusal}: {error}", where=str(path or option), next_step=next_step) from error


def _read(hint: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        (hint,) = [a for a in arguments if a is not type(None)]
        return _read(hint, value)
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast("type[Any]", hint), value)
    if origin is list:
        if not isinstance(value, list):
            raise ValueError(f"expected a list, found {type(value).__name__}")
        return [_read(arguments[0], item) for item in value]
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"expected a mapping, found {type(value).__name__}")
        return {key: _read(arguments[1], item) for key, item in value.items()}
    return value
