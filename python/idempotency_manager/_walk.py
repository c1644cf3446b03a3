"""Look-ups of several steps, each written once: a *script* yields the store's operations and is sent their values.

`run` sends what it waited for, `arun` what it awaited.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator
    from typing import Any, TypeVar

    from ._core import Core, IdempotencyRecord, Operation
    from ._types import State

    T = TypeVar("T")
    Script = Generator[Operation[Any], Any, T]

_PAGE = 500
"""Records that are fetched at once."""


def run(script: Script[T]) -> T:
    """Run a script to its end, waiting in this thread."""
    try:
        operation = next(script)
        while True:
            operation = script.send(operation.wait())
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def arun(script: Script[T]) -> T:
    """Run a script to its end, awaiting in this task."""
    try:
        operation = next(script)
        while True:
            operation = script.send(await operation)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def fetch(core: Core, find: Operation[list[str]]) -> Script[list[IdempotencyRecord]]:
    """Fetch the records of keys that are found; one that goes meanwhile is left out."""
    keys = yield find
    records = []
    for key in keys:
        record = yield core.get(key)
        if record is not None:
            records.append(record)
    return records


def filtered_keys(core: Core, accept: Callable[[IdempotencyRecord], bool] | None) -> Script[list[str]]:
    """Gather the keys of all records, or of those that are accepted."""
    keys: list[str] = []
    cursor = None
    while True:
        records, cursor = yield core.scan(cursor, _PAGE)
        keys.extend(record.key for record in records if accept is None or accept(record))
        if cursor is None:
            return keys


class Walk:
    """All records that fit, a part at a time: by the narrowest index there is for what is asked, else by a scan."""

    def __init__(
        self, core: Core, action_type: str | None, target: str | None, signal_id: str | None, state: State | None
    ) -> None:
        self._core = core
        self._wanted = {"action_type": action_type, "target": target, "signal_id": signal_id, "state": state}
        self._keys: list[str] | None = None
        self._cursor: str | None = None
        self._over = False

    def _index(self) -> Operation[list[str]] | None:
        wanted = self._wanted
        if wanted["signal_id"] is not None:
            return self._core.find_by_signal_id(wanted["signal_id"])
        if wanted["state"] == "in_doubt":
            return self._core.find_in_doubt()
        if wanted["action_type"] is not None:
            return self._core.find_by_action_type(wanted["action_type"])
        if wanted["target"] is not None:
            return self._core.find_by_target(wanted["target"])
        return None

    def _fits(self, record: IdempotencyRecord) -> bool:
        return all(wanted is None or getattr(record, name) == wanted for name, wanted in self._wanted.items())

    def _part(self) -> Script[list[IdempotencyRecord]]:
        index = None if self._keys is not None or self._cursor is not None else self._index()
        if index is not None:
            self._keys = (yield index)[::-1]
        if self._keys is None:
            records, self._cursor = yield self._core.scan(self._cursor, _PAGE)
            self._over = self._cursor is None
            return [record for record in records if self._fits(record)]
        part: list[IdempotencyRecord] = []
        while self._keys and len(part) < _PAGE:
            record = yield self._core.get(self._keys.pop())
            if record is not None and self._fits(record):
                part.append(record)
        self._over = not self._keys
        return part

    def __iter__(self) -> Iterator[IdempotencyRecord]:
        """Iterate, waiting in this thread."""
        while not self._over:
            yield from run(self._part())

    async def __aiter__(self) -> AsyncIterator[IdempotencyRecord]:
        """Iterate, awaiting in this task."""
        while not self._over:
            for record in await arun(self._part()):
                yield record
