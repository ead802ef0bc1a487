# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two projects that have drifted apart: all of it is found, nothing else, and what is said to be typed brings them together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration import snapshots
from tests.integration.live import NewProject, run_module
from tests.integration.reconcile.diverged import (
    COMMON,
    DEV,
    FEATURES,
    HOURS,
    NOTES,
    PROD,
    TOUCH,
    Two,
    differences,
    history,
)
from tests.integration.supabase_cli import SupabaseCli

BY_HAND_ON_PROD = """
create index addresses_zip on public.addresses (zip);
alter table public.file_uploads disable row level security;
grant select on public.job_applications to anon;
alter default privileges in schema public revoke all on tables from anon;
create trigger greet after insert on auth.users for each row execute function public.touch();
"""
ON_DEV = """
create extension pg_cron;
select cron.schedule('tidy', '0 3 * * *', 'delete from public.customer_notes where id < 0');
create policy "Own files" on storage.objects for select to authenticated using (owner = auth.uid());
"""


@pytest.fixture
def two(new_project: NewProject, tmp_path: Path) -> Two:
    """Two new projects that have what the example's first files make."""
    both = Two(new_project(), new_project(), tmp_path / "supabase")
    both.example(*COMMON)
    for project in (both.dev, both.prod):
        both.apply(project)
    return both


@pytest.fixture
def apart(two: Two) -> Two:
    """The same, drifted apart: in the histories, in the schemas and in what lies beside them."""
    # Prod took two migrations from somebody's branch, where one had another time and the other was there twice.
    two.apply(two.prod, v20250802113000_customer_notes=NOTES, v20250810090000_touch=TOUCH, v20250812090000_touch=TOUCH)
    two.file("20250801090000_customer_notes", NOTES)
    two.file("20250810090000_touch", TOUCH)
    two.file("20250820090000_opening_hours", HOURS)
    two.example(*FEATURES)
    two.apply(two.dev)
    two.prod.psql(HOURS + BY_HAND_ON_PROD)
    two.dev.psql(ON_DEV)
    return two


def pg_dumps_are_equal(two: Two) -> bool:
    """Whether pg_dump writes the same of both, but for our ledger and the history."""
    one, other = (snapshots.schema_dump(project) for project in (two.dev, two.prod))
    return one == other


def test_two_equal_projects_have_nothing_to_tell(two: Two) -> None:
    for _time in range(2):
        document = two.look()
        assert document["equal"] and document["next_command"] is None and document["strategies"] == []
        assert (document["history"], document["differences"], document["divergence"]) == ([], [], [])
        assert set(document["by_risk"].values()) == {0}
        assert document["source"]["fingerprint"] == document["target"]["fingerprint"]
    assert pg_dumps_are_equal(two)


def test_all_ways_of_drifting_apart_are_found_and_nothing_else(apart: Two) -> None:
    before = [snapshots.take(project, apart.folder) for project in (apart.dev, apart.prod)]
    documents = [apart.look(), apart.look()]
    assert [snapshots.take(project, apart.folder) for project in (apart.dev, apart.prod)] == before
    for document in documents:
        assert not document["equal"]
        assert history(document) == [
            ("renumbered", "20250802113000", "20250801090000", "target", "differs"),
            ("duplicate", "20250812090000", "20250810090000", "target", "only_target"),
            ("by_hand", "20250820090000", "", "target", "only_source"),
            ("pending", "20251014220000", "", "target", "only_source"),
            ("pending", "20251014220100", "", "target", "only_source"),
        ]
        of_features = [d for d in document["differences"] if d["cause"] in FEATURES]
        assert {d["direction"] for d in of_features} == {"only_source", "differs"}
        assert {"table public.user_audits", "table public.upload_errors", 'column public.profiles."deletedBy"'} <= {
            f"{d['object_type']} {d['object_name']}" for d in of_features
        }
        rest = {**document, "differences": [d for d in document["differences"] if d not in of_features]}
        assert sorted(differences(rest)) == [
            ("cron job tidy", "only_source", "availability"),
            ("default privileges of postgres for tables in public", "differs", "security"),
            ("extension pg_cron", "only_source", "availability"),
            ("index public.addresses_zip", "only_target", "availability"),
            ('policy "Own files" on storage.objects', "only_source", "security"),
            ("table public.file_uploads", "differs", "security"),
            ("table public.job_applications", "differs", "security"),
            ("trigger greet on auth.users", "only_target", "availability"),
        ]
        point = document["divergence"][0]
        assert point["after"] == "20250715090000_policies" and point["since_is"] == "applied"
        assert point["source"] == ["20250801090000_customer_notes"]
        assert point["target"] == ["20250802113000_customer_notes"]
        assert [p["after"] for p in document["divergence"]][1:] == [
            "20250810090000_touch",
            "20250902090000_soft_delete",
        ]


