# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application that never heard of the collection, made ready by the playbook init, and a first dry run of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import CLONE
from tests.integration.live import module_environment

DEV = "abcdefghijklmnopqrst"
STATE = "servers"


def play(where: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook in a directory, as its reader does."""
    environment = {
        **module_environment(),
        "ANSIBLE_HOME": str(CLONE / ".ansible"),
        "ANSIBLE_FORCE_COLOR": "0",
        # Its recap tells what changed.
        "ANSIBLE_STDOUT_CALLBACK": "default",
        **({"ANSIBLE_CONFIG": str(CLONE / "ansible.cfg")} if where == CLONE else {}),
    }
    if where != CLONE:
        # The application's own, which lies where the command is typed.
        environment.pop("ANSIBLE_CONFIG", None)
    return subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), *arguments],
        cwd=where,
        env=environment,
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


def init(app: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Make an application ready."""
    return play(CLONE, "playbooks/init.yml", "-e", f"app={app}", *more)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Path]:
    """An application in a repository, with what the Supabase CLI made; its local projects are removed afterwards."""
    os.chmod(tmp_path, 0o755)
    root = tmp_path / "my-shop"
    (root / "supabase" / "migrations").mkdir(parents=True)
    (root / "supabase" / "config.toml").write_text(
        f'project_id = "my-shop"\n[remotes.staging]\nproject_id = "{DEV}"\n', encoding="utf-8"
    )
    (root / "supabase" / "migrations" / "20240101000000_carts.sql").write_text(
        "create table public.carts (id int primary key);\n", encoding="utf-8"
    )
    (root / ".gitignore").write_text("node_modules\n", encoding="utf-8")
    git = ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "begin"]):
        subprocess.run([*git, *command], check=True)
    yield root
    if (root / "inventory" / "local").is_dir():
        gone = play(root, "pgops.supabase.local_project", "-l", "all", "-e", "local_project_state=absent")
        assert gone.returncode == 0, gone.stdout + gone.stderr


def contents(root: Path) -> dict[str, bytes]:
    """Every file of the application but git's own and what runs left."""
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {name: text for name, text in found.items() if not name.startswith((".git/", "runs/", ".ansible/"))}


def test_an_inventory_is_read_from_the_application_and_nothing_is_overwritten(app: Path) -> None:
    (app / "requirements.yml").write_text("mine\n", encoding="utf-8")
    before = contents(app)
    checked = init(app, "--check")
    assert checked.returncode == 0 and contents(app) == before, checked.stdout + checked.stderr
    first = init(app)
    assert first.returncode == 0, first.stdout + first.stderr
    made = contents(app)
    assert {name: made[name] for name in before if name != ".gitignore"} == {
        name: text for name, text in before.items() if name != ".gitignore"
    }
    assert made[".gitignore"].decode().splitlines() == ["node_modules", "/runs/", "/.ansible/"]
    hosts = yaml.safe_load(made["inventory/hosted/hosts.yml"])["all"]["children"]
    assert hosts["dev"]["hosts"] == {"my_shop_dev": {"project_ref": DEV}}
    assert hosts["prod"]["hosts"]["my_shop_prod"]["project_ref"] == ""
    assert "project_ref of prod" in first.stdout and "MY_SHOP_PROD_DB_PASSWORD" in first.stdout
    assert yaml.safe_load(made[".github/workflows/migrations.yml"])["jobs"]
    second = init(app)
    assert second.returncode == 0 and contents(app) == made, second.stdout
    assert ": they were there" in second.stdout and "  written  " not in second.stdout, second.stdout
    unfilled = play(app, "pgops.supabase.status", "-l", "prod")
    assert unfilled.returncode != 0 and "project_ref" in unfilled.stdout + unfilled.stderr


def test_from_a_clone_to_a_dry_run_and_a_migration_on_this_machine(app: Path, tmp_path: Path) -> None:
    for _time in range(2):
        ready = init(app, "-e", "init_local=true", "-e", f"init_local_state_dir={tmp_path / STATE}")
        assert ready.returncode == 0, ready.stdout + ready.stderr
    tried = play(app, "migrate.yml", "-l", "dev", "--check", "--diff")
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert tables(tmp_path, "my_shop_dev") == "0"
    done = play(app, "migrate.yml", "-l", "dev")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tables(tmp_path, "my_shop_dev"), tables(tmp_path, "my_shop_prod")) == ("1", "0")
    status = subprocess.run(
        ["git", "-C", str(app), "status", "--porcelain", "--", "runs"],
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    assert status.stdout == ""


def tables(directory: Path, name: str) -> str:
    """How many tables called carts a project has, asked by psql."""
    server = json.loads((directory / STATE / name / "project.json").read_text(encoding="utf-8"))
    login = {
        "PGHOST": server["host"],
        "PGPORT": str(server["port"]),
        "PGUSER": server["user"],
        "PGPASSWORD": server["passwords"][server["user"]],
        "PGDATABASE": server["database"],
    }
    query = "select count(*) from pg_class where relname = 'carts'"
    psql = [f"{server['pg_bin']}/psql", "-XAtc", query]
    return subprocess.run(psql, env=login, check=True, capture_output=True, encoding="utf-8").stdout.strip()


def test_what_is_no_application_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for _time in range(2):
        refused = init(tmp_path / "empty")
        assert refused.returncode != 0 and "There is no folder supabase" in refused.stdout, refused.stdout
    assert list((tmp_path / "empty").iterdir()) == []
    unnamed = play(CLONE, "playbooks/init.yml")
    assert unnamed.returncode != 0 and "-e app=~/my-app" in unnamed.stdout + unnamed.stderr


@pytest.mark.parametrize("linked", ["inventory", "ansible.cfg", ".gitignore"])
def test_nothing_is_written_through_a_link_out_of_the_application(app: Path, tmp_path: Path, linked: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (app / linked).unlink(missing_ok=True)
    (app / linked).symlink_to(elsewhere if linked == "inventory" else elsewhere / "file")
    for _time in range(2):
        refused = init(app)
        assert refused.returncode != 0 and "a link leads there" in refused.stdout + refused.stderr, refused.stdout
        assert not list(elsewhere.iterdir()) and not (app / "migrate.yml").exists()
