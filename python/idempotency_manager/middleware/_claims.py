"""What both adapters ask a manager for."""

from __future__ import annotations

import logging

from idempotency_manager._async_manager import AsyncIdempotencyManager
from idempotency_manager._default import get_manager
from idempotency_manager._duration import refusal
from idempotency_manager._manager import IdempotencyManager
from idempotency_manager._types import final
from idempotency_manager.exceptions import LeaseLostError, StoreError

from ._answer import Answer
from ._decision import action_of, context_of, guarded_reconciler, is_of_another, replay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from idempotency_manager._config import IdempotencyConfig
    from idempotency_manager._core import ClaimBlock
    from idempotency_manager.exceptions import InDoubtError

    from ._policy import Policy
    from ._problems import Problem

    Name = tuple[str, str, str, str]  # key, method, path, identity
    Manager = IdempotencyManager | AsyncIdempotencyManager

LOST = (LeaseLostError, StoreError)
"""What the end of a claim raises when the answer could not be recorded; the client gets it all the same."""
_MOST_NOTES = 10_000
_log = logging.getLogger("idempotency_manager.middleware")


@final
class Claims:
    """Claims under a middleware's options, from the manager given or the default one at the time of each request."""

    __slots__ = ("_answered", "_config", "_manager", "_options", "_policy", "_warned")

    def __init__(self, manager: Manager | None, policy: Policy) -> None:
        """Check the manager.

        Raises:
            ConfigurationError: It is none, or the options can't have their values.
        """
        given: object = manager
        if given is not None and not isinstance(given, IdempotencyManager | AsyncIdempotencyManager):
            problem, remedy = (
                f"{type(manager).__name__} is no manager",
                'write manager=IdempotencyManager("sqlite:///…")',
            )
            raise refusal("manager", manager, problem, remedy)
        self._manager = manager
        self._policy = policy
        self._config: IdempotencyConfig | None = None
        self._options: dict[str, Any] = {}
        self._answered: dict[Name, str] = {}
        self._warned = False
        if manager is not None:
            self._read(manager)

    def at_hand(self, name: Name, fingerprint: str) -> Answer | Problem | None:
        """Give the answer that this process remembers, if it does: a look costs a third of a claim."""
        key = self._answered.get(name)
        if key is None:
            return None
        core = (self._manager or get_manager())._core  # noqa: SLF001 - this package's own
        if not core.is_local():
            return None
        found = core.check(key).wait()
        result = found.cached_result
        if type(result) is Answer and result.fingerprint == fingerprint and result.body is not None:
            return result
        return replay(self._policy, result, fingerprint) if found.executed else None

    def remember(self, name: Name, key: str, answer: Answer) -> object:
        """Note that a request is being answered; give the answer in the form that the store keeps best.

        A memory store keeps objects as they are. Which records it has is noted only to spare the others a look in vain,
        which would be counted as a miss: what is not noted is claimed, with the same outcome.

        Args:
            name: The request.
            key: Its record's key.
            answer: The answer.
        """
        if not (self._manager or get_manager())._core.is_local():  # noqa: SLF001 - this package's own
            return answer.plain()
        if len(self._answered) >= _MOST_NOTES:
            self._answered.clear()
        self._answered[name] = key
        return answer

    def claim(self, name: Name, fingerprint: str) -> ClaimBlock:
        """Prepare a claim, which leaves what is in doubt as it is."""
        manager = self._manager or get_manager()
        if manager.config is not self._config:
            self._read(manager)
        action = action_of(*name)
        action["context"] = context_of(fingerprint)
        return manager._core.claim(action, self._options)  # noqa: SLF001 - this package's own

    def settlement(self, name: Name, fingerprint: str, error: InDoubtError) -> ClaimBlock | None:
        """Prepare a claim that settles what is in doubt, where that is to be done other than by hand.

        Only once the record is known to be of the same request: to settle it is to claim it, and a claim replaces what
        the record knows of the request.
        """
        manager = self._manager or get_manager()
        on_in_doubt = self._policy.on_in_doubt or manager.config.on_in_doubt
        if on_in_doubt == "raise" or is_of_another(error.record, fingerprint):
            return None
        action = action_of(*name)
        action["context"] = context_of(fingerprint)
        options = {**self._options, "on_in_doubt": guarded_reconciler(on_in_doubt, fingerprint)}
        return manager._core.claim(action, options)  # noqa: SLF001 - this package's own

    def _read(self, manager: Manager) -> None:
        config = manager.config
        options = manager._options(self._policy.ttl, {**self._policy.call_options, "on_in_doubt": "raise"})  # noqa: SLF001 - this package's own
        self._options = options or {}
        self._answered.clear()
        self._config = config

    def warn_of_cookies(self) -> None:
        """Say once that callers who are told apart by cookies are all the same here."""
        if not self._warned:
            self._warned = True
            _log.warning(
                "A request with an Idempotency-Key has cookies and no Authorization, and the middleware has no "
                "identity= function: such callers share their keys, and one may get another's answer. Give identity=."
            )


def tell_of_loss(key: str, error: Exception) -> None:
    """Log that an answer was sent that could not be recorded."""
    _log.error("The answer to the request %s was sent, but not recorded: %s", key, error)


def tell_of_refusal(error: Exception) -> None:
    """Log what keeps requests from being carried out."""
    _log.error("A request was refused with status 503: %s", error)
