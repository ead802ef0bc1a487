# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that does what modules should not, and tells what it finds: laid into a collection of its own by the tests."""

from __future__ import annotations

import json
import locale
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

PROBE = "import os, sys; print(os.environ.get('GREETING'), os.environ.get('TZ'), len(sys.stdin.read()))"


def surroundings(module: AnsibleModule) -> dict[str, Any]:
    """What a module finds where it starts."""
    umask = os.umask(0o077)
    os.umask(umask)
    names = ("GREETING", "TZ", "TMPDIR", "PGOPS_PROGRESS_SOCKET", "LC_ALL", "LANG", "HOME", "PATH")
    program = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    return {
        "directory": os.getcwd(),
        "umask": umask,
        "environment": {name: os.environ.get(name) for name in names},
        "hour": time.strftime("%H %Z", time.localtime(0)),
        "temporary": tempfile.gettempdir(),
        "signals": {
            s.name: str(signal.getsignal(s))
            for s in signal.Signals
            if s.name in ("SIGTERM", "SIGINT", "SIGPIPE", "SIGALRM")
        },
        "encodings": [sys.stdout.encoding, sys.stdout.errors, sys.getfilesystemencoding(), str(locale.getlocale())],
        "input": sys.stdin.read(),
        "arguments": len(sys.argv),
        "program": program.stdout,
        "threads": list(ThreadPoolExecutor(4).map(lambda number: number * 2, range(8))),
        "check": module.check_mode,
        "text": "zażółć ☃",
        "python": str(Path(sys.executable).parent),
    }


def disorder(module: AnsibleModule) -> dict[str, Any]:
    """Leave everything changed, and tell whether it was when this began."""
    found = {**surroundings(module), "left": getattr(json, "left", None)}
    json.left = "something"  # type: ignore[attr-defined]
    os.environ["GREETING"] = "left over"
    os.chdir("/")
    os.umask(0o077)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.path.insert(0, "/nowhere")
    return found


def wait(module: AnsibleModule) -> None:
    """Start a program, say so, and wait until the file C(end) is there; tell of an end that comes before."""
    place = Path(module.params["place"])

    def leave(number: int, _frame: Any) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    program = subprocess.Popen(["sleep", "600"])
    (place / "waiting").write_text(f"{os.getpid()} {program.pid}")
    try:
        while not (place / "end").exists():
            time.sleep(0.05)
    finally:
        (place / "left").write_text("in order")
        program.kill()


def main() -> None:
    """Do what is asked for."""
    module = AnsibleModule(
        argument_spec={
            "do": {
                "type": "str",
                "required": True,
                "aliases": ["deed"],
                "deprecated_aliases": [{"name": "deed", "version": "9.0.0", "collection_name": "example.doors"}],
            },
            "number": {"type": "int", "default": 3},
            "old": {"type": "str", "removed_in_version": "9.0.0", "removed_from_collection": "example.doors"},
            "secret": {"type": "str", "no_log": True},
            "place": {"type": "path"},
            "anything": {"type": "raw"},
        },
        supports_check_mode=True,
    )
    secret, do = module.params["secret"], module.params["do"]
    if do == "look":
        module.exit_json(changed=not module.check_mode, found=surroundings(module), given=module.params["anything"])
    if do == "leave disorder":
        module.exit_json(changed=True, found=disorder(module))
    if do == "tell":
        module.warn(f"careful: {secret}")
        module.deprecate(f"old: {secret}", version="9.0.0", collection_name="pgops.supabase")
        module.exit_json(
            msg=f"it is {secret}", nested={"key": [secret, 1]}, diff={"before": "a\n", "after": f"{secret}\n"}
        )
    if do == "refuse":
        module.warn("careful")
        module.fail_json(msg=f"it is not {secret}", changed=True, error={"state": "unchanged", "code": 7})
    if do == "give up":
        try:
            raise OSError("no disk")
        except OSError as error:
            module.fail_json(msg="it cannot be written", exception=error)
    if do == "crash":
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError(f"outer {secret}") from error
    if do == "return":
        return
    if do == "exit":
        sys.exit(module.params["anything"])
    if do == "exit at once":
        os._exit(7)
    if do == "die":
        os.kill(os.getpid(), module.params["number"])
    if do == "print":
        print("before the result")
        os.write(1, b"and from below\n")
        print("to stderr", file=sys.stderr)
        module.exit_json(changed=False)
    if do == "print alone":
        print("no result")
        os.write(2, b"a complaint \xff\n")
        sys.exit(0)
    if do == "return much":
        module.exit_json(much="x" * 300_000, stdout="a\nb", results="no list", ansible_facts={"fact": 1})
    if do == "return no text":
        module.exit_json(text="\udce9")
    if do == "use a directory":
        Path(module.tmpdir, "file").touch()
        module.exit_json(msg="used", place=module.tmpdir)
    if do == "wait":
        wait(module)
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
