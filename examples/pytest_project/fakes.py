"""The services as tests have them: they remember what they were asked."""

from __future__ import annotations


class FakeProvider:
    """A payment provider that remembers what it was asked, by reference."""

    def __init__(self) -> None:
        self.payments: list[str] = []

    def charge(self, customer: str, cents: int, *, reference: str) -> str:
        """Take the money."""
        assert cents > 0, customer
        self.payments.append(reference)
        return f"pay-{len(self.payments)}"

    def find(self, reference: str) -> str | None:
        """Look among the payments."""
        return f"pay-{self.payments.index(reference) + 1}" if reference in self.payments else None


class FakeMailer:
    """A mailer that keeps its mails."""

    def __init__(self) -> None:
        self.mails: list[str] = []

    def send(self, customer: str, text: str) -> None:
        """Keep the mail."""
        self.mails.append(f"{customer}: {text}")
