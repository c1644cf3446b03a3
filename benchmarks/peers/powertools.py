"""AWS Lambda Powertools' idempotency utility: over a dict, so that no network is in its time, or over its Redis layer.

It guards one keyword argument; the four go in as one dict. A context with time left is registered, without which each
call would also raise a warning.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial, wraps
from typing import Any

from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord

from benchmarks.workload import create_card

from . import POWERTOOLS, Peer
from .hand_written import TTL_S
from .on_disk import Guarded


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


def _decorate(make_layer: Callable[[], BasePersistenceLayer], function: Callable[..., Any]) -> Callable[..., Any]:
    def unpack(*, action: dict[str, object]) -> object:
        return function(**action)

    context: Any = _Context()
    guarded = idempotent_function(
        unpack,
        data_keyword_argument="action",
        persistence_store=make_layer(),
        config=IdempotencyConfig(lambda_context=context, expires_after_seconds=TTL_S),
    )

    @wraps(function)
    def packed(**arguments: object) -> object:
        return guarded(action=arguments)

    return packed


@contextmanager
def connect(url: str) -> Iterator[Guarded]:
    """The action, its records on the Redis server at that URL, through redis-py as its documentation shows it."""
    import redis  # noqa: PLC0415 - the peer over a dict does without it
    from aws_lambda_powertools.utilities.idempotency.persistence.cache import CachePersistenceLayer  # noqa: PLC0415

    with closing(redis.Redis.from_url(url, decode_responses=True)) as connected:
        client: Any = connected  # its protocol is narrower than redis-py's annotations
        yield Guarded(_decorate(lambda: CachePersistenceLayer(client=client), create_card))


_over_a_dict = partial(_decorate, DictLayer)
PEER = Peer(POWERTOOLS, _over_a_dict, _over_a_dict, awaits=False)
