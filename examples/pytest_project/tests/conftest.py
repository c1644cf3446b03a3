"""The services, played by lists, and a fresh manager for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes import FakeMailer, FakeProvider
from subscriptions import Services

if TYPE_CHECKING:
    from idempotency_manager.testing import Idempotency


@pytest.fixture
def provider() -> FakeProvider:
    """The payment provider."""
    return FakeProvider()


@pytest.fixture
def mailer() -> FakeMailer:
    """The mailer."""
    return FakeMailer()


@pytest.fixture(autouse=True)
def _application(monkeypatch: pytest.MonkeyPatch, provider: FakeProvider, mailer: FakeMailer) -> None:
    monkeypatch.setattr(Services, "provider", provider, raising=False)
    monkeypatch.setattr(Services, "mailer", mailer, raising=False)


@pytest.fixture(autouse=True)
def _every_test_has_records_of_its_own(idempotency: Idempotency) -> None:
    """Even a test that does not ask for the fixture."""
