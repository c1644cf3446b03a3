"""OpenTelemetry metrics and spans, through its API: `pip install 'idempotency-manager[otel]'`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idempotency_manager._core import trace
from idempotency_manager._default import get_manager

from ._closing import Closing
from ._extra import missing_extra
from ._reading import measure, scheme_of

try:
    from ._otel_metrics import instruments_of
    from ._otel_spans import SpanMaker, current_span_place
except ModuleNotFoundError as missing:
    raise missing_extra("idempotency_manager.telemetry.otel", "otel", missing) from missing

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from idempotency_manager import AsyncIdempotencyManager, IdempotencyManager

    from ._otel_metrics import Instruments

__all__ = ["Instrumentation", "instrument"]


class Instrumentation(Closing):
    """What `instrument` has begun, until `close`; a context manager."""

    def __init__(
        self, manager: IdempotencyManager | AsyncIdempotencyManager, name: str, instruments: Instruments | None
    ) -> None:
        self._manager = manager
        self._name = name
        self._instruments = instruments

    def close(self) -> None:
        """Make no more spans of this manager, and observe it no more."""
        if self._instruments is not None:
            self._instruments.forget(self._name)
        core = self._manager._core  # noqa: SLF001 - this package's own
        if not core.is_closed():
            trace(core, None, None)


def instrument(  # noqa: PLR0913 - each is an option of its own
    manager: IdempotencyManager | AsyncIdempotencyManager | None = None,
    *,
    name: str = "default",
    spans: bool = True,
    metrics: bool = True,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> Instrumentation:
    """Have a manager's executions traced and its counts observed.

    Every execution is a span that is current while the executor runs; every replay is an event on the span that is
    current where the call is made. A manager has one instrumentation: a second one takes the place of the first.

    Args:
        manager: Of either kind; by default the default manager, as it is now.
        name: The attribute `idempotency.manager`, to tell managers apart; another manager of this name that is observed
            through the same provider is observed no more.
        spans: Whether there are spans and events.
        metrics: Whether there are metrics.
        tracer_provider: By default OpenTelemetry's global one.
        meter_provider: By default OpenTelemetry's global one.

    Raises:
        IdempotencyError: The manager is closed.
    """
    manager = get_manager() if manager is None else manager
    measure(manager)  # from now on, not from the first collection on
    attributes = {"idempotency.manager": name, "idempotency.store": scheme_of(manager)}
    instruments = instruments_of(meter_provider) if metrics else None
    if instruments is not None:
        instruments.watch(name, manager, attributes)
    maker = SpanMaker(
        attributes,
        tracer_provider if spans else None,
        None if instruments is None else instruments.execution_duration,
        makes_spans=spans,
    )
    trace(manager._core, maker, current_span_place())  # noqa: SLF001 - this package's own
    return Instrumentation(manager, name, instruments)
