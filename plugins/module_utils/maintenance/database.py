# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes stopped in the database: new transactions are read-only by default, the API's login is closed, old sessions end.

``ALTER DATABASE ... SET default_transaction_read_only`` is what the owner may do on Supabase, where the API's roles are reserved. It is
a default: a role's own setting goes before it, and so does ``BEGIN READ WRITE`` (PostgreSQL, "ALTER ROLE" and "SET TRANSACTION"), with
which PostgREST begins each POST, PATCH, PUT and DELETE (its documentation, "Transactions"). So by default the API's login may not
connect either, roles are looked at, writes are tried that must fail, and it is watched whether somebody writes all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import ConnectionFailed, VerificationFailed
from ansible_collections.pgops.supabase.plugins.module_utils.maintenance.documents import Proof
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    execute,
    fetch_all,
    fetch_value,
    session,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection
    from psycopg2.sql import Composable

# What Supabase's API acts as (PostgREST, "Authentication": the authenticator changes to one of them).
API_ROLES = ("anon", "authenticated", "service_role")
LOGIN_OF_API = "authenticator"
_READ_ONLY = "25006"
_NOT_EXEMPT = SessionSettings(exempt=False, lock_timeout_ms=2_000, statement_timeout_ms=10_000)

_OWN_SETTING = """
select pg_catalog.split_part(setting, '=', 2)
from pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) setting
where s.setdatabase = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()) and s.setrole = 0
and setting like 'default_transaction_read_only=%'
"""
# Whatever a role itself has goes before the database's (PostgreSQL, view pg_db_role_setting).
_ROLES_THAT_WRITE = """
select distinct r.rolname from pg_catalog.pg_db_role_setting s join pg_catalog.pg_roles r on r.oid = s.setrole,
    pg_catalog.unnest(s.setconfig) setting
where s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()))
and setting like 'default_transaction_read_only=%' and setting not like '%=on' and r.rolcanlogin and not r.rolsuper
and r.rolname <> session_user order by 1
"""
# None where there is no such role.
_MAY_CONNECT = (
    "select pg_catalog.has_database_privilege(oid, pg_catalog.current_database(), 'connect') "
    f"from pg_catalog.pg_roles where rolname = '{LOGIN_OF_API}'"
)
# PUBLIC is the empty name.
_CONNECT_GRANTED = """
select coalesce(r.rolname, ''), a.is_grantable from pg_catalog.pg_database d,
    pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a left join pg_catalog.pg_roles r on r.oid = a.grantee
where d.datname = pg_catalog.current_database() and a.privilege_type = 'CONNECT'
"""
# Who may connect now and is to go on: all others that log in, such as the pooler's own role. Superusers and the owner may anyway.
_OTHER_LOGINS = f"""
select rolname from pg_catalog.pg_roles where rolcanlogin and not rolsuper and rolname <> '{LOGIN_OF_API}'
and pg_catalog.has_database_privilege(oid, pg_catalog.current_database(), 'connect') order by 1
"""
# A GRANT or REVOKE on the database writes its row anew even where it changes nothing.
_ROW_WRITTEN_BY = "select xmin::text from pg_catalog.pg_database where datname = pg_catalog.current_database()"
_EXISTING = "select rolname from pg_catalog.pg_roles where rolname = any(%s)"
# A table of the application that the role may write to; where row level security lets it is not asked.
_WRITABLE = """
select n.nspname, c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname <> all (array['pg_catalog', 'information_schema', 'pgops'])
and pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'delete')
order by n.nspname <> 'public', c.relname limit 1
"""


def before_stopping(connection: PgConnection, *, close_api: bool) -> dict[str, Any]:
    """What :func:`stop` is going to change, for :func:`let_go`: the database's own default, and who may connect to it how."""
    before: dict[str, Any] = {"default_transaction_read_only": fetch_value(connection, _OWN_SETTING)}
    if close_api and fetch_value(connection, _MAY_CONNECT) is True:
        grantees = dict(fetch_all(connection, _CONNECT_GRANTED))
        before["connect_revoked"] = [name for name in ("", LOGIN_OF_API) if name in grantees]
        before["connect_grantable"] = grantees.get(LOGIN_OF_API, False)
        before["connect_granted"] = [name for (name,) in fetch_all(connection, _OTHER_LOGINS) if name not in grantees]
    return before


