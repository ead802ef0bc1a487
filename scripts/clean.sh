#!/bin/sh
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Removes everything that make made. Servers of the demo are stopped first: their data is about to go.
set -eu
cd "$(dirname "$0")/.."

if [ -x .venv/bin/python ] && [ -d .local ]; then
    .venv/bin/python scripts/demo.py down
fi
echo '==> Removing .venv, .ansible, .local, dist and the caches'
rm -rf .venv .ansible .local dist .cache .mypy_cache .pytest_cache changelogs/.plugin-cache.yaml
find . -path ./.git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +
