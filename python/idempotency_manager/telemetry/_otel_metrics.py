"""Observable instruments: each collection reads every manager once."""

from __future__ import annotations

import logging
import threading
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from opentelemetry.metrics import Observation, get_meter_provider

from idempotency_manager.exceptions import IdempotencyError

from ._otel_spans import SCOPE
from ._reading import Reading, is_closed, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider

    from idempotency_manager import AsyncIdempotencyManager, IdempotencyManager

    Manager = IdempotencyManager | AsyncIdempotencyManager
    Values = Iterator[tuple[float, Mapping[str, str]]]

_LOG = logging.getLogger("idempotency_manager")
_NOTHING: Mapping[str, str] = {}


class _Instrument(NamedTuple):
    """One instrument: how it is called, and what it takes from a reading."""

    name: str
    unit: str
    text: str
    values: Callable[[Reading], Values]


def _one(value: Callable[[Reading], float]) -> Callable[[Reading], Values]:
    return lambda reading: iter(((value(reading), _NOTHING),))


def _max_size(reading: Reading) -> Values:
    if reading.cache_info.max_size is not None:
        yield reading.cache_info.max_size, _NOTHING


def _lookups(reading: Reading) -> Values:
    yield reading.stats.cache_hits, {"idempotency.lookup.result": "hit"}
    yield reading.stats.cache_misses, {"idempotency.lookup.result": "miss"}


def _claim_buckets(reading: Reading) -> Values:
    claims = reading.timings.claims
    for bound, upto in zip([*map(str, claims.bounds), "+Inf"], accumulate(claims.counts), strict=True):
        yield upto, {"le": bound}


_GAUGES = (
    _Instrument(
        "idempotency.cache.size",
        "{record}",
        "Live records in the store, of any state.",
        _one(lambda reading: reading.cache_info.current_size),
    ),
    _Instrument("idempotency.cache.max_size", "{record}", "How many records the store may hold.", _max_size),
    _Instrument(
        "idempotency.cache.utilization",
        "1",
        "Part of the room that is used; 0 without a cap.",
        _one(lambda reading: reading.cache_info.utilization_percent / 100),
    ),
    _Instrument(
        "idempotency.in_progress",
        "{action}",
        "Actions that are being executed.",
        _one(lambda reading: reading.stats.in_progress),
    ),
    _Instrument(
        "idempotency.in_doubt",
        "{action}",
        "Actions that were begun and never finished.",
        _one(lambda reading: reading.stats.in_doubt),
    ),
)
_COUNTERS = (
    _Instrument(
        "idempotency.cache.lookups", "{lookup}", "Look-ups by their result, as the store counts them.", _lookups
    ),
    _Instrument(
        "idempotency.duplicates.prevented",
        "{call}",
        "Duplicate executions prevented, as the store counts them.",
        _one(lambda reading: reading.stats.duplicates_prevented),
    ),
    _Instrument(
        "idempotency.expired_cleaned",
        "{record}",
        "Expired records removed, as the store counts them.",
        _one(lambda reading: reading.stats.expired_cleaned),
    ),
    _Instrument(
        "idempotency.evicted",
        "{record}",
        "Live records dropped to make room, as the store counts them.",
        _one(lambda reading: reading.stats.evicted),
    ),
    _Instrument(
        "idempotency.replays",
        "{call}",
        "Calls of this process that were answered from a record.",
        _one(lambda reading: reading.timings.replays),
    ),
    _Instrument(
        "idempotency.replay.saved_time",
        "s",
        "Execution time that replays have saved this process, estimated.",
        _one(lambda reading: reading.timings.time_saved.total_seconds()),
    ),
    _Instrument(
        "idempotency.claim.duration.bucket",
        "{claim}",
        "Claims of this process that the store answered within `le` seconds.",
        _claim_buckets,
    ),
    _Instrument(
        "idempotency.claim.duration.count",
        "{claim}",
        "Claims of this process that the store answered.",
        _one(lambda reading: reading.timings.claims.count),
    ),
    _Instrument(
        "idempotency.claim.duration.sum",
        "s",
        "How long the store took to answer them altogether.",
        _one(lambda reading: reading.timings.claims.sum),
    ),
)


class _Watched:
    """A manager that is observed. A reading serves each instrument once; whoever comes again begins anew."""

    def __init__(self, manager: Manager, attributes: Mapping[str, str]) -> None:
        self.manager = manager
        self._attributes = attributes
        self._reading: Reading | None = None
        self._served: set[str] = set()
        self._turn = threading.Lock()

    def observe(self, instrument: _Instrument) -> list[Observation]:
        reading = self._reading_for(instrument.name)
        if reading is None:
            return []
        return [Observation(value, {**self._attributes, **more}) for value, more in instrument.values(reading)]

    def _reading_for(self, name: str) -> Reading | None:
        with self._turn:
            if not self._served or name in self._served:
                self._served.clear()
                self._reading = self._read()
            self._served.add(name)
            return self._reading

    def _read(self) -> Reading | None:
        try:
            return read(self.manager)
        except IdempotencyError as problem:
            _LOG.warning("a collection of metrics could not read a store: %s", problem)
            return None


class Instruments:
    """The instruments of one meter provider, for all managers that are observed through it."""

    def __init__(self, meter: Meter) -> None:
        self._watched: dict[str, _Watched] = {}
        for gauge in _GAUGES:
            meter.create_observable_gauge(gauge.name, [self._callback(gauge)], gauge.unit, gauge.text)
        for counter in _COUNTERS:
            meter.create_observable_counter(counter.name, [self._callback(counter)], counter.unit, counter.text)
        self.execution_duration = meter.create_histogram(
            "idempotency.execution.duration", "s", "How long executions of this process took."
        )

    def watch(self, name: str, manager: Manager, attributes: Mapping[str, str]) -> None:
        """Observe a manager."""
        self._watched[name] = _Watched(manager, attributes)

    def forget(self, name: str) -> None:
        """Observe it no more."""
        self._watched.pop(name, None)

    def _callback(self, instrument: _Instrument) -> Callable[[CallbackOptions], list[Observation]]:
        def observe(_options: CallbackOptions) -> list[Observation]:
            return [observation for watched in self._living() for observation in watched.observe(instrument)]

        return observe

    def _living(self) -> list[_Watched]:
        for name, watched in list(self._watched.items()):
            if is_closed(watched.manager):
                self.forget(name)
        return list(self._watched.values())


_INSTRUMENTS: WeakKeyDictionary[MeterProvider, Instruments] = WeakKeyDictionary()


def instruments_of(provider: MeterProvider | None) -> Instruments:
    """Give the instruments of a provider, the global one by default: a provider must not have two of one name."""
    provider = get_meter_provider() if provider is None else provider
    if provider not in _INSTRUMENTS:
        _INSTRUMENTS[provider] = Instruments(provider.get_meter(SCOPE))
    return _INSTRUMENTS[provider]
