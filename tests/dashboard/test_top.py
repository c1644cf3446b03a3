"""The screen of `idempotency top`, driven as a person drives it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Button, Input, Static, TabbedContent

from idempotency_manager import State
from idempotency_manager.cli._top_app import EMPTY, TopApp
from idempotency_manager.cli._top_parts import Expiring, Hottest, InDoubt, Plot, Retried, Tile
from idempotency_manager.testing import FaultPlan, inject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from textual.pilot import Pilot

    from idempotency_manager import IdempotencyManager
    from idempotency_manager.dashboard._watch import Watch
    from idempotency_manager.testing import ManualClock

WIDE, NARROW, SHORT = (130, 40), (56, 20), (100, 24)


@asynccontextmanager
async def running(watch: Watch, size: tuple[int, int] = SHORT) -> AsyncIterator[tuple[TopApp, Pilot[None]]]:
    """Run the app; what is to be counted has been, and it looks when a key asks it to."""
    watch.interval = timedelta(hours=1)
    watch.count()
    watch.look()
    app = TopApp(watch)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pilot


async def settled(app: TopApp, pilot: Pilot[None]) -> None:
    """Wait for what a key has begun in another thread, and for the look that follows."""
    await pilot.pause()
    await app.workers.wait_for_complete()
    app.show(app._watch.look())
    await pilot.pause()


def text_of(app: TopApp, selector: str) -> str:
    return str(app.query_one(selector, Static).render())


def column(table: InDoubt | Hottest | Retried | Expiring, title: str) -> list[str]:
    return [str(cell) for cell in table.get_column(title)]


async def test_the_first_screen_shows_the_statistics(watch: Watch, keys: dict[str, str]) -> None:
    async with running(watch) as (app, _):
        shown = {tile.id: str(tile.render()) for tile in app.query(Tile)}
    assert shown["tile-held"] == "10 held\n0 in progress"
    assert shown["tile-doubt"] == "2 in doubt\nlook at them"
    assert shown["tile-rate"] == "73.7 % hits\nof 38"
    assert shown["tile-duplicates"] == "28\ncalls prevented"
    assert shown["tile-full"] == "0.1 % full\nof 10,000"
    assert shown["tile-gone"] == "0 expired\n0 evicted"


async def test_an_empty_store_says_so_in_each_table(watch: Watch) -> None:
    async with running(watch) as (app, pilot):
        for digit, name in enumerate(EMPTY, 1):
            await pilot.press(str(digit))
            await pilot.pause()
            assert text_of(app, f"#note-{name}") == EMPTY[name]
        await pilot.press("e")
        await pilot.pause()
        assert len(app.screen_stack) == 1, "there is nothing to ask about"


async def test_a_digit_chooses_a_table(watch: Watch, keys: dict[str, str]) -> None:
    async with running(watch) as (app, pilot):
        for digit, name in (("2", "hottest"), ("3", "retried"), ("4", "expiring"), ("1", "doubt")):
            await pilot.press(digit)
            assert app.query_one(TabbedContent).active == name
            assert app.focused is app.query_one(f"#table-{name}")
        await pilot.pause()
        assert column(app.query_one(Hottest), "Key")[0] == keys["hottest"]
        assert column(app.query_one(Hottest), "Calls") == ["8", "7", "6", "5", "4", "3", "2"]
        assert column(app.query_one(Retried), "Signal")[0] == "invoice-7"
        assert column(app.query_one(Expiring), "Left")[0] == "9m"


async def test_what_is_stored_is_shown_as_it_is(manager: IdempotencyManager, watch: Watch) -> None:
    hostile = "[red]\x1b[31m<script>\u202e"
    for _ in range(2):
        manager.execute({"signal_id": hostile, "action": "a", "target": "t", "params": {}}, lambda: 1)
    async with running(watch) as (app, pilot):
        await pilot.press("3")
        await pilot.pause()
        assert column(app.query_one(Retried), "Signal") == ["[red]\\x1b[31m<script>\\u202e"]


async def test_what_happened_is_settled_at_a_keystroke(
    manager: IdempotencyManager, watch: Watch, keys: dict[str, str]
) -> None:
    async with running(watch) as (app, pilot):
        await pilot.press("down", "e")
        await pilot.press(*"[1", "enter")
        assert "no JSON" in str(app.screen.query_one("#wrong", Static).render())
        await pilot.press("]", "enter")
        assert app.screen.query_one("#confirm", Button).has_focus
        assert manager.get_record(keys["plain"]).state is State.IN_DOUBT  # type: ignore[union-attr]  # it is there
        await pilot.press("enter")
        await settled(app, pilot)
        assert column(app.query_one(InDoubt), "Key") == [keys["hostile"]]
    assert manager.check_executed(keys["plain"]).cached_result == [1]


async def test_what_did_not_happen_is_settled_at_a_keystroke(
    manager: IdempotencyManager, watch: Watch, keys: dict[str, str]
) -> None:
    async with running(watch) as (app, pilot):
        await pilot.press("n")
        assert app.screen.query_one("#cancel", Button).has_focus, "Enter alone changes nothing"
        await pilot.press("tab", "enter")
        await settled(app, pilot)
        assert column(app.query_one(InDoubt), "Key") == [keys["plain"]]
    assert manager.get_record(keys["hostile"]) is None


async def test_who_thinks_better_of_it_changes_nothing(
    manager: IdempotencyManager, watch: Watch, keys: dict[str, str]
) -> None:
    async with running(watch) as (app, pilot):
        await pilot.press("e", "escape")
        assert len(app.screen_stack) == 1
        await pilot.press("e", "1", "tab", "enter")
        assert len(app.screen_stack) == 1, "the first button is the one that changes nothing"
        await pilot.press("n", "escape")
        await pilot.press("n", "enter")
        await settled(app, pilot)
        assert len(app.screen_stack) == 1
    assert len(manager.get_in_doubt()) == 2


async def test_what_others_have_settled_meanwhile_is_told(
    manager: IdempotencyManager, watch: Watch, keys: dict[str, str]
) -> None:
    async with running(watch) as (app, pilot):
        await pilot.press("e")
        manager.resolve_in_doubt(keys["hostile"], result=1)
        app.screen.query_one("#result", Input).value = "2"
        await pilot.press("enter", "enter")
        await settled(app, pilot)
        (told,) = app._notifications
        assert (told.title, "it is completed by now" in told.message) == ("Nothing was changed", True)


async def test_the_cursor_stays_on_its_row_when_the_rows_change(
    manager: IdempotencyManager, watch: Watch, keys: dict[str, str]
) -> None:
    async with running(watch) as (app, pilot):
        await pilot.press("down")
        manager.resolve_in_doubt(keys["hostile"], not_executed=True)
        watch.count()
        app.show(watch.look())
        await pilot.pause()
        assert app.query_one(InDoubt).selected() == keys["plain"]


async def test_r_looks_at_once_and_p_pauses(manager: IdempotencyManager, watch: Watch, clock: ManualClock) -> None:
    from asyncio import Event

    async with running(watch) as (app, pilot):
        shown, show = Event(), app.show

        def note(snapshot: object) -> None:
            show(snapshot)  # type: ignore[arg-type]  # what it is given
            shown.set()

        app.show = note  # type: ignore[method-assign]  # to know when
        manager.mark_executed("s:a:t", result=1)
        manager.check_executed("s:a:t")
        await pilot.press("p")
        assert "paused" in text_of(app, "#place")
        await pilot.press("r")
        await shown.wait()
        await pilot.pause()
        assert str(app.query_one("#tile-rate", Tile).render()).startswith("100.0 % hits")


async def test_a_store_that_does_not_answer_is_told_of(manager: IdempotencyManager, watch: Watch) -> None:
    async with running(watch) as (app, pilot):
        plan = FaultPlan()
        inject(manager, plan)
        plan.fail_before("glance", times=1)
        app.show(watch.look())
        await pilot.pause()
        problem = app.query_one("#problem", Static)
        assert problem.display
        assert "StoreUnavailableError" in str(problem.render())
        app.show(watch.look())
        await pilot.pause()
        assert not problem.display


@pytest.mark.parametrize("size", [NARROW, (40, 12), WIDE], ids=str)
async def test_any_terminal_shows_the_doubts_and_asks_about_them(
    watch: Watch, keys: dict[str, str], size: tuple[int, int]
) -> None:
    async with running(watch, size) as (app, pilot):
        table = app.query_one(InDoubt)
        assert table.region.height >= 3
        assert app.screen.region.contains_region(table.region)
        await pilot.press("e", *"1", "enter")
        confirm = app.screen.query_one("#confirm", Button)
        assert confirm.has_focus
        await pilot.pause()
        assert app.screen.region.contains_region(app.screen.query_one("#question").region)


async def test_d_changes_between_dark_and_light(watch: Watch) -> None:
    async with running(watch) as (app, pilot):
        assert app.current_theme.dark
        await pilot.press("d")
        assert not app.current_theme.dark


async def test_plots_are_drawn_from_the_second_look_on(watch: Watch, ticks: object, keys: dict[str, str]) -> None:
    async with running(watch, WIDE) as (app, pilot):
        for _ in range(3):
            ticks.at += 2  # type: ignore[attr-defined]  # the fixture's
            watch.manager.check_executed(keys["hottest"])
            snapshot = watch.look()
        app.show(snapshot)
        await pilot.pause()
        assert "Hit rate, now 100.0 %" in str(app.query_one("#plot-rate", Plot).render())
