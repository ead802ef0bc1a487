# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work tree that a run is published from: may a commit be made here, and would the remote take it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import PublishError, ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.publish.git import (
    Git,
    git_program,
    reason_of_git,
    without_logins,
)
from ansible_collections.pgops.supabase.plugins.module_utils.publish.message import TRAILER

# Git must not guess who somebody is from the names of the user and the machine.
NO_GUESS = ("-c", "user.useConfigOnly=true")
UNTOUCHED = "nothing was committed or pushed; the database is not touched by this"
_UNDER_WAY = {"MERGE_HEAD": "merge", "CHERRY_PICK_HEAD": "cherry-pick", "REVERT_HEAD": "revert"}


@dataclass(frozen=True)
class WorkTree:
    """A work tree on the branch that was named, and the remote's tip of the same branch."""

    git: Git
    top: Path
    branch: str
    remote: str
    head: str
    tip: str

    @property
    def ref(self) -> str:
        """The branch, in full."""
        return f"refs/heads/{self.branch}"


def opened(folder: Path, branch: str, remote: str, seconds: float) -> WorkTree:
    """The work tree of a folder, where a commit can be made on the branch, and the remote has nothing that is not here.

    Nothing is changed but what git fetch changes, where the remote moved on.

    :param seconds: how long one command of git's may take.
    :raises PublishError: when it cannot be published from; the error says what to type.
    """
    program = git_program()
    if program is None:
        raise PublishError(
            "git is not installed on this machine", where="$PATH", state=UNTOUCHED, next_step="Install git."
        )
    git = Git(program, folder, seconds)
    try:
        top = Path(git.run("rev-parse", "--show-toplevel").strip())
    except ToolError as error:
        raise _refused(
            f"{folder} is in no git work tree: {reason_of_git(error)}", folder, "git init, or correct repository."
        ) from error
    git = Git(program, top, seconds)
    head = _on_branch(git, top, branch)
    _nothing_under_way(git, top)
    _somebody(git, top)
    tip = _tip(git, branch, remote)
    tree = WorkTree(git, top, branch, remote, head, tip)
    _remote_has_nothing_new(tree)
    _only_ours_is_unpushed(tree)
    return tree


def would_be_taken(tree: WorkTree) -> None:
    """Ask the remote whether it lets this user push; its own hooks are not asked by this.

    :raises PublishError: when it does not.
    """
    try:
        tree.git.reach("push", "--dry-run", "--no-verify", tree.remote, f"HEAD:{tree.ref}")
    except ToolError as error:
        raise _refused(
            f"{tree.remote} would refuse a push to {tree.branch}: {reason_of_git(error)}",
            tree.top,
            f"Get the right to push, and look with: git push --dry-run {tree.remote} HEAD:{tree.ref}",
        ) from error


def tip_of(git: Git, branch: str, remote: str) -> str | None:
    """The commit that the remote's branch is at, None where it has no such branch.

    :raises ToolError: when it does not answer.
    """
    answer = git.reach("ls-remote", remote, f"refs/heads/{branch}")
    return next((line.split("\t")[0] for line in answer.splitlines() if line.endswith(f"\trefs/heads/{branch}")), None)


def reasons(error: ToolError) -> str:
    """What the remote and git say about a refusal, in at most five lines."""
    said = [line.strip() for line in str(error.details.get("stderr", "")).splitlines()]
    telling = [line for line in said if line.startswith(("remote: ", "! ", "fatal:", "error:")) and line != "remote:"]
    return without_logins("; ".join((telling or [line for line in said if line] or [error.what])[:5]))


def _on_branch(git: Git, top: Path, branch: str) -> str:
    if not git.says("symbolic-ref", "--quiet", "HEAD"):
        raise _refused(f"HEAD of {top} is on no branch", top, f"git switch {branch}")
    current = git.run("symbolic-ref", "--short", "HEAD").strip()
    if current != branch:
        raise _refused(
            f"{top} is on the branch {current}, and not on {branch}", top, f"git switch {branch}, or correct branch."
        )
    if not git.says("rev-parse", "--quiet", "--verify", "HEAD"):
        raise _refused(f"The branch {branch} has no commit yet", top, "Commit the application first: git commit")
    return git.run("rev-parse", "HEAD").strip()


