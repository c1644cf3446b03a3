"""The page of `idempotency dashboard`, in Chromium."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from idempotency_manager import Action, IdempotencyManager

from .conftest import HOSTILE, Served, populate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

SIZES = {"wide": (1280, 900), "narrow": (320, 640)}
MANY = 5_000
NO_OVERFLOW = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"

# Relative luminance and contrast as WCAG 2.2 defines them, of each element that has text of its own and its background.
CONTRASTS = """() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.checkVisibility())
    .filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((one) => {
      const style = getComputedStyle(one), front = parse(one instanceof SVGElement ? style.fill : style.color);
      const [more, less] = [luminance(front), luminance(background(one))].sort((a, b) => b - a);
      return [one.textContent.trim().slice(0, 40), (more + 0.05) / (less + 0.05)];
    });
}"""


@contextmanager
def looking(
    browser: Browser, served: Served, size: str = "wide", refused: str = "none", **options: Any
) -> Iterator[Page]:
    """Open the page; what goes wrong in it goes wrong here, but for what is refused, as the console says it."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.goto(served.address)
    expect(page.locator("#state.on")).to_be_visible()
    expect(page.locator("#tiles dd").first).not_to_have_text("…")
    yield page
    context.close()
    assert [text for text in wrong if refused not in text] == []


