"""Spans of executions, and events of replays: what the native half calls, see src/py/tracer.rs."""

from __future__ import annotations

import time
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry.trace import (
    NonRecordingSpan,
    Status,
    StatusCode,
    get_current_span,
    get_tracer,
    propagation,
    set_span_in_context,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram
    from opentelemetry.trace import Span, Tracer, TracerProvider

SCOPE = "idempotency_manager"


def current_span_place() -> tuple[ContextVar[Context], str, type[NonRecordingSpan]] | None:
    """Say where OpenTelemetry keeps the current span, so that replays outside of any need not ask it.

    None where this OpenTelemetry keeps it elsewhere: each replay asks then.
    """
    runtime = getattr(otel_context, "_RUNTIME_CONTEXT", None)
    variable = getattr(runtime, "_current_context", None)
    name = getattr(propagation, "_SPAN_KEY", None)
    if type(variable) is ContextVar and isinstance(name, str):
        return variable, name, NonRecordingSpan
    return None


class SpanMaker:
    """Makes a span of each execution, and records how long each took."""

    def __init__(
        self,
        attributes: Mapping[str, str],
        tracer_provider: TracerProvider | None,
        durations: Histogram | None,
        *,
        makes_spans: bool,
    ) -> None:
        self._attributes = attributes
        self._tracer: Tracer | None = get_tracer(SCOPE, tracer_provider=tracer_provider) if makes_spans else None
        self._durations = durations

    def begin(  # noqa: PLR0913, PLR0917 - as the native half calls it
        self, key: str, signal_id: str, action: str, target: str, attempt: int, reconciles: bool
    ) -> RunningSpan:
        """An execution begins, or a reconciler looks at the outside world for one."""
        names = {**self._attributes, "idempotency.action": action, "idempotency.target": target}
        if self._tracer is None:
            return RunningSpan(None, names, None if reconciles else self._durations)
        more: dict[str, str | int] = {"idempotency.key": key, "idempotency.signal_id": signal_id}
        more["idempotency.attempt"] = attempt
        if reconciles:
            more["idempotency.reconciles"] = True
        span = self._tracer.start_span(f"{action} {target}", attributes={**names, **more})
        return RunningSpan(span, names, None if reconciles else self._durations)

    def replayed(self, key: str, action: str, target: str, attempt: int, waited: float | None) -> None:
        """A call was answered from a record, after so many seconds of waiting for another caller, if any."""
        span = get_current_span()
        if self._tracer is None or not span.is_recording():
            return
        attributes: dict[str, str | int | float] = {
            **self._attributes,
            "idempotency.key": key,
            "idempotency.action": action,
            "idempotency.target": target,
            "idempotency.attempt": attempt,
        }
        if waited is not None:
            attributes["idempotency.waited"] = waited
        span.add_event("idempotency.replayed", attributes)


class RunningSpan:
    """The span of one execution; the current one until `leave`."""

    __slots__ = ("_began", "_durations", "_names", "_span", "_token", "_took")

    def __init__(self, span: Span | None, names: dict[str, str], durations: Histogram | None) -> None:
        self._span = span
        self._names = names
        self._durations = durations
        self._token: Token[Context] | None = None
        if span is not None:
            self._token = otel_context.attach(set_span_in_context(span))
        self._took: float | None = None
        self._began = time.perf_counter()

    def leave(self) -> None:
        """The executor has ended."""
        self._took = time.perf_counter() - self._began
        token, self._token = self._token, None
        if token is not None:
            # In another context, as of a coroutine that is closed from elsewhere, there is nothing to go back to;
            # OpenTelemetry's own `detach` would log that as an error.
            with suppress(ValueError):
                token.var.reset(token)

    def end(self, outcome: str, error: BaseException | None) -> None:
        """What became of the execution is known."""
        self._names["idempotency.outcome"] = outcome
        if error is not None:
            self._names["error.type"] = _type_of(error)
        span, self._span = self._span, None
        if self._durations is not None and self._took is not None:
            context = None if span is None else set_span_in_context(span)
            self._durations.record(self._took, self._names, context=context)
        if span is None:
            return
        span.set_attribute("idempotency.outcome", outcome)
        if error is not None:
            span.set_attribute("error.type", self._names["error.type"])
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        elif outcome in _BAD:
            span.set_status(Status(StatusCode.ERROR, _BAD[outcome]))
        span.end()

    def __del__(self) -> None:
        if self._span is not None:  # a coroutine that nobody resumes any more
            self.end("abandoned", None)


_BAD = {
    "abandoned": "nobody has awaited its end",
    "in_doubt": "it may or may not have been executed",
    "lease_lost": "the lease was lost before the end",
    "not_recorded": "the store could not be told of its end",
}


def _type_of(error: BaseException) -> str:
    """The name by which the semantic conventions tell errors apart."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
