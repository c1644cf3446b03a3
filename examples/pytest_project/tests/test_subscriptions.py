"""A customer pays once for each billing event, whatever happens in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from subscriptions import charge, confirm, on_renewal

from idempotency_manager import LeaseLostError, ResultNotRecordedError

if TYPE_CHECKING:
    from fakes import FakeMailer, FakeProvider

    from idempotency_manager.testing import Idempotency

EVENT = {"id": "evt_1", "customer": "ada", "cents": 900}


def test_a_renewal_charges_and_confirms(idempotency: Idempotency, mailer: FakeMailer) -> None:
    assert on_renewal(EVENT) == {"payment": "pay-1"}
    charged = idempotency.assert_executed_once(charge, "evt_1", "ada", cents=900)
    assert charged.result == "pay-1"
    assert mailer.mails == ["ada: Thank you: payment pay-1"]


def test_a_second_delivery_charges_nobody(idempotency: Idempotency, provider: FakeProvider) -> None:
    idempotency.duplicate_delivery(on_renewal, EVENT)
    assert len(provider.payments) == 1


def test_two_deliveries_at_once_charge_once(idempotency: Idempotency, provider: FakeProvider) -> None:
    idempotency.concurrent_delivery(on_renewal, EVENT)
    assert len(provider.payments) == 1


def test_a_process_that_dies_after_the_charge_is_found_to_have_charged(
    idempotency: Idempotency, provider: FakeProvider, mailer: FakeMailer
) -> None:
    with idempotency.crash_after_effect(charge):
        on_renewal(EVENT)
    assert mailer.mails == []
    assert on_renewal(EVENT) == {"payment": "pay-1"}
    assert len(provider.payments) == 1
    assert len(mailer.mails) == 1
    idempotency.assert_executed_once(charge)


def test_a_process_that_dies_before_the_charge_charges_when_it_is_back(
    idempotency: Idempotency, provider: FakeProvider
) -> None:
    with idempotency.crash_before_effect(charge):
        on_renewal(EVENT)
    assert provider.payments == []
    assert on_renewal(EVENT) == {"payment": "pay-1"}


def test_a_charge_that_could_not_be_recorded_is_not_made_again(
    idempotency: Idempotency, provider: FakeProvider
) -> None:
    with idempotency.store_down_after_effect(charge), pytest.raises(ResultNotRecordedError) as caught:
        on_renewal(EVENT)
    assert caught.value.result == "pay-1"
    assert on_renewal(EVENT) == {"payment": "pay-1"}
    assert len(provider.payments) == 1


def test_a_charge_whose_lease_was_lost_is_not_made_again(idempotency: Idempotency, provider: FakeProvider) -> None:
    with idempotency.lease_lost(charge), pytest.raises(LeaseLostError):
        on_renewal(EVENT)
    assert on_renewal(EVENT) == {"payment": "pay-1"}
    assert len(provider.payments) == 1


def test_a_receipt_may_be_sent_twice_and_never_less_than_once(idempotency: Idempotency, mailer: FakeMailer) -> None:
    with idempotency.crash_after_effect(confirm):
        on_renewal(EVENT)
    on_renewal(EVENT)
    assert len(mailer.mails) == 2


def test_the_next_month_is_another_event(idempotency: Idempotency, provider: FakeProvider) -> None:
    on_renewal(EVENT)
    idempotency.clock.advance("30d")
    on_renewal({**EVENT, "id": "evt_2"})
    assert len(provider.payments) == 2
