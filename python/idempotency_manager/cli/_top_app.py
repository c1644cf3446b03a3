"""The screen of `idempotency top`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import App
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Static, TabbedContent, TabPane

from idempotency_manager.dashboard._live import Live
from idempotency_manager.dashboard._model import thinned
from idempotency_manager.dashboard._settle import NotSettledError, settle

from ._output import printable, span
from ._top_dialogs import Executed, NotExecuted
from ._top_parts import Expiring, Hottest, InDoubt, Plot, Records, Retried, Tiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from idempotency_manager.dashboard._model import Entry, Snapshot
    from idempotency_manager.dashboard._watch import Watch

    from ._top_dialogs import Question

TABS = {"doubt": "In doubt", "hottest": "Hottest keys", "retried": "Retried signals", "expiring": "Expiring soon"}
POINTS = 150
"""Of a plot: two for each column of a wide terminal's half."""
EMPTY = {
    "doubt": "Nothing is in doubt.",
    "hottest": "No key was asked for twice.",
    "retried": "No signal was retried.",
    "expiring": "Nothing is about to expire.",
}


class TopApp(App[None]):
    """Shows a store, live.

    Args:
        watch: What looks at the store; it has looked once.
    """

    CSS_PATH = "_top.tcss"
    TITLE = "idempotency top"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - annotated by Textual
        (0, "-narrow"),
        (84, "-normal"),
        (120, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012 - likewise
        (0, "-low"),
        (16, "-flat"),
        (26, "-tall"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        ("e", "executed", "It happened…"),
        ("n", "not_executed", "It did not…"),
        Binding("1", "tab('doubt')", "Tables", key_display="1-4"),
        Binding("2", "tab('hottest')", "Hottest keys", show=False),
        Binding("3", "tab('retried')", "Retried signals", show=False),
        Binding("4", "tab('expiring')", "Expiring soon", show=False),
        ("q", "quit", "Quit"),
        ("r", "refresh_now", "Refresh"),
        ("p", "pause", "Pause"),
        ("d", "shade", "Dark/light"),
    ]

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch
        self._live = Live(watch, self._receive)
        self._snapshot = watch.latest
        self._paused = False

    # ---------------------------------------------------------------- layout

    def compose(self) -> ComposeResult:
        """Lay the screen out."""
        yield Static(id="place", markup=False)
        yield Static(id="problem", markup=False)
        yield Tiles(id="tiles")
        with Horizontal(id="plots"):
            yield Plot("Hit rate", "%", top=100, id="plot-rate")
            yield Plot("Duplicates prevented", "a second", id="plot-duplicates")
        with TabbedContent(id="tabs"):
            for (name, title), table in zip(TABS.items(), (InDoubt, Hottest, Retried, Expiring), strict=True):
                with TabPane(title, id=name), Vertical():
                    yield Static(id=f"note-{name}", classes="note", markup=False)
                    yield table(id=f"table-{name}")
        yield Footer()

    def on_mount(self) -> None:
        """Show what is known, and look on."""
        self.show(self._snapshot)
        self._table().focus()
        self._live.start()

    def on_unmount(self) -> None:
        """Look no more."""
        self._live.stop()

    def _table(self) -> Records:
        return self.query_one(f"#table-{self._shown()}", Records)

    def _shown(self) -> str:
        """Give the name of the table that is seen."""
        return self.query_one(TabbedContent).active or "doubt"

    # ---------------------------------------------------------------- what is shown

    def _receive(self, snapshot: Snapshot) -> None:
        """Take a snapshot from the thread that looks; where the app ends meanwhile, nobody wants it."""
        if self.is_running:
            self.call_later(self.show, snapshot)

    def show(self, snapshot: Snapshot) -> None:
        """Show a snapshot."""
        self._snapshot = snapshot
        with self.batch_update():
            self._show_place()
            problem = self.query_one("#problem", Static)
            problem.update(printable(snapshot.problem or ""))
            problem.display = snapshot.problem is not None
            self.query_one(Tiles).show(snapshot)
            self._show_plots(snapshot)
            self._show_tables(snapshot)

    def _show_place(self) -> None:
        snapshot = self._snapshot
        state = "paused" if self._paused else f"every {self._watch.interval.total_seconds():g} s"
        self.query_one("#place", Static).update(
            Text.assemble(
                (" idempotency top ", "bold reverse"),
                f"  {printable(snapshot.store)}  ",
                (printable(snapshot.namespace), "bold"),
                (f"  {snapshot.taken_at:%H:%M:%S} UTC, {state}", "dim"),
            )
        )

    def _show_plots(self, snapshot: Snapshot) -> None:
        history = thinned(snapshot.history, POINTS)
        self.query_one("#plot-rate", Plot).show(history, [point.hit_rate for point in history])
        rates = [point.duplicates_per_second for point in history]
        self.query_one("#plot-duplicates", Plot).show(history, rates)

    def _show_tables(self, snapshot: Snapshot) -> None:
        """Show the table that is seen; the others cost nothing until they are."""
        total = "…" if snapshot.doubts is None else f"{snapshot.doubts.total:,}"
        label = f"In doubt ({total})"
        tabs = self.query_one(TabbedContent)
        if str(tabs.get_tab("doubt").label) != label:
            tabs.get_tab("doubt").label = label
        self._table().show(snapshot)
        self.query_one(f"#note-{self._shown()}", Static).update(_note(self._shown(), snapshot))

    def on_tabbed_content_tab_activated(self) -> None:
        """Show what the table that is seen now has to show."""
        self._show_tables(self._snapshot)

    # ---------------------------------------------------------------- keys

    def action_tab(self, name: str) -> None:
        """Show a table."""
        self.query_one(TabbedContent).active = name
        self._table().focus()

    def action_refresh_now(self) -> None:
        """Look now."""
        self._live.nudge()

    def action_pause(self) -> None:
        """Look only when asked to, or go on."""
        self._paused = not self._paused
        self._live.pause(paused=self._paused)
        self._show_place()

    def action_shade(self) -> None:
        """Change between dark and light."""
        self.theme = "textual-light" if self.current_theme.dark else "textual-dark"

    def action_executed(self) -> None:
        """Ask for the result of what happened."""
        self._ask(Executed, lambda answer: answer)

    def action_not_executed(self) -> None:
        """Ask whether it really did not happen."""
        self._ask(NotExecuted, lambda _answer: None)

    def _ask(self, question: type[Question], result_of: Callable[[str], str | None]) -> None:
        entry = self._entry_in_doubt()
        if entry is None:
            self.action_tab("doubt")
            self.notify("Choose an action in doubt first." if self.query_one(InDoubt).row_count else EMPTY["doubt"])
            return

        def settle_it(answer: str | None) -> None:
            if answer is not None:
                self.run_worker(partial(self._settle, entry.key, result_of(answer)), thread=True)

        self.push_screen(question(entry), settle_it)

    def _entry_in_doubt(self) -> Entry | None:
        if self.query_one(TabbedContent).active != "doubt" or self._snapshot.doubts is None:
            return None
        key = self.query_one(InDoubt).selected()
        return next((entry for entry in self._snapshot.doubts.entries if entry.key == key), None)

    def _settle(self, key: str, result: str | None) -> None:
        """Tell the store, in a thread of its own."""
        try:
            done = settle(self._watch, key, result)
        except NotSettledError as problem:
            self.notify(printable(str(problem)), title="Nothing was changed", severity="error", markup=False)
        else:
            self.notify(done, title=printable(key), markup=False)
        self._live.nudge()


def _note(table: str, snapshot: Snapshot) -> str:
    """Say what a table is of."""
    sample = snapshot.sample
    match table:
        case "doubt":
            return _note_of_doubts(snapshot)
        case "hottest":
            return f"Most calls first, {sample}." if snapshot.hottest else EMPTY[table]
        case "retried":
            text = f"Most calls beyond the first of each action, {sample}."
            return text if snapshot.retried else EMPTY[table]
        case _:
            of = "" if sample.is_newest else f", {sample}"
            return f"The next to be forgotten first{of}." if snapshot.expiring else EMPTY[table]


def _note_of_doubts(snapshot: Snapshot) -> str:
    doubts = snapshot.doubts
    if doubts is None:
        return "Being looked for…"
    if not doubts.entries:
        return EMPTY["doubt"]
    shown, total = len(doubts.entries), doubts.total
    rest = f"the first {shown:,} of {total:,}; " if total > shown else ""
    oldest = span(snapshot.taken_at - doubts.entries[0].started_at)
    return f"Nobody knows whether these happened ({rest}the oldest for {oldest}). e: it happened, n: it did not."
