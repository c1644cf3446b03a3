"""Charges customers for their subscriptions, and tells them: a payment provider and a mailer are handed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from idempotency_manager import NOT_EXECUTED, current_execution, idempotent, signal

if TYPE_CHECKING:
    from idempotency_manager import IdempotencyRecord


class Provider(Protocol):
    """What this needs of a payment provider."""

    def charge(self, customer: str, cents: int, *, reference: str) -> str:
        """Charge a customer; answers with the payment's id."""

    def find(self, reference: str) -> str | None:
        """Give the id of the payment with this reference."""


class Mailer(Protocol):
    """What this needs of a mailer."""

    def send(self, customer: str, text: str) -> None:
        """Send a mail."""


class Services:
    """What is outside: set once, when the application starts."""

    provider: Provider
    mailer: Mailer


def find_payment(record: IdempotencyRecord) -> Any:
    """Ask the provider what became of a charge that nobody has heard the end of."""
    payment = Services.provider.find(record.key)
    return NOT_EXECUTED if payment is None else payment


@idempotent(target="payments", ttl="30d", on_in_doubt=find_payment)
def charge(signal_id: str, customer: str, cents: int) -> str:
    """Charge a customer once for each billing event."""
    execution = current_execution()
    assert execution is not None
    return Services.provider.charge(customer, cents, reference=execution.key)


@idempotent(target="mail", on_in_doubt="retry")
def confirm(signal_id: str, customer: str, payment: str) -> None:
    """Mail a receipt. Twice is better than never, so what is in doubt is sent again."""
    Services.mailer.send(customer, f"Thank you: payment {payment}")


def on_renewal(event: dict[str, Any]) -> dict[str, str]:
    """Handle a webhook of the billing system, which delivers events at least once."""
    with signal(event["id"]):
        payment = charge(event["id"], event["customer"], event["cents"])
        confirm(event["id"], event["customer"], payment)
    return {"payment": payment}
