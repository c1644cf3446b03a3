"""How results and failures become columns, and columns become results and failures again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ._core import decode_result, encode_result
from ._revive import class_name, rebuild_exception
from .exceptions import PreviousFailureError, ResultUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._converter import Converter
    from ._core import IdempotencyRecord
    from ._transaction_row import Row
    from ._types import Codec


@dataclass(frozen=True, slots=True)
class Answers:
    """See the module."""

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
