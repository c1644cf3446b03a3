"""The options of a call in a transaction: fewer than those of other calls."""

from __future__ import annotations

from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._duration import Duration

_ELSEWHERE = {
    "in_doubt_on": "what fails is undone with the transaction, so no exception leaves a doubt",
    "latch": "what fails is undone with the transaction, so there is no moment from which on it is in doubt",
}


def transaction_options(ttl: Duration | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse the options of other calls that mean nothing here.

    Raises:
        ConfigurationError: One is given.
    """
    for name, why in _ELSEWHERE.items():
        if options.get(name):
            raise _no_option(name, why)
    return {"ttl": ttl, **options}


def no_shadow() -> ConfigurationError:
    """Refuse to execute a duplicate whose record would go with its rows: there is one record for each key."""
    why = "the record is committed with the rows, and of two executions of a key one could not be"
    remedy = "give this call shadow=False, so that it is answered from its record, or leave it out of the transaction"
    return ConfigurationError(f"execute_in_transaction does not work with shadow=True: {why}; {remedy}")


def nothing_to_wait_for() -> ConfigurationError:
    """Refuse to be told how to wait, where whoever may write has the whole database."""
    why = "nobody else is at it where this transaction writes, so there is nothing to wait for"
    return _no_option("on_concurrent", why)


def _no_option(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"{name} is no option of execute_in_transaction: {why}; leave it out")
