"""What an application asks of its middleware: the options, checked when it starts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import timedelta

from idempotency_manager._duration import refusal, to_timedelta
from idempotency_manager._options import read_options
from idempotency_manager._types import final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Literal, TypedDict

    from idempotency_manager._duration import Duration
    from idempotency_manager._types import OnInDoubt

    class Options(TypedDict, total=False):
        """The options of both middlewares; docs/http.md says what each is for."""

        methods: Iterable[str]
        identity: Callable[[Mapping[str, Any]], str | None] | None
        required: bool | Callable[[Mapping[str, Any]], bool]
        unquoted_keys: bool
        key_pattern: str | None
        max_key_length: int
        max_body_size: int
        max_answer_size: int
        keep: Callable[[int], bool] | None
        drop_headers: Iterable[str]
        on_concurrent: Literal["raise", "wait"]
        on_in_doubt: OnInDoubt | None
        in_doubt_on: tuple[type[BaseException], ...] | None
        not_executed_on: tuple[type[BaseException], ...] | None
        ttl: Duration | None
        retry_after: Duration
        documentation: str | None


_MEBIBYTE = 1 << 20
_NOT_AN_ANSWER = frozenset({401, 407, 408, 421, 425, 429})
_FIRST_OF_THE_SERVER = 500

DEFAULTS: dict[str, Any] = {
    "methods": ("POST", "PATCH"),
    "identity": None,
    "required": False,
    "unquoted_keys": False,
    "key_pattern": None,
    "max_key_length": 255,
    "max_body_size": 10 * _MEBIBYTE,
    "max_answer_size": _MEBIBYTE,
    "keep": None,
    "drop_headers": (),
    "on_concurrent": "raise",
    "on_in_doubt": None,
    "in_doubt_on": None,
    "not_executed_on": None,
    "ttl": None,
    "retry_after": 1,
    "documentation": None,
}


def is_kept(status: int) -> bool:
    """Tell whether an answer with this status is what every retry gets, unless `keep` says otherwise.

    Not kept are failures of the server (5xx), and answers that tell the client to change nothing but the circumstances
    and ask again: 401, 407, 408, 421, 425 and 429.
    """
    return status < _FIRST_OF_THE_SERVER and status not in _NOT_AN_ANSWER


@final
class Policy:
    """The options of a middleware, checked."""

    __slots__ = (*sorted(DEFAULTS), "call_options", "longest_plain", "shortest_excess")

    methods: frozenset[str]
    identity: Callable[[Mapping[str, Any]], str | None] | None
    required: bool | Callable[[Mapping[str, Any]], bool]
    unquoted_keys: bool
    key_pattern: re.Pattern[str] | None
    max_key_length: int
    max_body_size: int
    max_answer_size: int
    keep: Callable[[int], bool]
    drop_headers: frozenset[bytes]
    on_concurrent: Literal["raise", "wait"]
    on_in_doubt: OnInDoubt | None
    in_doubt_on: tuple[type[BaseException], ...] | None
    not_executed_on: tuple[type[BaseException], ...] | None
    ttl: Duration | None
    retry_after: int
    documentation: str | None
    call_options: dict[str, Any]
    longest_plain: int
    """Of a header's value: so long may it be without a closer look at the key."""
    shortest_excess: int
    """Of a `Content-Length`: with fewer digits no body is too large."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Check the options.

        Raises:
            ConfigurationError: One is unknown or can't have its value.
        """
        if unknown := sorted(options.keys() - DEFAULTS.keys()):
            known = ", ".join(sorted(DEFAULTS))
            raise refusal(unknown[0], options[unknown[0]], "the middleware has no such option", f"known are {known}")
        for name, default in DEFAULTS.items():
            value = options.get(name, default)
            reader = _READERS.get(name)
            object.__setattr__(self, name, value if reader is None else reader(name, value))
        self.longest_plain = self.max_key_length if self.key_pattern is None else -1
        self.shortest_excess = len(str(self.max_body_size))
        names = ("on_concurrent", "in_doubt_on", "not_executed_on")
        self.call_options = {name: value for name in names if (value := getattr(self, name)) is not None}
        # Now, and not at the first request. Whether `ttl` outlasts a lease only a manager knows.
        read_options({**self.call_options, "on_in_doubt": self.on_in_doubt, "ttl": self.ttl}, timedelta(0))


def _methods(name: str, value: Any) -> frozenset[str]:
    return frozenset(word.upper() for word in _words(name, value))


def _headers(name: str, value: Any) -> frozenset[bytes]:
    return frozenset(word.lower().encode("latin-1") for word in _words(name, value))


def _words(name: str, value: Any) -> tuple[str, ...]:
    words = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (None,)
    if not all(isinstance(word, str) and word for word in words):
        raise refusal(name, value, "no list of names", f'write {name}=("one", "other")')
    return words


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise refusal(name, value, "no whole number above 0", f"write {name}={DEFAULTS[name]}, or leave it out")
    return value


def _pattern(name: str, value: Any) -> re.Pattern[str] | None:
    try:
        return None if value is None else re.compile(value)
    except (re.error, TypeError) as error:
        raise refusal(name, value, f"no regular expression ({error})", "write one that a whole key matches") from None


def _yes_or_no(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise refusal(name, value, f"{type(value).__name__} is neither", "write True or False")
    return value


def _required(name: str, value: Any) -> Any:
    return value if callable(value) else _yes_or_no(name, value)


def _function(name: str, value: Any) -> Any:
    if value is not None and not callable(value):
        raise refusal(name, value, "can't be called", "write a function")
    return is_kept if value is None and name == "keep" else value


def _seconds(name: str, value: Any) -> int:
    return max(1, math.ceil(to_timedelta(value, name, positive=True).total_seconds()))


def _link(name: str, value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not re.fullmatch(r"[\x21\x23-\x3b\x3d\x3f-\x7e]+", value)):
        raise refusal(name, value, "no URL", f'write {name}="https://developer.example.com/idempotency"')
    return value


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "methods": _methods,
    "identity": _function,
    "required": _required,
    "unquoted_keys": _yes_or_no,
    "key_pattern": _pattern,
    "max_key_length": _count,
    "max_body_size": _count,
    "max_answer_size": _count,
    "keep": _function,
    "drop_headers": _headers,
    "retry_after": _seconds,
    "documentation": _link,
}
