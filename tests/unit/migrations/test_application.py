# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application's repository says of its projects, read from folders as people have them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.application import read_application

DEV, PROD = "abcdefghijklmnopqrst", "tsrqponmlkjihgfedcba"


def supabase(root: Path, config: str | None = None) -> Path:
    """A folder of Supabase's with a migration and two files that are none."""
    migrations = root / "supabase" / "migrations"
    migrations.mkdir(parents=True)
    for name in ("20240101000000_one.sql", "README.md", "TEMP_x.sql"):
        (migrations / name).write_text("select 1;", encoding="utf-8")
    if config is not None:
        (root / "supabase" / "config.toml").write_text(config, encoding="utf-8")
    return root


def test_names_and_references_come_from_the_configuration(tmp_path: Path) -> None:
    config = f"""project_id = "My app-2"
[db]
major_version = 15
[remotes.production]
project_id = "{PROD}"
[remotes.staging]
project_id = "{DEV}"
"""
    found = read_application(supabase(tmp_path, config))
    assert (found.name, found.server_major, found.migrations) == ("my_app_2", 15, 1)
    assert found.references == {"dev": DEV, "prod": PROD}
    assert not found.has_rollbacks and not found.has_validations and found.problems == []


def test_a_linked_project_and_a_reference_as_the_identifier_are_taken_for_production(tmp_path: Path) -> None:
    root = supabase(tmp_path / "shop", f'project_id = "{DEV}"\n')
    assert read_application(root).references == {"prod": DEV} and read_application(root).name == "shop"
    (root / "supabase" / ".temp").mkdir()
    (root / "supabase" / ".temp" / "project-ref").write_text(f"{PROD}\n", encoding="utf-8")
    assert read_application(root).references == {"prod": PROD}


@pytest.mark.parametrize(
    ("config", "problem"),
    [("project_id = \n[db", "it is no TOML"), ("db = 15\nremotes = 'x'", None), ("project_id = 7", None), (None, None)],
)
def test_what_is_broken_is_told_and_the_rest_read(tmp_path: Path, config: str | None, problem: str | None) -> None:
    found = read_application(supabase(tmp_path / "2024-shop", config))
    assert (found.name, found.migrations, found.references) == ("app_2024_shop", 1, {})
    assert [str(problem) in told for told in found.problems] == ([True] if problem else [])


def test_the_one_folder_of_a_repository_of_several_packages_is_found(tmp_path: Path) -> None:
    supabase(tmp_path / "apps" / "database")
    supabase(tmp_path / "node_modules" / "library")
    assert read_application(tmp_path).supabase_dir == str(tmp_path / "apps" / "database" / "supabase")
    assert read_application(tmp_path / "apps" / "database" / "supabase").migrations == 1
    supabase(tmp_path / "apps" / "other")
    with pytest.raises(
        InputError, match="There are 2 folders of Supabase's: apps/database/supabase, apps/other/supabase"
    ):
        read_application(tmp_path)
    supabase(tmp_path)
    assert read_application(tmp_path).supabase_dir == str(tmp_path / "supabase")


def test_what_is_no_application_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no folder supabase"):
        read_application(tmp_path)
    with pytest.raises(InputError, match="There is no such directory"):
        read_application(tmp_path / "absent")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("git@gitlab.example.org:team/shop.git", "gitlab.example.org"),
        ("https://me:S3CR3T@github.com/team/shop", "github.com"),
        ("ssh://git@git.example.org:2222/shop.git", "git.example.org"),
        ("/srv/git/shop.git", None),
        ("https://me:S3CR3T@[github.com/shop", None),
        (None, None),
    ],
)
def test_where_git_pushes_to_is_told_without_secrets(tmp_path: Path, url: str | None, host: str | None) -> None:
    root = supabase(tmp_path)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    if url:
        subprocess.run(["git", "-C", str(root), "remote", "add", "origin", url], check=True)
    assert read_application(root).git_host == host


@pytest.mark.parametrize("name", ["{{ lookup('pipe', 'id') }}", "{% raw %}", "{# note #}", 'a"b', "a\\b", "a\nb"])
def test_a_folder_whose_name_would_be_read_as_something_else_in_an_inventory_is_refused(
    tmp_path: Path, name: str
) -> None:
    supabase(tmp_path / name)
    with pytest.raises(InputError, match="would not take as it is"):
        read_application(tmp_path)
    # As the application's own directory it stands in no file.
    assert read_application(tmp_path / name).supabase_dir == str(tmp_path / name / "supabase")
