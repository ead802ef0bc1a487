# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment:
    """The connection options, the same in every module."""

    DOCUMENTATION = r"""
options:
  login_host:
    description: Host of the database, for example V(db.abcdefghijklmnopqrst.supabase.co).
    type: str
    required: true
  login_port:
    description:
      - Port of the database. V(5432) is the direct connection or the session pooler.
      - V(6543) is Supabase's transaction pooler, which keeps no session and is not fit for migrations.
    type: int
    default: 5432
  login_user:
    description: Role to log in as. On Supabase V(postgres), which bypasses row level security without being a superuser.
    type: str
    default: postgres
  login_password:
    description: Password of the role. It is handed to PostgreSQL's programs by environment, never as an argument.
    type: str
  login_db:
    description: Name of the database.
    type: str
    default: postgres
  ssl_mode:
    description:
      - How far the connection is encrypted and the server's certificate checked, as libpq's C(sslmode).
      - Anything below V(require) is refused unless O(login_host) is this machine.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
    default: verify-full
  ca_cert:
    description: File with the certificate of the authority that signed the server's. Supabase offers it for download.
    type: path
  ssl_cert:
    description: File with the client's certificate.
    type: path
  ssl_key:
    description: File with the client's key.
    type: path
  connect_params:
    description:
      - Any other connection parameters of libpq by their key words, for example C(connect_timeout) or C(target_session_attrs).
    type: dict
    default: {}
  session_role:
    description: Role to become after the login, as with SET ROLE.
    type: str
requirements:
  - psycopg2 >= 2.9
"""
