"""The questions of `idempotency top`: what became of an action in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from idempotency_manager.dashboard._settle import NotSettledError, read_result

from ._output import moment, printable

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from idempotency_manager.dashboard._model import Entry


def describe(entry: Entry) -> Text:
    """Say what is known of an action."""
    by = f" by {entry.owner}" if entry.owner else ""
    why = entry.error or "the end of its process, or of its lease"
    return Text.assemble(
        (printable(entry.key), "bold"),
        f"\nstarted {moment(entry.started_at)}{printable(by)}, asked for {entry.attempts:,} times",
        f"\nbroken off by {printable(why)}",
    )


class Question(ModalScreen[str | None]):
    """Asks before anything is changed; answers with a text, or None where the person thought better of it."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "cancel", "Cancel")]
    HEADING = ""
    CONSEQUENCE = ""
    CONFIRM = ""

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self._entry = entry

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with VerticalScroll(id="question", can_focus=False):
            yield Label(self.HEADING, id="heading")
            yield Static(describe(self._entry), id="about")
            yield Static(self.CONSEQUENCE, id="consequence", markup=False)
            yield from self.compose_answer()
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button(self.CONFIRM, variant="warning", id="confirm")

    def compose_answer(self) -> ComposeResult:
        """Add what the answer needs."""
        yield from ()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        if event.button.id == "confirm":
            self.confirm()
        else:
            self.dismiss(None)

    def action_cancel(self) -> None:
        """Change nothing."""
        self.dismiss(None)

    def confirm(self) -> None:
        """Answer."""
        self.dismiss("")


class NotExecuted(Question):
    """It did not happen."""

    HEADING = "It did not happen?"
    CONSEQUENCE = "The next caller runs it. If it did happen after all, it happens twice: look at the target first."
    CONFIRM = "It did not happen"

    def on_mount(self) -> None:
        """Have Enter change nothing."""
        self.query_one("#cancel").focus()


class Executed(Question):
    """It happened, with this result."""

    HEADING = "It happened?"
    CONSEQUENCE = (
        "Nothing runs any more: every duplicate gets the result that you give here, as JSON. null is one, too."
    )
    CONFIRM = "It happened"

    def compose_answer(self) -> ComposeResult:
        """Ask for the result."""
        yield Input(placeholder='{"id": "card_1"}', id="result")
        yield Static("", id="wrong", markup=False)

    def on_input_submitted(self) -> None:
        """Go on to the question itself: Enter in the field does not answer it yet."""
        if self._is_json():
            self.query_one("#confirm").focus()

    def confirm(self) -> None:
        """Answer, with JSON only."""
        if self._is_json():
            self.dismiss(self.query_one("#result", Input).value)

    def _is_json(self) -> bool:
        field, wrong = self.query_one("#result", Input), self.query_one("#wrong", Static)
        try:
            read_result(field.value)
        except NotSettledError as problem:
            wrong.update(str(problem))
            field.focus()
            return False
        wrong.update("")
        return True
