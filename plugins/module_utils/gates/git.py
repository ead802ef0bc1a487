# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate of git: the pending files are committed as they are, and the team can see them where the branch is published.

Nothing is fetched and nothing is pushed; the work tree and its index are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.gates.facts import GitFacts, Upstream
from ansible_collections.pgops.supabase.plugins.module_utils.gates.rules import SHOWN, Judgement, shown_list
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import MigrationFile
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import run_program
from ansible_collections.pgops.supabase.plugins.module_utils.publish.git import (
    Ask,
    reason_of_git,
    setting,
    to_reach_a_remote,
)

GIT_SECONDS = 60
REMOTE_SECONDS = 15


def read_git(
    git: str,
    supabase_dir: Path,
    pending: Sequence[MigrationFile],
    *,
    ask_remote: bool = False,
    ask_push: bool = False,
) -> GitFacts:
    """Whether the pending files, and their rollbacks, are as the newest commit has them, and as the branch's upstream has them.

    :param ask_remote: whether to ask the upstream, which takes a connection to it.
    :param ask_push: whether to ask too if a push would be accepted.
    :raises ToolError: when git refuses to say.
    """

    def ask(*arguments: str, env: dict[str, str] | None = None, timeout: float = GIT_SECONDS) -> str:
        # Without optional locks git does not even refresh its index.
        environment = {"GIT_OPTIONAL_LOCKS": "0", **(env or {})}
        return run_program([git, "-C", str(supabase_dir), *arguments], env=environment, timeout=timeout).stdout

    files = [path for file in pending for path in (file.path, file.rollback) if path is not None]
    names = tuple(sorted(str(path.relative_to(supabase_dir)) for path in files))
    try:
        top = ask("rev-parse", "--show-toplevel").strip()
    except ToolError as error:
        if "not a git repository" in error.what:
            return GitFacts(None, None, names, ())
        raise
    status = ask("status", "--porcelain=v2", "--branch", "--untracked-files=no")
    head = _header(status, "oid", r"[0-9a-f]+")
    if head is None:
        return GitFacts(top, None, names, names)
    uncommitted: tuple[str, ...] = ()
    if names:
        committed = set(ask("ls-tree", "-r", "-z", "--name-only", "HEAD", *names).split("\0"))
        changed = _names_that_differ(ask, names, "HEAD")
        uncommitted = tuple(name for name in names if name not in committed or name in changed)
    branch = _header(status, "head", r"[^(].*")
    upstream = _read_upstream(ask, branch, names, ask_push) if ask_remote and branch else None
    return GitFacts(top, head, names, uncommitted, upstream, ask_remote)


def _header(status: str, name: str, pattern: str) -> str | None:
    """A header of git's status, version 2; a branch without a commit, and a commit without a branch, stand in brackets."""
    found = re.search(rf"^# branch\.{name} ({pattern})$", status, re.MULTILINE)
    return found[1] if found else None


def _names_that_differ(ask: Ask, names: tuple[str, ...], *revisions: str) -> tuple[str, ...]:
    found = ask("diff", "--name-only", "--relative", "--no-ext-diff", "-z", *revisions, "--", *names)
    return tuple(name for name in found.split("\0") if name)


def _read_upstream(ask: Ask, branch: str, names: tuple[str, ...], ask_push: bool) -> Upstream | None:
    remote, ref = setting(ask, f"branch.{branch}.remote"), setting(ask, f"branch.{branch}.merge")
    if remote is None or ref is None or remote == ".":
        return None
    name = f"{remote}/{ref.removeprefix('refs/heads/')}"
    environment = to_reach_a_remote(ask)
    try:
        answer = ask("ls-remote", remote, ref, env=environment, timeout=REMOTE_SECONDS)
    except ToolError as error:
        return Upstream(name, problem=reason_of_git(error))
    refusal = None
    if ask_push:
        try:
            ask("push", "--dry-run", "--no-verify", remote, f"HEAD:{ref}", env=environment, timeout=REMOTE_SECONDS)
        except ToolError as error:
            refusal = reason_of_git(error)
    tip = next((line.split("\t")[0] for line in answer.splitlines() if line.endswith(f"\t{ref}")), None)
    if tip is None or not _is_known(ask, tip):
        return Upstream(name, tip, refusal=refusal)
    ahead, behind = ask("rev-list", "--left-right", "--count", f"HEAD...{tip}").split()
    differing = _names_that_differ(ask, names, tip, "HEAD") if names else ()
    return Upstream(name, tip, True, int(ahead), int(behind), differing, refusal=refusal)


def _is_known(ask: Ask, commit: str) -> bool:
    try:
        ask("cat-file", "-e", f"{commit}^{{commit}}")
    except ToolError as error:
        if "exit_code" not in error.details:
            raise
        return False
    return True


def judge_git(found: GitFacts) -> Judgement:
    """What is about to be applied is what the team can see in git; pure."""
    if found.top is None:
        return Judgement("WARNING", "supabase_dir is not in a git work tree", "Keep the migrations in git: git init")
    if found.uncommitted:
        names = " ".join(found.uncommitted[:SHOWN])
        return Judgement(
            "FAIL",
            f"{len(found.uncommitted)} pending files differ from {'HEAD ' + found.head[:12] if found.head else 'git'} or are "
            f"not in it: {shown_list(found.uncommitted)}",
            f"In supabase_dir: git add {names} && git commit",
        )
    if found.head is None:
        return Judgement("WARNING", f"the work tree {found.top} has no commit", "Commit the migrations: git commit")
    evidence = f"HEAD {found.head} in {found.top} has all {len(found.pending)} pending files as they are"
    if found.upstream is None:
        return Judgement(
            "PASS", f"{evidence}; {'its branch follows none' if found.asked else 'its remote was not asked'}"
        )
    return _judge_upstream(evidence, found.upstream)


def _judge_upstream(evidence: str, upstream: Upstream) -> Judgement:
    name = upstream.name
    if upstream.problem:
        return Judgement(
            "FAIL",
            f"{evidence}, but {name} does not answer: {upstream.problem}",
            "Look at: git ls-remote; where no remote can be reached from here, set git_remote: false "
            "(preflight_git_remote), or waive this.",
        )
    if upstream.refusal:
        return Judgement(
            "FAIL",
            f"{evidence}, but a push to {name} would be refused: {upstream.refusal}",
            "Look at: git push --dry-run",
        )
    if upstream.tip is None:
        return Judgement("FAIL", f"{evidence}, but {name} is not there", "Publish the branch: git push")
    if not upstream.known:
        return Judgement("WARNING", f"{evidence}; {name} has commits that are not here", "Look at them: git pull")
    if upstream.differing:
        return Judgement(
            "FAIL",
            f"{evidence}, but on {name} these are others or missing: {shown_list(upstream.differing)}",
            "git pull, and look at what changed" if upstream.behind else "git push",
        )
    apart = [
        f"{number(n, 'commit')} {where}" for n, where in ((upstream.ahead, "behind"), (upstream.behind, "ahead")) if n
    ]
    return Judgement("PASS", f"{evidence}; so has {name}{', which is ' + ' and '.join(apart) if apart else ''}")
