# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example's HTTP API over a real database: who may do what, what it leaves there, and that it is started and stopped."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import example_api
import jwt
import pytest

from tests.integration.live import CLONE, LiveProject, run_module

MIGRATIONS = sorted((CLONE / "examples" / "ready_set" / "supabase" / "migrations").glob("*.sql"))
OWN, OTHER = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


@dataclass(frozen=True)
class Api:
    """The running API, and its project."""

    url: str
    settings: Path
    project: LiveProject

    def token(self, role: str, user: str = OWN) -> str:
        """A token that it takes."""
        return jwt.encode({"role": role, "sub": user}, example_api.read(self.settings)["jwt_secret"])

    def ask(self, method: str, path: str, token: str | None, body: Any = None) -> tuple[int, Any]:
        """A request, the status and the JSON of its answer."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, json.loads(answer.read() or b"null")


@pytest.fixture
def api(project: LiveProject, tmp_path: Path) -> Iterator[Api]:
    """The API over a database with the example's schema and two accounts."""
    for file in MIGRATIONS:
        project.psql(file.read_text())
    project.psql(
        f"insert into auth.users (id, email) values ('{OWN}', 'one@example.com'), ('{OTHER}', 'two@example.com')"
    )
    described = {**asdict(project.server), "database": project.database}
    (tmp_path / "project.json").write_text(json.dumps(described))
    settings = tmp_path / "api.json"
    example_api.start(settings, tmp_path / "project.json")
    try:
        yield Api(example_api.wait(settings), settings, project)
    finally:
        example_api.stop(settings)
        assert not settings.exists() and not example_api.running(settings)


@pytest.mark.parametrize("dummy", range(2))
def test_each_role_may_what_the_policies_say(api: Api, dummy: int) -> None:
    own, service = api.token("authenticated"), api.token("service_role")
    assert [user["id"] for user in api.ask("GET", "/users?limit=5", own)[1]] == [OWN]
    assert len(api.ask("GET", "/users?limit=5", service)[1]) == 2
    assert api.ask("GET", "/users?limit=5", None)[0] == 401
    assert api.ask("GET", "/users?limit=5", own + "x")[0] == 401
    assert api.ask("GET", "/users?limit=5", api.token("postgres"))[0] == 403
    assert api.ask("PATCH", f"/users/{OTHER}", own, {"companyName": "Mine"})[0] == 404
    assert api.ask("PATCH", f"/users/{OWN}", own, {"type": "ADMIN"})[0] == 400
    status, changed = api.ask("PATCH", f"/users/{OWN}", own, {"companyName": "Probe"})
    assert (status, changed["companyName"]) == (200, "Probe")
    audit = api.project.psql("""select action, "userId", "performedBy", metadata ->> 'apiRole' from public.user_audits
        where action = 'UPDATE'""")
    assert audit == f"UPDATE|{OWN}|{OWN}|authenticated"
    assert api.ask("DELETE", f"/users/{OWN}", own)[0] == 204
    deleted = api.project.psql(
        f"""select status, "deletedBy", "deletionReason" from public.profiles where id = '{OWN}'"""
    )
    assert deleted == f"DELETED|{OWN}|not given"
    assert api.ask("DELETE", f"/users/{OWN}", own)[0] == 404
    assert [user["id"] for user in api.ask("GET", "/users", service)[1]] == [OTHER]


def test_it_lives_through_what_maintenance_does(api: Api) -> None:
    service = api.token("service_role")
    assert api.ask("GET", "/health", None) == (200, {"status": "ok"})
    ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'authenticator'"
    for _round in range(2):
        api.project.psql(
            f"alter database {api.project.database} set default_transaction_read_only = on; {ended}", "supabase_admin"
        )
        assert api.ask("GET", "/users", service)[0] == 200
        status, said = api.ask("PATCH", f"/users/{OWN}", service, {"companyName": "Probe"})
        assert (status, said["code"]) == (405, "25006")
        api.project.psql(
            f"set default_transaction_read_only = off; alter database {api.project.database} reset default_transaction_read_only;"
            f"{ended}",
            "supabase_admin",
        )
        assert api.ask("PATCH", f"/users/{OWN}", service, {"companyName": "Probe"})[0] == 200


def test_probes_of_it_leave_nothing(api: Api, tmp_path: Path) -> None:
    """Those of the demo's inventory, by the module."""
    user = "00000000-0000-4000-8000-0000000000ff"
    trace = f"""select exists (select 1 from public.user_audits where "userId" = '{user}'
        and "createdAt" >= current_setting('pgops.probe_started_at')::timestamptz and action = """
    sql = {
        "given": f"insert into auth.users (id, email) values ('{user}', 'probe@example.com') on conflict do nothing",
        "undo": f"""delete from auth.users where id = '{user}'; delete from public.user_audits where "userId" = '{user}'""",
    }
    probes: list[dict[str, Any]] = [
        {"name": "users", "url": "/users?limit=5", "role": "service_role", "expect": "length(@) == `2`"},
        {"name": "anon", "url": "/users", "role": "anon", "status": [401], "samples": 3},
        {
            "name": "change",
            "method": "PATCH",
            "url": f"/users/{user}",
            "role": "service_role",
            "body": {"companyName": "Probe"},
            "expect": "companyName == 'Probe'",
            "then": f"{trace} 'UPDATE')",
            **sql,
        },
        {
            "name": "soft delete",
            "method": "DELETE",
            "url": f"/users/{user}",
            "role": "authenticated",
            "user": user,
            "status": [204],
            "then": f"""{trace} 'SOFT_DELETE' and "performedBy" = '{user}')""",
            **sql,
        },
    ]
    settings = example_api.read(api.settings)
    how = {
        **api.project.login,
        "api_url": api.url,
        "api_keys": settings["keys"],
        "jwt_secret": settings["jwt_secret"],
        "run_dir": str(tmp_path / "run"),
    }
    rows = "select (select count(*) from auth.users), (select count(*) from public.profiles), (select count(*) from public.user_audits)"
    before = api.project.psql(rows)
    for _round in range(2):
        first = run_module("http_probe", probes=probes, stage="before", **how)
        assert not first.get("failed"), first["msg"]
        found = run_module("http_probe", probes=probes, baseline=first["probes_file"], **how)
        assert not found.get("failed"), found["msg"]
        assert found["probes"]["passed"] == 4 and api.project.psql(rows) == before
    # The trigger is what they see: without it they are not satisfied, and still leave nothing.
    api.project.psql("drop trigger trg_audit_profile_changes on public.profiles")
    failed = run_module("http_probe", probes=probes, baseline=first["probes_file"], **how)
    assert failed["error"]["code"] == "verification" and failed["msg"].count("has not seen what the probe did") == 2
    assert api.project.psql(rows) == before


def test_started_twice_it_is_one(api: Api, tmp_path: Path) -> None:
    pid = example_api.read(api.settings)["pid"]
    example_api.start(api.settings, tmp_path / "project.json")
    assert example_api.wait(api.settings) == api.url and example_api.read(api.settings)["pid"] == pid
    assert api.settings.stat().st_mode & 0o077 == 0
    example_api.stop(api.settings)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    example_api.stop(api.settings)