def _nothing_under_way(git: Git, top: Path) -> None:
    for ref, what in _UNDER_WAY.items():
        if git.says("rev-parse", "--quiet", "--verify", ref):
            raise _refused(
                f"A {what} is under way in {top}; a commit now would end it", top, f"git {what} --continue, or --abort"
            )


def _somebody(git: Git, top: Path) -> None:
    try:
        for role in ("AUTHOR", "COMMITTER"):
            git.run(*NO_GUESS, "var", f"GIT_{role}_IDENT")
    except ToolError as error:
        raise _refused(
            f"Git does not know who commits here: {reason_of_git(error)}",
            top,
            "git config user.name and git config user.email, or GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL, GIT_COMMITTER_NAME and "
            "GIT_COMMITTER_EMAIL in the environment.",
        ) from error


def _tip(git: Git, branch: str, remote: str) -> str:
    if remote not in git.run("remote").splitlines():
        raise _refused(
            f"There is no remote {remote}", git.folder, "git remote -v shows those there are; correct remote."
        )
    try:
        tip = tip_of(git, branch, remote)
    except ToolError as error:
        raise _refused(
            f"The remote {remote} does not answer: {reason_of_git(error)}",
            git.folder,
            f"Look at: git ls-remote {remote}",
        ) from error
    if tip is None:
        raise _refused(
            f"{remote} has no branch {branch}; publishing would push all of it",
            git.folder,
            f"Publish the branch yourself first: git push -u {remote} {branch}",
        )
    return tip


def _remote_has_nothing_new(tree: WorkTree) -> None:
    """Where the remote moved on, it is fetched and told. Merging is the user's: it changes files that a run may be about."""
    git = tree.git
    if tree.tip == tree.head or (
        _is_here(git, tree.tip) and git.says("merge-base", "--is-ancestor", tree.tip, tree.head)
    ):
        return
    try:
        git.reach("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", tree.remote, tree.ref)
        ahead, behind = git.run("rev-list", "--left-right", "--count", f"{tree.head}...FETCH_HEAD").split()
    except ToolError as error:
        raise _refused(
            f"{tree.remote}/{tree.branch} cannot be fetched: {reason_of_git(error)}", tree.top, "git fetch"
        ) from error
    how = (
        f"git pull --ff-only {tree.remote} {tree.branch}"
        if ahead == "0"
        else f"git pull --rebase {tree.remote} {tree.branch}"
    )
    raise _refused(
        f"{tree.remote}/{tree.branch} has {number(int(behind), 'commit')} not here; fetched, and not merged",
        tree.top,
        f"Look at them: git log HEAD..FETCH_HEAD. Then {how}, and publish again: ansible-playbook pgops.supabase.publish -l <project>",
    )


def _is_here(git: Git, commit: str) -> bool:
    try:
        git.run("cat-file", "-e", f"{commit}^{{commit}}")
    except ToolError as error:
        if "exit_code" not in error.details:
            raise
        return False
    return True


def _only_ours_is_unpushed(tree: WorkTree) -> None:
    wanted = f"--format=%h%x09%(trailers:key={TRAILER},valueonly,separator=%x20)"
    lines = tree.git.run("log", wanted, f"{tree.tip}..{tree.head}").splitlines()
    others = [commit for commit, _tab, run in (line.partition("\t") for line in lines) if not run.strip()]
    if others:
        raise _refused(
            f"{number(len(others), 'commit')} of {tree.branch} not on {tree.remote}, and not made by a run: {_some(others)}; "
            "publishing would push them too",
            tree.top,
            f"Push them yourself: git push {tree.remote} {tree.branch}",
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")


def _refused(what: str, where: Path, next_step: str) -> PublishError:
    return PublishError(without_logins(what), where=str(where), state=UNTOUCHED, next_step=next_step)
