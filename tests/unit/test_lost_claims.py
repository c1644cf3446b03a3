"""A claim that was cleared while it ran: the error names the action, which no record does any more."""

import pytest

from idempotency_manager import IdempotencyManager, LeaseLostError, current_execution


def test_a_result_whose_claim_was_cleared_comes_with_its_key() -> None:
    manager = IdempotencyManager()

    @manager.idempotent(target="trello")
    def create_card(signal_id: str) -> str:
        create_card.clear(signal_id)
        return "card-1"

    with pytest.raises(LeaseLostError, match=f"{create_card.key('evt_1')!r} was cleared") as caught:
        create_card("evt_1")
    assert caught.value.record is None
    assert caught.value.result == "card-1"


def test_a_latch_whose_claim_was_cleared_says_which() -> None:
    manager = IdempotencyManager()
    sent = []

    @manager.idempotent(target="trello", latch=True)
    def create_card(signal_id: str) -> None:
        create_card.clear(signal_id)
        execution = current_execution()
        assert execution is not None
        execution.dispatched()
        sent.append(signal_id)

    with pytest.raises(LeaseLostError, match=f"{create_card.key('evt_1')!r} was cleared") as caught:
        create_card("evt_1")
    assert "has happened" not in str(caught.value)
    assert "must not" in str(caught.value)
    assert sent == []