def picture(page: Page, name: str) -> None:
    """Leave a picture for a person to look at, where one asks for it by PICTURES=folder."""
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that every test may look at and none changes anything by."""
    url = f"sqlite:///{tmp_path_factory.mktemp('shared')}/store.db"
    with IdempotencyManager(url) as manager:
        populate(manager)
    served = Served(url)
    yield served
    served.stop()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_full_page_is_readable_in_any_window(browser: Browser, shared: Served, scheme: Any) -> None:
    with looking(browser, shared, color_scheme=scheme) as page:
        expect(page.locator("#doubts li")).to_have_count(2)
        expect(page.locator("#hottest tbody tr")).to_have_count(7)
        expect(page.locator("#rate svg path.line, #rate svg text.empty").first).to_be_visible()
        page.locator("summary").first.click()
        for name, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate(NO_OVERFLOW)
            picture(page, f"full-{name}-{scheme}")
        too_weak = [(text, round(ratio, 2)) for text, ratio in page.evaluate(CONTRASTS) if ratio < 4.5]
        assert too_weak == []
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 24)"
        assert dark == (scheme == "dark")


def test_an_empty_store_says_so(browser: Browser, serve: Callable[..., Served], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    with IdempotencyManager(url) as manager:
        manager.stats()
    with looking(browser, serve(url), "narrow") as page:
        expect(page.locator("#doubt-note")).to_have_text("Nothing is in doubt.")
        expect(page.locator("#hot-note")).to_have_text("No key was asked for twice.")
        expect(page.locator("#retried-note")).to_have_text("No signal was retried.")
        expect(page.locator("#expiring-note")).to_have_text("Nothing is about to expire.")
        expect(page.locator("table:visible")).to_have_count(0)
        assert page.evaluate(NO_OVERFLOW)
        picture(page, "empty")


def test_a_large_store_shows_the_few_that_matter(
    browser: Browser, serve: Callable[..., Served], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/large.db?synchronous=normal"
    with IdempotencyManager(url) as manager:
        asked = [Action(f"evt-{number}", "post", "slack", {"n": number}) for number in range(MANY)]
        manager.execute_many(asked, lambda _action: 1, batch_size=500)
        for _ in range(3):
            manager.execute(asked[-7], lambda: 1)
    with looking(browser, serve(url)) as page:
        expect(page.locator("#tiles dd").first).to_have_text(f"{MANY:,}")
        expect(page.locator("#hot-note")).to_contain_text("of the 2,000 newest records")
        expect(page.locator("#hottest tbody tr")).to_have_count(1)
        expect(page.locator("#hottest tbody td").first).to_have_text("4")
        expect(page.locator("#expiring tbody tr")).to_have_count(20)
        picture(page, "large")


def test_a_hostile_key_is_text_and_the_token_leaves_the_address(browser: Browser, shared: Served) -> None:
    with looking(browser, shared) as page:
        expect(page.locator("#doubts .key").first).to_contain_text(HOSTILE)
        page.locator("summary").first.click()
        expect(page.locator("#doubts code").first).to_contain_text("--result JSON")
        assert page.title() == "idempotency"
        assert page.locator("main script").count() == 0
        assert page.url == f"{shared.origin}/"
        page.reload()
        expect(page.locator("#state.on")).to_be_visible()
        assert page.evaluate("document.cookie") == "", "no script can read it"


def test_the_live_page_shows_what_others_do(browser: Browser, serve: Callable[..., Served], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/live.db"
    with IdempotencyManager(url) as manager:
        manager.stats()
        with looking(browser, serve(url)) as page:
            keys = populate(manager)
            expect(page.locator("#doubts li")).to_have_count(2)
            manager.resolve_in_doubt(keys["plain"], result=1)
            expect(page.locator("#doubts li")).to_have_count(1)
            expect(page.locator("#duplicates svg path.line").first).to_be_visible()
            page.locator("#duplicates svg").focus()
            page.keyboard.press("ArrowLeft")
            expect(page.locator("#duplicates svg line.cursor")).to_have_count(1)
            expect(page.locator("#duplicates-now")).to_contain_text("a second at ")
            assert "from" in (page.locator("#duplicates svg").get_attribute("aria-label") or "")


def test_both_ways_out_by_keyboard_alone_each_after_a_question(
    browser: Browser, serve: Callable[..., Served], file: str
) -> None:
    with looking(browser, serve(file, "--allow-changes"), refused="409 (Conflict)") as page:
        page.locator("#doubts li").nth(1).locator(".happened").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#question")).to_be_visible()
        picture(page, "question")
        page.keyboard.type("[1")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#question-problem")).to_contain_text("the result is no JSON")
        page.locator("#question-result").fill('{"id": "card_1"}')
        page.locator("#question-confirm").press("Enter")
        expect(page.locator("#said")).to_contain_text("Recorded: it happened")
        expect(page.locator("#doubts li")).to_have_count(1)

        page.locator("#doubts .not").press("Enter")
        expect(page.locator("#question-cancel")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#question")).to_be_hidden()
        page.locator("#doubts .not").press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#doubt-note")).to_have_text("Nothing is in doubt.")
    with IdempotencyManager(file) as manager:
        assert manager.get_in_doubt() == []
        key = next(manager.iter_records(signal_id="invoice-9")).key
        assert manager.check_executed(key).cached_result == {"id": "card_1"}


@pytest.mark.parametrize("origin", ["http://127.0.0.1:9001", "http://evil.example"], ids=["same site", "cross site"])
def test_a_page_of_another_origin_gets_nothing_and_changes_nothing(
    browser: Browser, serve: Callable[..., Served], file: str, origin: str
) -> None:
    """Another port of this machine is the same site, so the cookie goes with what its pages ask for."""
    served = serve(file, "--allow-changes")
    with looking(browser, served) as page:
        key = page.locator("#doubts li").first.get_attribute("data-key")
        other = page.context.new_page()
        statuses: list[int] = []
        other.on("response", lambda answer: statuses.append(answer.status) if answer.url != f"{origin}/" else None)
        other.route(f"{origin}/", lambda route: route.fulfill(content_type="text/html", body="<title>other</title>"))
        other.goto(f"{origin}/")
        asked = """async ([origin, key]) => {
            const body = JSON.stringify({ key, not_executed: true });
            for (const [path, options] of [["/snapshot", {}], ["/resolve", { method: "POST", body }]]) {
                await fetch(origin + path, { mode: "no-cors", credentials: "include", ...options }).catch(() => 0);
            }
        }"""
        other.evaluate(asked, [served.origin, key])
        assert all(status == 403 for status in statuses), statuses
        other.set_content(f"<a href='{served.address}'>there</a>")
        with other.expect_navigation():
            other.click("a")
        assert "a request of another origin" in other.inner_text("body")
    with IdempotencyManager(file) as manager:
        assert len(manager.get_in_doubt()) == 2


def test_a_dashboard_that_has_ended_is_told_of(browser: Browser, serve: Callable[..., Served], file: str) -> None:
    served = serve(file)
    context = browser.new_context()
    page = context.new_page()
    page.goto(served.address)
    expect(page.locator("#state.on")).to_be_visible()
    assert served.stop() == 0
    expect(page.locator("#problem")).to_contain_text("does not answer")
    expect(page.locator("#state.off")).to_be_visible()
    context.close()
