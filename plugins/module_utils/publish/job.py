# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run published: its files and its evidence in one commit of their own, and that commit on the remote.

Only what was asked for is committed, nothing is forced or rewritten, and what the user has staged stays staged: the commit is made
from an index of its own, and of the user's index only the entries of the committed files are brought to the new commit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    InputError,
    PgopsError,
    PublishError,
    ToolError,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import read_json, write_atomically, write_json
from ansible_collections.pgops.supabase.plugins.module_utils.publish.documents import Publication
from ansible_collections.pgops.supabase.plugins.module_utils.publish.work_tree import (
    NO_GUESS,
    UNTOUCHED,
    WorkTree,
    opened,
    reasons,
    tip_of,
    would_be_taken,
)

PUBLISH_FILE = "publish.json"
# What people review: the report, what was planned, what was done. Never counts of single rows, exports or backups.
EVIDENCE = ("report.md", "report.html", "plan.json", "migration.json", "rollback.json")
_FILE_OF_THE_REPOSITORY = 0o644


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where to publish.

    :param folder: any folder of the work tree.
    :param branch: the branch that has to be checked out, and the remote's branch of the same name.
    :param seconds: how long one command of git's may take, the user's hooks included.
    """

    folder: Path
    branch: str
    remote: str
    seconds: float = 120


@dataclass(frozen=True, kw_only=True)
class Content:
    """What to publish of a run.

    :param paths: files and folders of the work tree; those that are not there are left out.
    :param evidence: folder of the work tree that a folder with the run's evidence is put in; None: no evidence.
    """

    run_id: str
    run_dir: Path
    paths: Sequence[Path]
    evidence: Path | None
    message: str


def check_place(place: Place) -> None:
    """See, before a run, that its end can be published.

    :raises PublishError: when it cannot.
    """
    would_be_taken(opened(place.folder, place.branch, place.remote, place.seconds))


def publish(place: Place, content: Content, *, write: bool) -> tuple[Publication, bool]:
    """Commit and push what a run made; what became of it is in publish.json, of a failure too. Whether anything was changed.

    Again it does nothing, but for a commit of ours that the remote has not got yet: that is pushed.

    :param write: whether to do it, or only to say what would be done.
    :raises InputError: when a path is not in the work tree.
    :raises PublishError: when it cannot be committed or pushed; what is committed by then stays, and is pushed the next time.
    """
    done = Publication(run_id=content.run_id, branch=place.branch, remote=place.remote)
    try:
        tree = opened(place.folder, place.branch, place.remote, place.seconds)
        wanted = [_inside(tree, path) for path in content.paths if path.exists()]
        evidence = _evidence(tree, content)
        if not write:
            done.files = sorted(
                {
                    *_differing(tree, wanted),
                    *(str(path) for path in evidence if not (tree.top / path).exists()),
                }
            )
            done.subject = content.message.splitlines()[0] if done.files else None
            return done, bool(done.files) or tree.head != tree.tip
        for path, text in evidence.items():
            _keep(tree.top / path, text)
        committed = _commit(tree, [*wanted, *evidence], content.message, done)
        changed = _push(tree, done) or committed
    except PgopsError as error:
        done.failure = error.what
        if write:
            write_json(content.run_dir / PUBLISH_FILE, done.as_dict())
        raise
    before = _recorded(content.run_dir)
    if not changed and before is not None and before.failure is None:
        return before, False
    write_json(content.run_dir / PUBLISH_FILE, done.as_dict())
    return done, changed


def _recorded(run_dir: Path) -> Publication | None:
    """What the run's directory says already of its publication."""
    try:
        return from_dict(Publication, read_json(run_dir / PUBLISH_FILE))
    except (OSError, ValueError, TypeError):
        return None


def _inside(tree: WorkTree, path: Path) -> Path:
    """A path by its name in the work tree; git follows no symbolic link on the way."""
    whole = path.parent.resolve() / path.name
    if not whole.is_relative_to(tree.top) or whole == tree.top:
        raise InputError(
            f"{path} is no file or folder in the work tree {tree.top}",
            where="paths",
            state=UNTOUCHED,
            next_step="Name files and folders of the application's repository (project_publish.paths).",
        )
    return whole.relative_to(tree.top)


def _evidence(tree: WorkTree, content: Content) -> Mapping[Path, bytes]:
    if content.evidence is None:
        return {}
    folder = _inside(tree, content.evidence) / content.run_id
    there = {name: content.run_dir / name for name in EVIDENCE}
    return {folder / name: path.read_bytes() for name, path in there.items() if path.is_file()}