def test_what_is_said_to_be_typed_brings_them_together(apart: Two, cli: SupabaseCli) -> None:
    ways = apart.look()["strategies"]
    assert [way["name"] for way in ways if way["recommended"]] == ["Step by step"]
    typed = [step.partition("   #")[0] for step in ways[0]["steps"]]
    after = typed.index(f"ansible-playbook pgops.supabase.adopt -l {PROD}")
    for command in (part.strip() for step in typed[:after] for part in step.split("&&")):
        name, *words = [word for word in command.split() if word != "--linked"]
        assert name == "supabase"
        done = cli.run(apart.prod, apart.folder, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    adopted = run_module("migration_adopt", supabase_dir=str(apart.folder), **apart.prod.login)
    assert not adopted.get("failed"), adopted["msg"]
    assert typed[after + 1 :] == [
        f"ansible-playbook pgops.supabase.migrate -l {PROD}",
        f"ansible-playbook pgops.supabase.reconcile -l {PROD} -e reconcile_bridge=true",
        f"ansible-playbook pgops.supabase.reconcile -l {PROD}",
    ]
    left = apart.look()
    assert [f["finding"] for f in left["history"]] == ["pending", "pending"]
    assert left["next_command"] == f"ansible-playbook pgops.supabase.migrate -l {PROD}"
    apart.apply(apart.prod)
    left = apart.look()
    assert left["history"] == [] and {d["cause"] for d in left["differences"]} == {None}
    assert left["next_command"] == f"ansible-playbook pgops.supabase.reconcile -l {PROD} -e reconcile_bridge=true"
    assert not pg_dumps_are_equal(apart)
    apart.prod.psql(ON_DEV)
    apart.dev.psql(BY_HAND_ON_PROD)
    assert pg_dumps_are_equal(apart)
    assert apart.look()["equal"]


def test_the_documents_are_whole_and_private(apart: Two) -> None:
    done = apart.result()["reconciliation"]
    place = Path(done["path"])
    names = {path.name for path in place.iterdir()}
    assert names == {f"catalog-{DEV}.json", f"catalog-{PROD}.json", "reconcile.html", "reconcile.json", "reconcile.md"}
    assert {path.stat().st_mode & 0o777 for path in place.iterdir()} == {0o600}
    document = json.loads((place / "reconcile.json").read_text())
    for side, project in (("source", apart.dev), ("target", apart.prod)):
        assert document[side]["catalog"] == str(place / f"catalog-{document[side]['name']}.json")
        same = run_module("schema_diff", before="file", file=document[side]["catalog"], after="live", **project.login)
        assert same["schema_diff"]["equal"], same["schema_diff"]["changes"]
        found = int(project.psql("select count(*) from public.profiles"))
        assert next(r for r in document["rows"] if r["table"] == "public.profiles")[side] == found
    everything = "".join(path.read_text() for path in place.iterdir())
    assert "delete from public.customer_notes" not in everything
    assert apart.dev.login["login_password"] not in everything
    page = (place / "reconcile.html").read_text()
    assert "<svg" in page and "http://" not in page.replace("http://www.w3.org/2000/svg", "") and "<script" not in page


def test_check_mode_writes_nothing(two: Two) -> None:
    done = run_module(
        "reconciliation",
        check=True,
        source=two.dev.login,
        source_name=DEV,
        target_name=PROD,
        supabase_dir=str(two.folder),
        directory=str(two.folder.parent / "reconcile"),
        **two.prod.login,
    )
    assert done["reconciliation"]["equal"] and done["reconciliation"]["path"] is None
    assert not (two.folder.parent / "reconcile").exists()
