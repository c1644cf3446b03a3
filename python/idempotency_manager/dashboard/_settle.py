"""The two ways out of doubt, as a person takes them before a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from idempotency_manager._core import decode_result
from idempotency_manager._strict_json import parse_json
from idempotency_manager.exceptions import IdempotencyError, NotInDoubtError

if TYPE_CHECKING:
    from ._watch import Watch


class NotSettledError(Exception):
    """Nothing was changed; the text says why."""


def read_result(text: str) -> Any:
    """Read a result as a person types it: JSON, with the tags that the store writes for what JSON lacks.

    Raises:
        NotSettledError: It is none.
    """
    try:
        parse_json(text)
        return decode_result(text.encode())
    except (ValueError, TypeError, RecursionError) as problem:
        raise NotSettledError(f"the result is no JSON: {problem}") from None


def settle(watch: Watch, key: str, result: str | None) -> str:
    """Say what became of an action in doubt; answers with what has been done, in words.

    Args:
        watch: Of the store.
        key: The key.
        result: It happened, and this is what a duplicate gets, as JSON. None: it did not happen.

    Raises:
        NotSettledError: The key is not in doubt, the result is no JSON, or the store does not answer.
    """
    given = None if result is None else read_result(result)
    try:
        if result is None:
            watch.manager.resolve_in_doubt(key, not_executed=True)
        else:
            watch.manager.resolve_in_doubt(key, result=given)
    except NotInDoubtError as problem:
        watch.settled(key)
        state = (problem.state or "gone").replace("_", " ")
        raise NotSettledError(f"it is {state} by now, so there is no doubt to settle; nothing was changed") from None
    except IdempotencyError as problem:
        raise NotSettledError(f"{type(problem).__name__}: {problem}") from None
    watch.settled(key)
    if result is None:
        return "Recorded: it did not happen. The next caller runs it."
    return "Recorded: it happened. Duplicates get this result."
