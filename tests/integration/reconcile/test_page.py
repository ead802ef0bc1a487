# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""reconcile.html in a real browser: accessible, on a phone, in the dark, on paper, and without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.page import page
from tests.integration.browser import chromium
from tests.unit.reconcile.examples import a_reconciliation


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the module."""
    with chromium() as running:
        yield running


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
@pytest.mark.parametrize("equal", [True, False])
def test_the_page_is_accessible_and_loads_nothing(
    browser: Browser, tmp_path: Path, width: int, scheme: str, equal: bool
) -> None:
    file = tmp_path / "reconcile.html"
    file.write_text(page(a_reconciliation(equal=equal)), "utf-8")
    said: list[str] = []
    opened = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()  # type: ignore[arg-type]
    opened.on("console", lambda message: said.append(message.text))
    opened.on("request", lambda request: said.append(request.url) if request.url != file.as_uri() else None)
    opened.goto(file.as_uri())
    opened.evaluate("document.querySelectorAll('details').forEach(folded => folded.open = true)")
    found = Axe().run(opened)
    assert found.violations_count == 0, found.generate_report()
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    assert said == [] and (equal or opened.title().startswith("prod <b>: DIFFERS"))
    opened.context.close()


def test_on_paper_nothing_is_cut(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "reconcile.html"
    file.write_text(page(a_reconciliation(equal=False)), "utf-8")
    opened = browser.new_context(viewport={"width": 688, "height": 1000}).new_page()
    opened.goto(file.as_uri())
    opened.emulate_media(media="print")
    assert opened.evaluate("document.documentElement.scrollWidth") == 688
    opened.context.close()
