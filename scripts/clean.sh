#!/bin/sh
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Removes everything that make made. Its servers are stopped first, also those that a killed test left: their data is about to go.
set -eu
cd "$(dirname "$0")/.."

if [ -x .venv/bin/python ] && [ -d .local ]; then
    .venv/bin/python scripts/demo.py down
fi
if [ -d .local ]; then
    find .local -name postmaster.pid | while read -r file; do
        echo "==> Stopping the server of $(dirname "$file")"
        kill -QUIT "$(head -n 1 "$file")" || true
    done
fi
echo '==> Removing .venv, .ansible, .local, dist and the caches'
rm -rf .venv .ansible .local dist .cache .mypy_cache .pytest_cache changelogs/.plugin-cache.yaml
find . -path ./.git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +
