# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run published to real bare repositories: what git itself finds there, in the work tree and in its index."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.live import run_module

VERSION = "20260101000000"
HOOK = "#!/bin/sh\n"


@dataclass(frozen=True)
class Shop:
    """An application's clone, the bare repository that it follows, and the directory of a run that has ended."""

    tree: Path
    origin: Path
    run_dir: Path

    @property
    def supabase(self) -> Path:
        return self.tree / "supabase"

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        """Run git itself."""
        done = subprocess.run(["git", *arguments], cwd=folder or self.tree, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def publish(self, *, check: bool = False, diff: bool = False, **more: Any) -> dict[str, Any]:
        """Run the module on the run."""
        given = {
            "repository": str(self.tree),
            "branch": "main",
            "run_dir": str(self.run_dir),
            "supabase_dir": str(self.supabase),
            "evidence_dir": str(self.supabase / "evidence"),
        }
        return run_module("publish", check=check, diff=diff, **{**given, **more})

    def seen(self) -> tuple[str, ...]:
        """What there is: both branches, the index, the work tree."""
        head = self.git("rev-parse", "HEAD")
        return head, self.tip(), self.git("ls-files", "--stage"), self.git("status", "--porcelain", "-uall")

    def tip(self) -> str:
        """The commit that the bare repository's branch is at."""
        return self.git("rev-parse", "main", folder=self.origin)

    def refuses(self, *texts: str, **more: Any) -> None:
        """Publish twice: each is refused with these texts, and nothing is different after it."""
        before = self.seen()
        for dummy in range(2):
            failed = self.publish(**more)
            assert failed.get("failed"), failed
            for text in (*texts, "State: ", "Next: ", "the database is not touched"):
                assert text in failed["msg"], failed["msg"]
            assert self.seen() == before
            assert json.loads((self.run_dir / "publish.json").read_text())["failure"] in failed["msg"]

    def hook(self, folder: Path, name: str, body: str) -> None:
        """Put a hook into a repository."""
        path = folder / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(HOOK + body)
        path.chmod(0o755)


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git's settings are the test's, and not those of whoever runs it."""
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n name = Tester\n email = tester@example.org\n[init]\n defaultBranch = main\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path / "shop", tmp_path / "origin.git", ended_run(tmp_path / "runs"))
    shop.supabase.mkdir(parents=True)
    shop.git("init", "--quiet", "--bare", str(shop.origin), folder=tmp_path)
    shop.git("init", "--quiet")
    (shop.tree / "app.ts").write_text("1\n")
    shop.git("add", "app.ts")
    shop.git("commit", "--quiet", "--message=first")
    shop.git("remote", "add", "origin", str(shop.origin))
    shop.git("push", "--quiet", "--set-upstream", "origin", "main")
    for folder in ("migrations", "rollbacks"):
        (shop.supabase / folder).mkdir()
        (shop.supabase / folder / f"{VERSION}_orders.sql").write_text("select 1;\n")
    (shop.supabase / "migrations" / "20270101000000_later.sql").write_text("select 2;\n")
    return shop


def ended_run(state_dir: Path) -> Path:
    """A run as the modules leave it, and beside its documents what is never published."""
    run_dir = Path(run_module("run_record", state_dir=str(state_dir), project="shop")["run_dir"])
    applied = {"version": VERSION, "name": "orders", "statements": 1, "duration_seconds": 0.1}
    migration = {"committed": True, "verified": "before_commit", "duration_seconds": 0.2, "migrations": [applied]}
    (run_dir / "migration.json").write_text(json.dumps(migration))
    (run_dir / "dropped-data.sql").write_text("rows")
    (run_dir / "backup").mkdir()
    (run_dir / "backup" / "database").write_text("rows")
    closed = run_module("run_record", state="finished", run_dir=str(run_dir))
    assert closed["run"]["verdict"] == "migrated"
    return run_dir


def test_exactly_the_run_is_published_and_once(shop: Shop) -> None:
    (shop.tree / "app.ts").write_text("2, not committed\n")
    (shop.tree / "staged.ts").write_text("staged\n")
    shop.git("add", "staged.ts")
    (shop.tree / "staged.ts").write_text("staged, and changed since\n")
    (shop.tree / "foreign.ts").write_text("not added\n")
    tried = shop.publish(check=True, diff=True)
    before = shop.seen()
    assert tried["changed"] and shop.seen() == before and not (shop.run_dir / "publish.json").exists()
    first = shop.publish(diff=True)
    assert first["changed"], first
    evidence = f"supabase/evidence/{shop.run_dir.name}"
    files = [f"{evidence}/{name}" for name in ("migration.json", "report.html", "report.md")]
    files += [f"supabase/{folder}/{VERSION}_orders.sql" for folder in ("migrations", "rollbacks")]
    assert shop.git("show", "--name-only", "--format=", "main", folder=shop.origin).splitlines() == files
    assert first["publication"]["files"] == files == tried["publication"]["files"]
    assert all(name in tried["diff"]["prepared"] for name in files)
    assert shop.tip() == shop.git("rev-parse", "HEAD") == first["publication"]["commit"]
    assert json.loads((shop.run_dir / "publish.json").read_text()) == first["publication"]
    message = shop.git("log", "-1", "--format=%B%an", "main", folder=shop.origin)
    assert message.startswith(f"chore(db): migrate shop to {VERSION}\n\nshop: MIGRATED: 1 migration, verified")
    assert f"- {VERSION}_orders" in message and message.endswith(f"Pgops-Run: {shop.run_dir.name}\nTester")
    assert shop.git("log", "-1", "--format=%(trailers:key=Pgops-Run,valueonly)", "main") == shop.run_dir.name
    assert shop.git("diff", "--cached", "--name-only") == "staged.ts" and shop.git("show", ":staged.ts") == "staged"
    left = shop.git("status", "--porcelain", "-uall").splitlines()
    assert sorted(left) == [
        "?? foreign.ts",
        "?? supabase/migrations/20270101000000_later.sql",
        "AM staged.ts",
        "M app.ts",
    ]
    after = shop.seen()
    for dummy in range(2):
        again = shop.publish()
        assert not again["changed"] and shop.seen() == after
        assert json.loads((shop.run_dir / "publish.json").read_text()) == first["publication"]


def test_the_remote_that_moved_on_is_told_and_never_merged(shop: Shop, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shop.git("clone", "--quiet", str(shop.origin), str(other), folder=tmp_path)
    (other / "theirs.ts").write_text("theirs\n")
    shop.git("add", ".", folder=other)
    shop.git("commit", "--quiet", "--message=theirs", folder=other)
    shop.git("push", "--quiet", folder=other)
    shop.refuses("origin/main has 1 commit not here", "git pull --ff-only origin main")
    checked = shop.publish(check=True, run_dir=None)
    assert checked["failed"] and "fetched, and not merged" in checked["msg"]
    shop.git("pull", "--quiet", "--ff-only")
    for changed in (True, False):
        assert shop.publish()["changed"] is changed
    assert shop.tip() == shop.git("rev-parse", "HEAD")


def test_a_hook_of_the_remote_refuses_and_later_does_not(shop: Shop) -> None:
    shop.hook(shop.origin, "pre-receive", "echo 'main is protected: open a pull request' >&2; exit 1\n")
    before = shop.tip()
    for dummy in range(2):
        failed = shop.publish()
        assert failed["failed"] and "main is protected: open a pull request" in failed["msg"], failed["msg"]
        assert "committed and not known to be pushed" in failed["msg"] and shop.tip() == before
        assert shop.git("rev-list", "--count", "origin/main..HEAD") == "1"
        assert json.loads((shop.run_dir / "publish.json").read_text())["pushed"] is False
    (shop.origin / "hooks" / "pre-receive").unlink()
    done = shop.publish()
    assert done["changed"] and done["publication"]["pushed"] and shop.tip() == shop.git("rev-parse", "HEAD")
    assert json.loads((shop.run_dir / "publish.json").read_text()) == done["publication"]
    assert not shop.publish()["changed"]


def test_the_users_hooks_run_and_may_refuse(shop: Shop) -> None:
    hooks = shop.tree / ".git"
    (shop.tree / "staged.ts").write_text("staged\n")
    shop.git("add", "staged.ts")
    shop.hook(hooks, "pre-commit", "git diff --cached --name-only > seen; echo 'no commits on a Friday' >&2; exit 1\n")
    (shop.supabase / "evidence").mkdir()
    failed = [shop.publish(), shop.publish()]
    assert all(
        "no commits on a Friday" in result["msg"] and "what was staged is as it was" in result["msg"]
        for result in failed
    )
    assert shop.git("diff", "--cached", "--name-only") == "staged.ts"
    assert "staged.ts" not in (shop.tree / "seen").read_text() and "_orders.sql" in (shop.tree / "seen").read_text()
    shop.hook(hooks, "pre-commit", "exit 0\n")
    shop.hook(hooks, "commit-msg", "sed -i 's/^chore/build/' \"$1\"\n")
    assert shop.publish()["publication"]["subject"].startswith("build(db): ")
    assert not shop.publish()["changed"]


def test_what_hangs_is_ended_with_all_it_started(shop: Shop) -> None:
    shop.hook(shop.tree / ".git", "pre-push", "echo $$ > pid; sleep 100\n")
    began = time.monotonic()
    for dummy in range(2):
        failed = shop.publish(timeout_seconds=3)
        assert failed["failed"] and "did not end within 3 seconds" in failed["msg"], failed["msg"]
    assert time.monotonic() - began < 60
    state = Path(f"/proc/{(shop.tree / 'pid').read_text().strip()}/stat")
    # In a container nobody may be there to bury it.
    assert not state.exists() or state.read_text().split()[2] == "Z"
    shop.git("config", "core.sshCommand", "sleep 100 #")
    shop.git("remote", "set-url", "origin", "ssh://git@example.org/shop.git")
    shop.refuses("origin does not answer", "did not end within 2 seconds", timeout_seconds=2)


def test_a_place_that_cannot_be_published_from_is_refused_before_the_run(shop: Shop, tmp_path: Path) -> None:
    shop.refuses("is on the branch main, and not on release", branch="release")
    shop.refuses("There is no remote nowhere", remote="nowhere")
    shop.git("switch", "--quiet", "--create", "topic")
    shop.refuses("origin has no branch topic", branch="topic")
    shop.git("switch", "--quiet", "main")
    shop.git("commit", "--quiet", "--allow-empty", "--message=mine")
    shop.refuses("1 commit of main not on origin, and not made by a run")
    shop.git("push", "--quiet")
    shop.git("merge", "--quiet", "--no-ff", "--no-commit", "HEAD~1")
    (shop.tree / ".git" / "MERGE_HEAD").write_text(shop.git("rev-parse", "HEAD~1") + "\n")
    shop.refuses("A merge is under way")
    (shop.tree / ".git" / "MERGE_HEAD").unlink()
    shop.git("switch", "--quiet", "--detach")
    shop.refuses("is on no branch")
    shop.git("switch", "--quiet", "main")
    (tmp_path / "gitconfig").write_text("")
    shop.refuses("Git does not know who commits here", "git config user.name")
    for check in (True, False):
        outside = shop.publish(repository=str(tmp_path), check=check)
        assert outside["failed"] and "is in no git work tree" in outside["msg"]


def test_no_login_of_a_url_is_shown(shop: Shop) -> None:
    for url in ("https://somebody:tok3nsecret@127.0.0.1:9/shop.git", "https://tok3nsecret@127.0.0.1:9/shop.git"):
        shop.git("remote", "set-url", "origin", url)
        for check in (True, False):
            failed = shop.publish(check=check)
            assert failed["failed"] and "origin does not answer" in failed["msg"]
            assert "tok3nsecret" not in json.dumps(failed)
            assert "tok3nsecret" not in "".join(path.read_text() for path in shop.run_dir.glob("publish.json"))


def test_paths_outside_ignored_staged_otherwise(shop: Shop, tmp_path: Path) -> None:
    shop.refuses("is no file or folder in the work tree", paths=[str(tmp_path / "gitconfig")])
    migration = shop.supabase / "migrations" / f"{VERSION}_orders.sql"
    shop.git("add", str(migration))
    migration.write_text("select 3;\n")
    shop.refuses("These are staged in another state", "git restore --staged", evidence_dir=None)
    shop.git("add", str(migration))
    (shop.tree / ".gitignore").write_text("evidence\n")
    failed = [shop.publish(), shop.publish()]
    assert all("ignored by one of your .gitignore files" in result["msg"] for result in failed)
    (shop.tree / ".gitignore").unlink()
    (shop.tree / "[odd] *.md").write_text("odd\n")
    for changed in (True, False):
        assert shop.publish(paths=["[odd] *.md", "not there"])["changed"] is changed
    assert "[odd] *.md" in shop.git("show", "--name-only", "--format=", "main", folder=shop.origin)
    assert shop.git("show", f"main:{migration.relative_to(shop.tree)}", folder=shop.origin) == "select 3;"


def test_a_message_of_the_teams_own(shop: Shop) -> None:
    template = "DB-7 {{ run.verdict }} {{ versions | join(',') }}\n\n# a heading\n{{ run.headline }}\n"
    for body, said in (
        ("{{ nothing }}", "is undefined"),
        ("{% if %}", "Expected an expression"),
        ("  \n", "makes no subject"),
    ):
        failed = [shop.publish(template=body), shop.publish(template=body)]
        assert all(said in result["msg"] and result["error"]["code"] == "input" for result in failed), failed[0]["msg"]
    for changed in (True, False):
        assert shop.publish(template=template)["changed"] is changed
    assert shop.git("log", "-1", "--format=%B", "main").splitlines()[:3] == [
        f"DB-7 migrated {VERSION}",
        "",
        "# a heading",
    ]


def test_commits_are_signed_where_the_user_signs(shop: Shop, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (tmp_path / "signers").write_text(f"tester@example.org {key.with_suffix('.pub').read_text()}")
    for name, value in (
        ("gpg.format", "ssh"),
        ("user.signingKey", str(key)),
        ("commit.gpgSign", "true"),
        ("gpg.ssh.allowedSignersFile", str(tmp_path / "signers")),
    ):
        shop.git("config", name, value)
    for changed in (True, False):
        assert shop.publish()["changed"] is changed
    assert shop.git("log", "-1", "--format=%G?", "main") == "G"
    key.unlink()
    (shop.supabase / "migrations" / f"{VERSION}_orders.sql").write_text("select 4;\n")
    shop.refuses("Git did not commit")


def test_in_a_linked_work_tree_and_in_a_submodule(shop: Shop, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    shop.git("branch", "release")
    shop.git("push", "--quiet", "origin", "release")
    shop.git("worktree", "add", "--quiet", str(linked), "release")
    outer = tmp_path / "outer"
    outer.mkdir()
    shop.git("init", "--quiet", folder=outer)
    shop.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(shop.origin), "app", folder=outer)
    for tree, branch in ((linked, "release"), (outer / "app", "main")):
        (tree / "supabase" / "migrations").mkdir(parents=True)
        (tree / "supabase" / "migrations" / f"{VERSION}_orders.sql").write_text(f"select '{branch}';\n")
        there = Shop(tree, shop.origin, shop.run_dir)
        (shop.run_dir / "publish.json").unlink(missing_ok=True)
        for changed in (True, False):
            assert there.publish(branch=branch)["changed"] is changed
        found = shop.git("show", f"{branch}:supabase/migrations/{VERSION}_orders.sql", folder=shop.origin)
        assert found == f"select '{branch}';"
        assert there.git("status", "--porcelain") == ""
