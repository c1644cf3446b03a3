"""A recorded exception is made again of its own class, wherever that is defined."""

import pytest

from idempotency_manager import IdempotencyManager


class CardRefusedError(Exception):
    """The service has said no for good."""


class OfAScriptError(Exception):
    """Defined in the program that runs: `python automation.py`."""


OfAScriptError.__module__ = "__main__"


@pytest.mark.parametrize("failure", [CardRefusedError, OfAScriptError, LookupError], ids=lambda cls: cls.__name__)
def test_a_final_answer_is_raised_again_as_it_was(failure: type[Exception]) -> None:
    manager = IdempotencyManager()
    runs = []

    @manager.idempotent(target="trello", replay_errors=(failure,))
    def create_card(signal_id: str) -> None:
        runs.append(signal_id)
        raise failure("the list is full", 7)

    for _ in range(2):
        with pytest.raises(failure) as caught:
            create_card("evt_1")
        assert type(caught.value) is failure
        assert caught.value.args == ("the list is full", 7)
    assert runs == ["evt_1"]
