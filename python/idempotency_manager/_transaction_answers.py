"""How results and failures become columns, and columns become results and failures again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ._core import column_of_result, columns_of_failure, decode_result
from ._revive import rebuild_exception
from .exceptions import PreviousFailureError, ResultUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._converter import Converter
    from ._core import IdempotencyRecord
    from ._transaction_row import Named, Row
    from ._types import Codec


@dataclass(frozen=True, slots=True)
class Answers:
    """See the module."""

    codec: Codec | None
    converter: Converter | None
    replay_errors: tuple[type[Exception], ...]

    def column(self, named: Named, attempts: int, result: object) -> str | bytes | None:
        """Give a result as it is stored; None, with a warning, where it can't be."""
        return column_of_result(named, attempts, result, self.codec, self.converter)

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
        error_type, text, args = columns_of_failure(error)
        return replace(row, error=text, error_type=error_type, error_args=args)

    def rebuild(self, row: Row, record: IdempotencyRecord) -> Exception:
        """Make a recorded failure again, or what speaks for it."""
        if row.error_args is None or row.error_type is None:
            return PreviousFailureError(record)
        args = decode_result(row.error_args.encode())
        return rebuild_exception(row.error_type, args, self.replay_errors) or PreviousFailureError(record)
