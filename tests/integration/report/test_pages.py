# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages in a real browser: accessible, on a phone, in the dark, on paper, by keyboard, and without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from ansible_collections.pgops.supabase.plugins.module_utils.report.index import (
    IndexedProject,
    indexed,
    projects_page,
    runs_page,
)
from ansible_collections.pgops.supabase.plugins.module_utils.report.page import page as report_page
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import Operation, RunEntry, RunVerdict
from tests.integration.browser import chromium
from tests.unit.report.pages import HOSTILE, VERDICTS, documents_of, run_that_was

PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
# The rules of WCAG 2.2 AA and axe's own of good practice are on by default; it checks some 30 on such a page.
FEWEST_RULES = 20


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the module."""
    with chromium() as running:
        yield running


def opened(browser: Browser, file: Path, said: list[str], **settings: object) -> Page:
    """The page in a browser of its own; what the browser complains of, and every address it asks for, is in C(said)."""
    page = browser.new_context(**settings).new_page()  # type: ignore[arg-type]
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: said.append(request.url) if request.url != file.as_uri() else None)
    page.goto(file.as_uri())
    return page


def accessible(page: Page) -> None:
    """Axe finds nothing, and it did look."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert len(found.response["passes"]) >= FEWEST_RULES


def written(directory: Path, verdict: RunVerdict, operation: Operation, name: str = "one") -> Path:
    """The report of such a run in a file."""
    file = directory / f"{verdict}.html"
    file.write_text(report_page(run_that_was(verdict, operation), documents_of(verdict, name), directory), "utf-8")
    return file


@pytest.mark.parametrize(("verdict", "operation"), VERDICTS)
def test_a_report_is_accessible(browser: Browser, tmp_path: Path, verdict: RunVerdict, operation: Operation) -> None:
    file = written(tmp_path, verdict, operation)
    for viewport, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
        said: list[str] = []
        page = opened(browser, file, said, viewport=viewport, color_scheme=scheme)
        page.evaluate("document.querySelectorAll('details').forEach(folded => folded.open = true)")
        accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
        assert said == []
        page.context.close()


def test_hostile_names_are_letters_and_nothing_more(browser: Browser, tmp_path: Path) -> None:
    name = HOSTILE + "<img src=x onerror=\"document.title='taken'\">" + "x" * 300
    file = written(tmp_path, "migrated", "migrate", name)
    for _time in range(2):
        said: list[str] = []
        page = opened(browser, file, said, viewport=PHONE)
        assert page.title().startswith("shop: MIGRATED") and said == []
        assert page.locator("img").count() == page.locator("script").count() == 0
        assert page.get_by_text(f"public.{name}").count() > 0
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        accessible(page)
        page.context.close()


def test_on_paper_everything_is_open_and_nothing_is_cut(browser: Browser, tmp_path: Path) -> None:
    file = written(tmp_path, "migrated", "migrate")
    for _time in range(2):
        page = opened(browser, file, [], viewport={"width": 688, "height": 1000}, color_scheme="dark")
        folded = page.get_by_text("one is there")
        assert folded.evaluate("cell => cell.checkVisibility({contentVisibilityAuto: true})") is False
        page.emulate_media(media="print")
        assert folded.evaluate("cell => cell.checkVisibility() && cell.getBoundingClientRect().height > 0") is True
        assert page.evaluate("document.documentElement.scrollWidth") == 688
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.pdf(format="A4").startswith(b"%PDF")
        page.context.close()


def test_the_keyboard_reaches_the_content_and_what_is_folded(browser: Browser, tmp_path: Path) -> None:
    file = written(tmp_path, "migrated", "migrate")
    for _time in range(2):
        page = opened(browser, file, [], viewport=DESKTOP)
        page.keyboard.press("Tab")
        skip = page.locator(".skip")
        assert skip.evaluate("link => link === document.activeElement && link.getBoundingClientRect().left >= 0")
        assert skip.evaluate("link => getComputedStyle(link).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
        page.keyboard.press("Enter")
        assert page.locator("details[open]").count() == 1
        page.context.close()


def test_nothing_moves_for_who_does_not_want_it(browser: Browser, tmp_path: Path) -> None:
    file = written(tmp_path, "migrated", "migrate")
    for motion, behaviour in (("reduce", "auto"), ("no-preference", "smooth")):
        page = opened(browser, file, [], reduced_motion=motion)
        assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == behaviour
        page.context.close()


def test_the_indexes_are_accessible(browser: Browser, tmp_path: Path) -> None:
    entries = [
        indexed(RunEntry(path=str(tmp_path / f"run{number}"), run=run_that_was(verdict, operation)))
        for number, (verdict, operation) in enumerate(VERDICTS)
    ]
    projects = [IndexedProject(HOSTILE, "a/index.html", entry, 3) for entry in entries]
    pages = (runs_page(HOSTILE, entries, [f"run.json: {HOSTILE}"]), runs_page("new", [], []), projects_page(projects))
    for text in pages:
        file = tmp_path / "index.html"
        file.write_text(text, "utf-8")
        for viewport, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
            said: list[str] = []
            page = opened(browser, file, said, viewport=viewport, color_scheme=scheme)
            accessible(page)
            assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"] and said == []
            page.context.close()
