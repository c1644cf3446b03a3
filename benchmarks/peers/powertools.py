"""AWS Lambda Powertools' idempotency utility over a dict, so that no network is in its time.

It guards one keyword argument; the four go in as one dict. A context with time left is registered, without which each
call would also raise a warning.
"""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord

from . import POWERTOOLS, Peer


class DictLayer(BasePersistenceLayer):
    """The four verbs that Powertools asks a store for, over a dict and a lock."""

    def __init__(self) -> None:
        """Starts empty."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._records: dict[str, DataRecord] = {}
        self._lock = threading.Lock()

    def _get_record(self, idempotency_key: str) -> DataRecord:
        try:
            return self._records[idempotency_key]
        except KeyError as error:
            raise IdempotencyItemNotFoundError from error

    def _put_record(self, data_record: DataRecord) -> None:
        with self._lock:
            held = self._records.get(data_record.idempotency_key)
            if held is not None and not held.is_expired:
                raise IdempotencyItemAlreadyExistsError(old_data_record=held)
            self._records[data_record.idempotency_key] = data_record

    def _update_record(self, data_record: DataRecord) -> None:
        self._records[data_record.idempotency_key] = data_record

    def _delete_record(self, data_record: DataRecord) -> None:
        self._records.pop(data_record.idempotency_key, None)


class _Context:
    """The part of a Lambda context that the utility reads."""

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def _decorate(function: Callable[..., Any]) -> Callable[..., Any]:
    def unpack(*, action: dict[str, object]) -> object:
        return function(**action)

    context: Any = _Context()
    guarded = idempotent_function(
        unpack,
        data_keyword_argument="action",
        persistence_store=DictLayer(),
        config=IdempotencyConfig(lambda_context=context),
    )

    @wraps(function)
    def packed(**arguments: object) -> object:
        return guarded(action=arguments)

    return packed


PEER = Peer(POWERTOOLS, _decorate, _decorate, awaits=False)
