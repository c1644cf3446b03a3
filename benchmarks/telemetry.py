"""A duplicate call with each exporter on."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from datadog.dogstatsd.base import DogStatsd
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry, generate_latest

from idempotency_manager import IdempotencyManager
from idempotency_manager.telemetry import every
from idempotency_manager.telemetry.datadog import report
from idempotency_manager.telemetry.otel import instrument
from idempotency_manager.telemetry.prometheus import IdempotencyCollector

from ._measure import Batch, Contender, Options, Samples, interleave, ratio
from ._report import Row, Table, Target, timed
from .workload import CreateCard, call_again, create_card

OFF = "off"
CASE = "f(…) again, memory store"
LIMIT = Target(1.1)
INTERVAL = "1s"
CALLS, QUICK_CALLS = 20_000, 2_000
"""In a batch, of all alike: to enter a span, once for each, is lost in so many."""

CAPTION = (
    "f(…) of topic 2, same objects, each contender with a manager of its own. Prometheus: a scrape before each round. "
    "The callable and DogStatsD: every second, the latter to a UDP socket of this process. OpenTelemetry: metrics and "
    "spans, collected before each round. Inside a recorded span every replay adds an event to it, through "
    "OpenTelemetry's SDK: that is the SDK's time, and has no aim."
)

Exporter = Callable[[ExitStack, IdempotencyManager], Callable[[Batch], Batch]]
"""Turns itself on for a manager; what it returns turns a batch into what is measured, before a round."""


def run(options: Options) -> list[Table]:
    """Races the same call under each exporter."""
    with ExitStack() as stack:
        calls = QUICK_CALLS if options.quick else CALLS
        contenders = [_contender(stack, name, exporter, calls) for name, exporter in EXPORTERS.items()]
        samples = interleave(contenders, options)
    rows = tuple(_row(name, samples) for name in EXPORTERS)
    return [Table("18  Telemetry", CAPTION, ("ns per call", "fastest round"), "it ÷ off", rows)]


def _row(name: str, samples: dict[str, Samples]) -> Row:
    row = timed(CASE, name, samples, name)
    if name == OFF:
        return row
    times = ratio(samples[name], samples[OFF])
    row = replace(row, ratio=times)
    return row if name == IN_A_SPAN else row.bounded(LIMIT, times)


def _contender(stack: ExitStack, name: str, exporter: Exporter, calls: int) -> Contender:
    manager = stack.enter_context(IdempotencyManager())
    prepare = exporter(stack, manager)
    function: CreateCard = manager.idempotent(create_card, target="trello")
    call_again(function, 1)
    return Contender(name, lambda: prepare(partial(call_again, function)), calls)


def _off(_stack: ExitStack, _manager: IdempotencyManager) -> Callable[[Batch], Batch]:
    return lambda batch: batch


def _callable(stack: ExitStack, manager: IdempotencyManager) -> Callable[[Batch], Batch]:
    stack.enter_context(every(INTERVAL, lambda _: None, manager))
    return lambda batch: batch


def _datadog(stack: ExitStack, manager: IdempotencyManager) -> Callable[[Batch], Batch]:
    server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    server.bind(("127.0.0.1", 0))
    client = DogStatsd(host="127.0.0.1", port=server.getsockname()[1], disable_telemetry=True)
    stack.enter_context(report(manager, interval=INTERVAL, client=client))
    return lambda batch: batch


def _prometheus(_stack: ExitStack, manager: IdempotencyManager) -> Callable[[Batch], Batch]:
    registry = CollectorRegistry()
    IdempotencyCollector(manager, registry=registry)

    def prepare(batch: Batch) -> Batch:
        generate_latest(registry)
        return batch

    return prepare


def _opentelemetry(
    inside: Callable[[Tracer, Batch], Batch], tracers: TracerProvider, stack: ExitStack, manager: IdempotencyManager
) -> Callable[[Batch], Batch]:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    stack.callback(meters.shutdown)
    stack.enter_context(instrument(manager, tracer_provider=tracers, meter_provider=meters))

    def prepare(batch: Batch) -> Batch:
        reader.get_metrics_data()
        return inside(tracers.get_tracer("application"), batch)

    return prepare


def _outside(_tracer: Tracer, batch: Batch) -> Batch:
    return batch


def _inside(tracer: Tracer, batch: Batch) -> Batch:
    def measured(calls: int) -> object:
        with tracer.start_as_current_span("webhook"):
            return batch(calls)

    return measured


IN_A_SPAN = "OpenTelemetry, in a recorded span"
EXPORTERS: dict[str, Exporter] = {
    OFF: _off,
    "every(…)": _callable,
    "DogStatsD": _datadog,
    "Prometheus": _prometheus,
    "OpenTelemetry, no span": partial(_opentelemetry, _outside, TracerProvider()),
    "OpenTelemetry, span not sampled": partial(_opentelemetry, _inside, TracerProvider(sampler=ALWAYS_OFF)),
    IN_A_SPAN: partial(_opentelemetry, _inside, TracerProvider()),
}
