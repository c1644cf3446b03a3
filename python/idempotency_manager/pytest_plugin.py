"""The pytest plugin: the fixture `idempotency`, and `--idempotency-store` to run a suite on a real store.

pytest loads it wherever the package is installed. What it needs of the package is imported when a test asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._signatures import Settings
    from .testing import Idempotency

__all__ = ["idempotency", "idempotency_config"]

_OPTION = "--idempotency-store"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("idempotency").addoption(
        _OPTION,
        metavar="URL",
        default=None,
        help="where the fixture `idempotency` keeps records: sqlite:///path.db, redis://…, postgresql://…; each test "
        "has a namespace of its own, which is emptied afterwards (default: memory://)",
    )


def _shown_store(config: pytest.Config) -> str | None:
    """Give the store's URL without its password; None where there is none.

    Raises:
        UsageError: It is no store's.
    """
    url = config.getoption(_OPTION)
    if url is None:
        return None
    from ._store_url import StoreUrl  # noqa: PLC0415 - only for those who use it
    from .exceptions import ConfigurationError  # noqa: PLC0415 - likewise

    try:
        return StoreUrl(url, _OPTION).masked
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what is no store before anything is collected."""
    _shown_store(config)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say where the records are, if not in memory."""
    shown = _shown_store(config)
    return None if shown is None else f"idempotency store: {shown}"


@pytest.fixture
def idempotency_config() -> Settings:
    """Settings of the manager that `idempotency` gives; override it in a conftest, a module or a class."""
    return {}


@pytest.fixture
def idempotency(pytestconfig: pytest.Config, idempotency_config: Settings) -> Iterator[Idempotency]:
    """A fresh manager that is the default one, a clock to move, what was executed, and faults to plan."""
    from . import testing  # noqa: PLC0415 - only for tests that use it

    with testing.idempotency(pytestconfig.getoption(_OPTION), **idempotency_config) as opened:
        yield opened