def _keep(path: Path, text: bytes) -> None:
    """Evidence that is there already stays: the run's own report goes on to say where it was published."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text, mode=_FILE_OF_THE_REPOSITORY)


def _differing(tree: WorkTree, paths: Sequence[Path]) -> list[str]:
    if not paths:
        return []
    listed = tree.git.run(
        "--literal-pathspecs", "status", "--porcelain", "-z", "-uall", "--no-renames", "--", *map(str, paths)
    )
    return [entry[3:] for entry in listed.split("\0") if entry]


def _commit(tree: WorkTree, paths: Sequence[Path], message: str, done: Publication) -> bool:
    """Commit what differs of the paths; whether there was anything."""
    if not paths:
        return False
    git, names = tree.git, [str(path) for path in paths]
    _refuse_staged_otherwise(tree, names)
    with tempfile.TemporaryDirectory(prefix="pgops-index-") as directory:
        own = {"GIT_INDEX_FILE": str(Path(directory) / "index")}
        try:
            git.run("read-tree", "HEAD", env=own)
            git.run("--literal-pathspecs", "add", "--", *names, env=own)
            listed = git.run("diff", "--cached", "--name-only", "--no-renames", "-z", "HEAD", env=own)
            if not listed:
                return False
            done.files = sorted(name for name in listed.split("\0") if name)
            git.run(*NO_GUESS, "commit", "--quiet", "--cleanup=whitespace", "--file=-", env=own, stdin=message)
        except ToolError as error:
            raise PublishError(
                f"Git did not commit: {reasons(error)}",
                where=str(tree.top),
                state="nothing was committed or pushed, and what was staged is as it was; the database is not touched by this",
                next_step="Mend what git or its hook says, then publish again: ansible-playbook pgops.supabase.publish -l <project>",
            ) from error
    done.commit = git.run("rev-parse", "HEAD").strip()
    done.subject = git.run("log", "-1", "--format=%s", "HEAD").strip()
    _take_into_index(tree, done)
    return True


def _refuse_staged_otherwise(tree: WorkTree, names: Sequence[str]) -> None:
    """Where a file is staged in another state than it lies there, nobody can tell which of them is meant."""

    def differing(*how: str) -> set[str]:
        found = tree.git.run("--literal-pathspecs", "diff", "--name-only", "--no-renames", "-z", *how, "--", *names)
        return {name for name in found.split("\0") if name}

    if both := sorted(differing("--cached") & differing()):
        raise PublishError(
            f"These are staged in another state than they lie there: {', '.join(both[:5])}",
            where=str(tree.top),
            state=UNTOUCHED,
            next_step=f"git add {' '.join(both[:5])} to have them as they are, or git restore --staged, then publish again.",
        )


def _take_into_index(tree: WorkTree, done: Publication) -> None:
    """The user's index still has the committed files as they were before; everything else in it is left alone."""
    try:
        tree.git.run("--literal-pathspecs", "reset", "--quiet", "HEAD", "--", *done.files)
    except ToolError as error:
        raise PublishError(
            f"The commit {done.commit} is made, but the index still shows its files as they were: {reasons(error)}",
            where=str(tree.top),
            state="committed and not pushed; the database is not touched by this",
            next_step="git reset HEAD -- with the files of the commit, then publish again.",
        ) from error


def _push(tree: WorkTree, done: Publication) -> bool:
    """Push what is ahead, which is all ours, and believe what the remote says afterwards; whether there was anything."""
    head = done.commit or tree.head
    if head == tree.tip:
        return False
    if done.commit is None:
        done.commit = head
        done.subject = tree.git.run("log", "-1", "--format=%s", head).strip()
        found = tree.git.run("diff-tree", "--no-commit-id", "--name-only", "--no-renames", "-r", "-z", tree.tip, head)
        done.files = sorted(name for name in found.split("\0") if name)
    try:
        # The commit by its name, without the user's own settings for what else travels along.
        refspec = f"{head}:{tree.ref}"
        tree.git.reach("push", "--quiet", "--no-follow-tags", "--recurse-submodules=no", tree.remote, refspec)
        done.pushed = tip_of(tree.git, tree.branch, tree.remote) == head
    except ToolError as error:
        raise _not_pushed(tree, head, f"refused it or did not answer: {reasons(error)}") from error
    if not done.pushed:
        raise _not_pushed(tree, head, "has another commit there already")
    return True


def _not_pushed(tree: WorkTree, commit: str, why: str) -> PublishError:
    return PublishError(
        f"The commit {commit[:12]} is on {tree.branch} here, and {tree.remote} {why}",
        where=str(tree.top),
        state="committed and not known to be pushed; nothing was forced; the database is not touched by this",
        next_step=f"git fetch {tree.remote}, and look; then publish again, which pushes it: ansible-playbook "
        "pgops.supabase.publish -l <project>",
    )