def stop(connection: PgConnection, before: Mapping[str, Any]) -> dict[str, Any]:
    """Have new sessions read-only, and the API's login closed where ``before`` has it, in the caller's transaction.

    :returns: ``before``, with what tells later whether somebody else has changed who may connect.
    """
    _set_default(connection, "on")
    if "connect_revoked" not in before:
        return dict(before)
    _change_connect(connection, grant=before["connect_granted"], revoke=["", LOGIN_OF_API])
    return {**before, "row_written_by": fetch_value(connection, _ROW_WRITTEN_BY)}


def is_stopped(connection: PgConnection, before: Mapping[str, Any]) -> bool:
    """Whether it still is as :func:`stop` left it."""
    is_closed = "connect_revoked" not in before or not fetch_value(connection, _MAY_CONNECT)
    return bool(fetch_value(connection, _OWN_SETTING) == "on" and is_closed)


def let_go(connection: PgConnection, before: Mapping[str, Any]) -> list[str]:
    """Have the database as it was before, in the caller's transaction; what was left otherwise, and why, is returned.

    A migration may have revoked CONNECT from PUBLIC meanwhile, which had been done already and left no other trace than that the
    database's row is newer. Then PUBLIC gets nothing back; each role that could log in keeps a right of its own.
    """
    from psycopg2 import sql

    _set_default(connection, before.get("default_transaction_read_only"))
    if "connect_revoked" not in before:
        return []
    written_by = before.get("row_written_by")
    if (
        written_by is None
        or written_by == fetch_value(connection, _ROW_WRITTEN_BY)
        or "" not in before["connect_revoked"]
    ):
        _change_connect(connection, grant=before["connect_revoked"], revoke=before["connect_granted"])
        left = []
    else:
        _change_connect(connection, grant=[LOGIN_OF_API], revoke=[])
        give_back = _on_database(connection, "GRANT CONNECT ON DATABASE {} TO PUBLIC;").as_string(connection)
        left = [
            "rights on the database were changed while the writes were stopped, so CONNECT was not given back to PUBLIC, which a "
            f"migration may have revoked; each role that logs in has it now. If it was not: {give_back}"
        ]
    if before.get("connect_grantable"):
        statement = _on_database(connection, "grant connect on database {} to ")
        execute(connection, statement + sql.Identifier(LOGIN_OF_API) + sql.SQL(" with grant option"))
    return left


def roles_that_write(connection: PgConnection) -> list[str]:
    """Roles that log in and have a setting of their own, by which they write although the database's default forbids it."""
    return [str(name) for (name,) in fetch_all(connection, _ROLES_THAT_WRITE)]


def prove_stopped(options: ConnectionOptions, authenticator_password: str | None, *, api_closed: bool) -> list[Proof]:
    """Try writes that must fail, in new sessions, each in a transaction that is rolled back.

    :param authenticator_password: to log in as the API does; without it only SET ROLE from our own role is tried.
    :param api_closed: whether the API's login has to be refused.
    :raises VerificationFailed: when a write is not refused for being in a read-only transaction, or the login is let in.
    """
    own = replace(options, session_role=None)
    proofs = [_login_proof(own, api_closed), *_writes(own, f"{options.login_user}, new session")]
    if authenticator_password is not None:
        api = replace(own, login_user=_api_user(options), login_password=authenticator_password)
        proofs += [_refused_login(api)] if api_closed else _writes(api, f"{LOGIN_OF_API}, new session")
    failed = [proof for proof in proofs if proof.passed is False]
    if failed:
        raise VerificationFailed(
            "Writes are not stopped: " + "; ".join(f"{proof.who}: {proof.tried}: {proof.found}" for proof in failed),
            where=options.place,
            details={"proofs": [asdict(proof) for proof in proofs]},
        )
    return proofs


def _login_proof(options: ConnectionOptions, api_closed: bool) -> Proof:
    """What the catalog says of the API's login, for which no password is needed."""
    with session(options, SessionSettings(read_only=True)) as connection:
        may = fetch_value(connection, _MAY_CONNECT)
    words = {True: "it may connect", False: "it may not connect", None: "there is no such role"}
    passed = None if may is None or not api_closed else may is False
    expected = "it may not connect" if api_closed else "read-only by default"
    return Proof(who=LOGIN_OF_API, tried="has_database_privilege", expected=expected, found=words[may], passed=passed)


