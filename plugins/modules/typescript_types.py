#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: typescript_types
short_description: Generate the TypeScript types of a project's schemas
version_added: 0.1.0
description:
  - Writes the types that C(supabase-js) takes, made from the live catalog, to a file of the application's repository. The file changes only
    when its text does.
  - They are made by C(@supabase/postgrest-typegen), the library behind C(supabase gen types), in one read-only transaction. Columns of
    views can be null in it, because PostgreSQL knows of none that it cannot be.
  - It is taken from O(generator_dir), from the C(node_modules) of the application that O(path) belongs to, or from O(cache_dir), where npm
    installs the pinned release, 21 MB, when it is not there. After that nothing is downloaded.
  - The text is parsed by the generator's own formatter, and has to name every table, view and enum that the catalog has in O(schemas).
    A file is never replaced by less.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
attributes:
  check_mode:
    support: full
    details:
      - The types are generated and compared, and the generator installed where it is missing. The file is not written.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  path:
    description: The file. Its folder is made when it is missing.
    type: path
    required: true
  schemas:
    description: The schemas whose types the application needs, as its API exposes them.
    type: list
    elements: str
    default: [public]
  cache_dir:
    description: Folder in which the generator is installed when it is found nowhere else.
    type: path
    required: true
  generator_dir:
    description: Folder whose C(node_modules) holds C(@supabase/postgrest-typegen) and C(pg). Nothing is looked for or installed then.
    type: path
  timeout_seconds:
    description: How long the generator may take.
    type: float
    default: 120.0
  run_dir:
    description: Directory of the run. When given, C(types.json) is written there, but not in check mode.
    type: path
requirements:
  - Node.js >= 20
  - npm, where the generator is still to be installed
notes:
  - Of O(connect_params) only C(options) reaches the generator.
author:
  - pgops.supabase contributors (@pgops)
"""

EXAMPLES = r"""
- name: Bring the application's types to what the database has
  pgops.supabase.typescript_types:
    path: src/types/database.types.ts
    schemas: [public]
    cache_dir: runs/.cache
  module_defaults:
    group/pgops.supabase.project: "{{ project_connection }}"
"""

RETURN = r"""
changed:
  description: Whether the file's text is, or would be, another.
  returned: always
  type: bool
types:
  description: What was generated, as in C(types.json).
  returned: success
  type: dict
  contains:
    path:
      description: The file.
      type: str
    schemas:
      description: The schemas.
      type: list
      elements: str
    generator:
      description: The generator and its release.
      type: str
      sample: "@supabase/postgrest-typegen 0.2.2"
    relations:
      description: Number of tables and views that the catalog and the file agree on.
      type: int
    enums:
      description: Number of enums that they agree on.
      type: int
    sha256:
      description: SHA-256 of the text.
      type: str
    changed:
      description: Whether the text is another than before.
      type: bool
    duration_seconds:
      description: How long it took, an installation of the generator included.
      type: float
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    connection_options,
    make_module,
    optional_path,
    run,
)
from ansible_collections.pgops.supabase.plugins.module_utils.publish.types import TypesRequest, generate_types


def typescript_types(module: AnsibleModule) -> dict[str, Any]:
    """Generate as the parameters say."""
    params = module.params
    outcome = generate_types(
        connection_options(params),
        TypesRequest(
            path=Path(params["path"]).absolute(),
            schemas=params["schemas"],
            cache=Path(params["cache_dir"]).absolute(),
            generator_dir=optional_path(params["generator_dir"]),
            timeout_seconds=params["timeout_seconds"],
        ),
        write=not module.check_mode,
        run_dir=optional_path(params["run_dir"]),
    )
    diff = {
        "before": outcome.before,
        "after": outcome.after,
        "before_header": params["path"],
        "after_header": params["path"],
    }
    return {
        "changed": outcome.report.changed,
        "types": outcome.report.as_dict(),
        **({"diff": diff} if module._diff else {}),
    }


def main() -> None:
    """Run the module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            "path": {"type": "path", "required": True},
            "schemas": {"type": "list", "elements": "str", "default": ["public"]},
            "cache_dir": {"type": "path", "required": True},
            "generator_dir": {"type": "path"},
            "timeout_seconds": {"type": "float", "default": 120.0},
            "run_dir": {"type": "path"},
        }
    )
    run(module, lambda: typescript_types(module))


if __name__ == "__main__":
    main()
