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
LARGEST_NOTE = 1024
"""Bytes of a body that is noted."""
_log = logging.getLogger("idempotency_manager.middleware")


@final
class Note:
    """A request that has been answered: to compare a small one takes a tenth of the time that it takes to hash it."""

    __slots__ = ("body", "fingerprint", "key", "query")

    def __init__(self, key: str, query: bytes, body: bytes, fingerprint: str) -> None:
        self.key = key
        self.query = query
        self.body = body
        self.fingerprint = fingerprint


@final
class Claims:
    """Claims under a middleware's options, from the manager given or the default one at the time of each request."""

    __slots__ = ("_answered", "_config", "_in_shadow", "_manager", "_options", "_policy", "_warned")

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
        self._in_shadow = False
        self._answered: dict[Name, Note] = {}
        self._warned = False
        if manager is not None:
            self._read(manager)

    def at_hand(self, name: Name, query: bytes, body: bytes) -> Answer | Problem | None:
        """Give the answer to a request that this process remembers, if it does: a look costs a third of a claim."""
        noted = self._answered.get(name)
        if noted is None or noted.body != body or noted.query != query:
            return None
        manager = self._manager or get_manager()
        core = manager._core  # noqa: SLF001 - this package's own
        if manager.config is not self._config or self._in_shadow or not core.is_local():
            return None
        found = core.check(noted.key).wait()
        result = found.cached_result
        if type(result) is Answer and result.fingerprint == noted.fingerprint and result.body is not None:
            return result
        return replay(self._policy, result, noted.fingerprint) if found.executed else None

    def remember(self, name: Name, key: str, answer: Answer, query: bytes = b"", body: bytes | None = None) -> object:
        """Give an answer in the form that the store keeps best, and note which small request it answers.

        A memory store keeps objects as they are. Which records it has is noted only to spare other requests a look in
        vain, which would be counted as a miss: what is not noted is claimed, with the same outcome.

        Args:
            name: The request's name.
            key: Its record's key.
            answer: The answer.
            query: The request's query.
            body: Its body; None if it is not to be noted.
        """
        if not (self._manager or get_manager())._core.is_local():  # noqa: SLF001 - this package's own
            return answer.plain()
        if body is not None and answer.fingerprint is not None:
            if len(self._answered) >= _MOST_NOTES:
                self._answered.clear()
            self._answered[name] = Note(key, query, body, answer.fingerprint)
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
        # What is only watched is carried out each time, whatever is at hand.
        self._in_shadow = bool(self._options.get("shadow", config.shadow))
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
