# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The git program, asked and told as its user would be, but for questions: nobody is there to answer one.

The program and no library (GitPython runs it too, dulwich is another implementation): the hooks, credential helpers, signing keys,
ssh settings and proxies that a team has work with the program.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import SECRET_MARK, run_program

# What git and ssh need to reach a remote as the user would. Nothing may ask for a password: nobody is there to answer.
_TO_REACH_A_REMOTE = (
    "SSH_AUTH_SOCK",
    "GIT_SSH",
    "GIT_CONFIG_GLOBAL",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
)
_SSH_WITHOUT_QUESTIONS = "-o BatchMode=yes -o ConnectTimeout=10"
# What would send git to another repository or index (git rev-parse --local-env-vars), or have it write what it sends.
_NOT_FOR_A_COMMIT = re.compile(
    r"GIT_(DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|COMMON_DIR|PREFIX|NAMESPACE|GRAFT_FILE"
    r"|SHALLOW_FILE|IMPLICIT_WORK_TREE|INTERNAL_SUPER_PREFIX|NO_REPLACE_OBJECTS|REPLACE_REF_BASE|CURL_VERBOSE|TRACE.*)"
    r"|LC_.*|LANGUAGE"
)
# A token may be the whole of what stands before the @, and a password hold one.
_LOGIN_IN_URL = re.compile(r"(?<=://)[^/\s]+@")

Ask = Callable[..., str]


def git_program() -> str | None:
    """Where git is, None when it is not installed."""
    return shutil.which("git")


@dataclass(frozen=True)
class Git:
    """Git in one folder, with all that its user's surroundings give it, their hooks and keys above all."""

    program: str
    folder: Path
    seconds: float

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
        """What git says on stdout.

        :raises ToolError: when it refuses, or takes longer than is given to it; no login of a URL is in its words.
        """
        surroundings = {name: value for name, value in os.environ.items() if not _NOT_FOR_A_COMMIT.fullmatch(name)}
        environment = {**surroundings, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "false", **(env or {})}
        command = [self.program, "-C", str(self.folder), *arguments]
        try:
            return run_program(command, env=environment, timeout=self.seconds, stdin=stdin, with_children=True).stdout
        except ToolError as error:
            error.what = without_logins(error.what)
            if "stderr" in error.details:
                error.details["stderr"] = without_logins(error.details["stderr"])
            raise

    def reach(self, *arguments: str) -> str:
        """The same of what asks or changes a remote.

        :raises ToolError: as :meth:`run` does.
        """
        return self.run(*arguments, env=to_reach_a_remote(self.run))

    def says(self, *arguments: str) -> bool:
        """Whether a question that git answers by its exit code is answered with yes.

        :raises ToolError: when it gives no answer.
        """
        try:
            self.run(*arguments)
        except ToolError as error:
            if error.details.get("exit_code") != 1:
                raise
            return False
        return True


def setting(ask: Ask, name: str) -> str | None:
    """A setting of git, None where there is none."""
    return ask("config", "--default", "", "--get", name).strip() or None


def to_reach_a_remote(ask: Ask) -> dict[str, str]:
    """The environment in which git and ssh reach a remote as the user would, and ask nothing.

    :param ask: runs git with some arguments, and returns what it says.
    """
    environment = {name: os.environ[name] for name in _TO_REACH_A_REMOTE if name in os.environ}
    ssh = os.environ.get("GIT_SSH_COMMAND") or setting(ask, "core.sshCommand") or "ssh"
    if "GIT_SSH" not in environment:
        environment["GIT_SSH_COMMAND"] = f"{ssh} {_SSH_WITHOUT_QUESTIONS}"
    return {**environment, "GIT_TERMINAL_PROMPT": "0"}


def reason_of_git(error: ToolError) -> str:
    """Git's own reason, in one line; the hints that follow it are for somebody at a prompt."""
    said = [line for line in str(error.details.get("stderr", "")).splitlines() if line.strip()]
    telling = [line for line in said if line.startswith(("fatal:", "error:", "remote:"))]
    return without_logins((telling or said or [error.what])[0].strip())


def without_logins(text: str) -> str:
    """A text with what stands before the @ of a URL made unreadable: a password, or a token in place of the name."""
    return _LOGIN_IN_URL.sub(f"{SECRET_MARK}@", text)
