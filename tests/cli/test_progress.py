"""The progress bar: for a person who has waited, and for nobody else."""

import io
import sys
from collections.abc import Iterator

import pytest
from rich.console import Console

from idempotency_manager.cli._progress import busy, progress, track


@pytest.fixture
def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80)


def shown(terminal: Console) -> str:
    assert isinstance(terminal.file, io.StringIO)
    return terminal.file.getvalue()


def test_a_bar_appears_after_a_while_and_counts(terminal: Console) -> None:
    assert list(track(range(5_000), lambda: 5_000, "listing [all]", console=terminal, patience=0)) == list(range(5_000))
    assert "listing [all]" in shown(terminal)
    assert "/5000" in shown(terminal)


def test_output_goes_where_it_went_without_the_bar(terminal: Console, capsys: pytest.CaptureFixture[str]) -> None:
    for item in track(range(3), lambda: 3, "listing", console=terminal, patience=0):
        sys.stdout.write(f"{item}\n")
    assert capsys.readouterr().out == "0\n1\n2\n"
    assert "listing" in shown(terminal)


def test_what_is_quick_has_no_bar(terminal: Console) -> None:
    def total() -> int:
        pytest.fail("nobody needs the total")

    assert list(track(range(5_000), total, "listing", console=terminal, patience=60)) == list(range(5_000))
    with busy("counting", console=terminal, patience=60):
        pass
    assert shown(terminal) == ""


def test_a_bar_ends_with_what_it_is_of(terminal: Console) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise LookupError

    with pytest.raises(LookupError):
        list(track(broken(), lambda: 2, "listing", console=terminal, patience=0))
    assert shown(terminal).endswith("\x1b[?25h") or "\x1b[?25h" in shown(terminal)  # the cursor is back


def test_what_is_told_of_progress_is_shown_after_a_while(terminal: Console) -> None:
    with progress("migrating", console=terminal, patience=60) as told:
        told(1, 3)
    assert shown(terminal) == ""
    with progress("migrating", console=terminal, patience=0) as told:
        told(1, None)
        told(2, 3)
    assert "migrating" in shown(terminal)
    assert "2/3" in shown(terminal)


def test_what_can_not_be_counted_is_seen_to_go_on(terminal: Console) -> None:
    with busy("removing", console=terminal, patience=0):
        while "removing" not in shown(terminal):
            pass
    assert "\x1b[?25h" in shown(terminal)


def test_there_is_no_bar_where_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    assert len(list(track(range(2_000), lambda: 2_000, "listing", patience=0))) == 2_000
    with busy("counting", patience=0):
        pass
    assert capfd.readouterr() == ("", "")
