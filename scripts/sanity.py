# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run Ansible's own sanity tests on the collection, offline but for the package index, outside the user's home."""

from __future__ import annotations

import ast
import configparser
import io
import subprocess
import sys
from pathlib import Path

import ansible_test
from clone import ANSIBLE_HOME, NAME, NAMESPACE, copy_project, environment, run, say, write_private

# The stand-in for the program that installs pip into each of ansible-test's virtual environments. ansible-test would
# download one from a server of its own; this one takes the pip that Python itself brings.
PIP_BOOTSTRAP = "import ensurepip\n\nensurepip.bootstrap()\n"


def bootstrapped_pip_version() -> str:
    """Return the pip version that this ansible-test asks for, read from its source: it is part of a file's name.

    :raises SystemExit: its source no longer says so in the way this function knows.
    """
    source = Path(ansible_test.__path__[0], "_internal", "python_requirements.py")
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == "get_venv_packages":
            for call in ast.walk(node):
                if isinstance(call, ast.keyword) and call.arg == "pip" and isinstance(call.value, ast.Constant):
                    return str(call.value.value)
    sys.exit(f"error: {source} does not say which pip version it bootstraps; scripts/sanity.py must learn where")


def pip_settings() -> str:
    """Return the user's pip settings (index, certificates ...) as a pip.conf, whether files or variables hold them.

    ansible-test passes no variables on, and below another home directory pip does not see the user's files.

    :raises SystemExit: pip cannot read its own settings.
    """
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False)
    if listing.returncode:
        sys.exit(f"error: pip cannot read its settings:\n{listing.stderr}")
    settings = configparser.RawConfigParser()
    # Variables win over files, so they are written last.
    for line in sorted(listing.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
        name, value = line.split("=", maxsplit=1)
        section, key = name.rsplit(".", maxsplit=1)
        section = "global" if section == ":env:" else section
        if key != "config-file":
            settings.setdefault(section, {})
            settings[section][key] = str(ast.literal_eval(value)).replace("\n", "\n  ")
    text = io.StringIO()
    settings.write(text)
    return text.getvalue()


def main() -> None:
    """Copy the collection to where ansible-test accepts it and run the sanity tests there."""
    home = ANSIBLE_HOME / "home"
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    stub = cache / f"get_pip_{bootstrapped_pip_version().replace('.', '_')}.py"
    stub.write_text(PIP_BOOTSTRAP, encoding="utf-8")
    # An index may have a password in its address.
    write_private(home / ".config" / "pip" / "pip.conf", pip_settings())

    # ansible-test refuses links, and wants the folders above the collection to be named after it.
    collections = ANSIBLE_HOME / "ct"
    copy = collections / "ansible_collections" / NAMESPACE / NAME
    say(f"Copying the collection to {copy} for ansible-test")
    copy_project(copy)

    env = environment(collections)
    # ansible-test sets its own Ansible configuration, and keeps its environments below the home directory.
    for name in ("ANSIBLE_CONFIG", "ANSIBLE_HOME", "ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_REMOTE_TEMP", "XDG_CACHE_HOME"):
        del env[name]
    env |= {"HOME": str(home), "ANSIBLE_TEST_CONTENT_ROOT": str(copy)}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    run(["ansible-test", "sanity", "--local", "--python", python, "--color", "no", *sys.argv[1:]], env, copy)
    say("sanity: every test passed")


if __name__ == "__main__":
    main()