def _refused_login(options: ConnectionOptions) -> Proof:
    try:
        with session(options, _NOT_EXEMPT):
            found, passed = "it was let in", False
    except ConnectionFailed as error:
        found = error.what.rpartition("FATAL:")[2].strip().splitlines()[0]
        passed = "permission denied for database" in found
    return Proof(who=LOGIN_OF_API, tried="to log in", expected="refused", found=found, passed=passed)


def prove_writable(options: ConnectionOptions, expected: str) -> Proof:
    """Look at the default of a new session, after the writes were let on again.

    :param expected: C(on) where the database was read-only by somebody else's will before.
    """
    with session(replace(options, session_role=None), _NOT_EXEMPT, autocommit=True) as connection:
        found = str(fetch_value(connection, "show default_transaction_read_only"))
    return Proof(
        who=f"{options.login_user}, new session",
        tried="show default_transaction_read_only",
        expected=expected,
        found=found,
        passed=found == expected,
    )


def _set_default(connection: PgConnection, value: str | None) -> None:
    from psycopg2 import sql

    if value is None:
        execute(connection, _on_database(connection, "alter database {} reset default_transaction_read_only"))
    else:
        statement = _on_database(connection, "alter database {} set default_transaction_read_only = ")
        execute(connection, statement + sql.Literal(value))


def _change_connect(connection: PgConnection, *, grant: Sequence[str], revoke: Sequence[str]) -> None:
    """Who may connect; PUBLIC is the empty name. A role that is gone meanwhile is left out."""
    from psycopg2 import sql

    existing = {name for (name,) in fetch_all(connection, _EXISTING, [[*grant, *revoke]])} | {""}
    for names, words in ((grant, "grant connect on database {} to "), (revoke, "revoke connect on database {} from ")):
        roles = [sql.Identifier(name) if name else sql.SQL("public") for name in names if name in existing]
        if roles:
            execute(connection, _on_database(connection, words) + sql.SQL(", ").join(roles))


def _on_database(connection: PgConnection, words: str) -> Any:
    from psycopg2 import sql

    return sql.SQL(words).format(sql.Identifier(str(fetch_value(connection, "select pg_catalog.current_database()"))))


def _api_user(options: ConnectionOptions) -> str:
    """Behind Supabase's pooler the project stands in the user's name."""
    _user, dot, ref = options.login_user.partition(".")
    return f"{LOGIN_OF_API}{dot}{ref}"


def _writes(options: ConnectionOptions, who: str) -> list[Proof]:
    with session(options, _NOT_EXEMPT, autocommit=True) as connection:
        existing = {name for (name,) in fetch_all(connection, _EXISTING, [list(API_ROLES)])}
        roles: Sequence[str] = [role for role in API_ROLES if role in existing]
        return [proof for role in roles for proof in _writes_as(connection, role, who)]


def _writes_as(connection: PgConnection, role: str, who: str) -> list[Proof]:
    from psycopg2 import sql

    execute(connection, "begin")
    try:
        execute(connection, sql.SQL("set local role {}").format(sql.Identifier(role)))
        tables = fetch_all(connection, _WRITABLE)
    finally:
        execute(connection, "rollback")
    # Neither touches a row or stays, whatever comes of it. The first needs no table, the second is what an API does.
    writes: list[tuple[str, Composable]] = [("create table", sql.SQL("create temporary table pgops_proof (n integer)"))]
    for table in tables:
        name = sql.Identifier(*table)
        writes.append((f"delete from {'.'.join(table)}", sql.SQL("delete from {} where false").format(name)))
    return [_tried(connection, role, who, words, statement) for words, statement in writes]


def _tried(connection: PgConnection, role: str, who: str, words: str, statement: Any) -> Proof:
    import psycopg2
    from psycopg2 import sql

    execute(connection, "begin")
    try:
        execute(connection, sql.SQL("set local role {}").format(sql.Identifier(role)))
        execute(connection, statement)
        found, passed = "it was let through", False
    except psycopg2.Error as error:
        found, passed = (
            f"{(error.diag.message_primary or str(error)).strip()} [{error.pgcode}]",
            error.pgcode == _READ_ONLY,
        )
    finally:
        if not connection.closed:
            execute(connection, "rollback")
    return Proof(who=f"{role} ({who})", tried=words, expected=f"refused [{_READ_ONLY}]", found=found, passed=passed)
