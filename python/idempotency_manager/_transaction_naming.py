"""What a call in a transaction is about: the action's names and digest, and the codec of its result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from json import loads

from ._core import canonicalize, decode_result, encode_result, parse_idempotency_key
from ._revive import class_name, rebuild_exception
from ._transaction_row import Named
from .exceptions import InvalidActionError, PreviousFailureError, ResultUnavailableError, UnsupportedParamError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._action import ActionLike
    from ._config import IdempotencyConfig
    from ._converter import Converter
    from ._core import Core, IdempotencyRecord
    from ._transaction_row import Row
    from ._types import Codec


def name_action(core: Core, config: IdempotencyConfig, action: ActionLike) -> Named:
    """Name an action, before anything runs: what mutates its params later changes neither key nor digest.

    Raises:
        InvalidActionError: A field is missing, empty, unknown or not text.
        UnsupportedParamError: A param has no canonical form, or the context can't be kept.
    """
    key = core.key(action)
    parsed = parse_idempotency_key(key)
    params, context = _field(action, "params"), _field(action, "context")
    return Named(
        key=key,
        signal_id=parsed.signal_id,
        action_type=parsed.action_type,
        target=parsed.target,
        fingerprint=sha256(canonicalize({} if params is None else params)).digest(),
        params=_kept_params(params) if config.store_params and params is not None else None,
        context=None if context is None else _kept("context", context),
    )


def _field(action: Any, name: str) -> Any:
    return action.get(name) if hasattr(action, "keys") else getattr(action, name, None)


def _kept_params(params: Mapping[str, Any]) -> str:
    """Give the params as they are kept: those that have a canonical form but no other are kept in that form."""
    plain: dict[str, Any] = dict(params)
    try:
        return encode_result(plain).decode()
    except TypeError:
        for name, value in params.items():
            try:
                encode_result(value)
            except TypeError:
                plain[name] = _canonical_form(value)
        return _kept("params", plain)


def _canonical_form(value: object) -> Any:
    """Give the canonical form of a value: as JSON where it is that, else as text."""
    text = canonicalize(value).decode()
    try:
        return loads(text)
    except ValueError:  # there is something in it that JSON lacks
        return text


def _kept(field: str, mapping: Mapping[str, Any]) -> str:
    if not hasattr(mapping, "keys"):
        problem = f"{field} is of type {type(mapping).__name__}, not a mapping"
        raise InvalidActionError(f"{problem}: give each value a name")
    try:
        return encode_result(dict(mapping)).decode()
    except TypeError as refused:
        # The codec speaks of results.
        text = str(refused).replace("result", field, 1).partition(": give result_type")[0]
        path = text.partition(" can't be kept")[0]
        raise UnsupportedParamError(f"{text}; give plain data, such as an id", path) from None


@dataclass(frozen=True, slots=True)
class Answers:
    """How results and failures become columns, and columns become results and failures again."""

    codec: Codec | None
    converter: Converter | None
    replay_errors: tuple[type[Exception], ...]

    def encode(self, result: object) -> tuple[str | bytes | None, str | None]:
        """Give a result as it is stored, or None with the reason why it can't be."""
        try:
            if self.codec is not None:
                return bytes(self.codec.encode(result)), None
            return encode_result(result, self.converter).decode(), None
        except Exception as error:  # noqa: BLE001 - a codec raises what it likes, and the effect has happened
            said = f"its codec raised {class_name(type(error))}: {error}" if self.codec is not None else str(error)
            return None, said

    def decode(self, row: Row, record: IdempotencyRecord) -> Any:
        """Give the result of a completed record, afresh.

        Raises:
            ResultUnavailableError: It could not be stored.
        """
        if row.result is None:
            raise ResultUnavailableError(record)
        if isinstance(row.result, str):
            return decode_result(row.result.encode(), self.converter)
        return row.result if self.codec is None else self.codec.decode(row.result)

    def failed(self, row: Row, error: Exception) -> Row:
        """Give the row of an exception that is the answer."""
        try:
            args: str | None = encode_result(error.args).decode()
        except TypeError:
            args = None
        return replace(row, error=str(error), error_type=class_name(type(error)), error_args=args)

    def rebuild(self, row: Row, record: IdempotencyRecord) -> Exception:
        """Make a recorded failure again, or what speaks for it."""
        if row.error_args is None or row.error_type is None:
            return PreviousFailureError(record)
        args = decode_result(row.error_args.encode())
        return rebuild_exception(row.error_type, args, self.replay_errors) or PreviousFailureError(record)
