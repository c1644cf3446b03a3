"""OpenTelemetry: what its SDK exports to memory."""

from __future__ import annotations

import asyncio
import gc
import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode, get_current_span

from idempotency_manager import NOT_EXECUTED, Action, AsyncIdempotencyManager, IdempotencyManager, LeaseLostError
from idempotency_manager.telemetry.otel import instrument
from idempotency_manager.testing import FaultPlan, inject

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from opentelemetry.trace import Tracer

CARD = Action("evt_1", "create_card", "trello")


class Observed:
    """What one SDK exports."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])

    @property
    def tracer(self) -> Tracer:
        return self.tracers.get_tracer("application")

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def span(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def points(self) -> dict[str, list[Any]]:
        """One collection: the data points of each metric."""
        data = self.reader.get_metrics_data()
        found = {}
        for resource in data.resource_metrics if data else []:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found[metric.name] = list(metric.data.data_points)
        return found

    def values(self) -> dict[str, Any]:
        """The same, of the metrics that have one value."""
        return {name: points[0].value for name, points in self.points().items() if hasattr(points[0], "value")}


@pytest.fixture
def observed() -> Iterator[Observed]:
    made = Observed()
    yield made
    made.meters.shutdown()
    made.tracers.shutdown()


@pytest.fixture
def traced(watched: IdempotencyManager, observed: Observed) -> IdempotencyManager:
    instrument(watched, tracer_provider=observed.tracers, meter_provider=observed.meters)
    return watched


def test_an_execution_is_a_span_with_the_names_of_its_action(traced: IdempotencyManager, observed: Observed) -> None:
    traced.execute(CARD, lambda: "done")
    span = observed.span("create_card trello")
    assert span.attributes == {
        "idempotency.manager": "default",
        "idempotency.store": traced.config.store.partition(":")[0],
        "idempotency.action": "create_card",
        "idempotency.target": "trello",
        "idempotency.key": traced.generate_key(CARD),
        "idempotency.signal_id": "evt_1",
        "idempotency.attempt": 1,
        "idempotency.outcome": "executed",
    }
    assert span.status.status_code is StatusCode.UNSET


def test_the_span_is_current_in_the_executor_and_a_child_of_the_callers(
    traced: IdempotencyManager, observed: Observed
) -> None:
    def executor() -> None:
        with observed.tracer.start_as_current_span("POST /cards"):
            pass

    with observed.tracer.start_as_current_span("webhook") as caller:
        traced.execute(CARD, executor)
        assert get_current_span() is caller
    post, execution, webhook = (observed.span(name) for name in ("POST /cards", "create_card trello", "webhook"))
    assert post.parent is not None
    assert execution.parent is not None
    assert execution.context is not None
    assert webhook.context is not None
    assert (post.parent.span_id, execution.parent.span_id) == (execution.context.span_id, webhook.context.span_id)


def test_a_replay_is_an_event_on_the_callers_span_and_no_span(traced: IdempotencyManager, observed: Observed) -> None:
    @traced.idempotent(target="trello")
    def create_card(signal_id: str) -> str:
        return "done"

    create_card("evt_1")
    with observed.tracer.start_as_current_span("webhook"):
        create_card("evt_1")
        traced.execute(Action("evt_1", "create_card", "trello", {}), lambda: "never")
    (event, _) = observed.span("webhook").events
    assert event.name == "idempotency.replayed"
    assert event.attributes is not None
    assert dict(event.attributes) == {
        "idempotency.manager": "default",
        "idempotency.store": traced.config.store.partition(":")[0],
        "idempotency.key": create_card.key("evt_1"),
        "idempotency.action": "create_card",
        "idempotency.target": "trello",
        "idempotency.attempt": 2,
    }
    assert len(observed.spans) == 2


def test_a_replay_outside_of_any_span_asks_no_python(
    traced: IdempotencyManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    from idempotency_manager.telemetry import _otel_spans

    asked = []
    monkeypatch.setattr(_otel_spans.SpanMaker, "replayed", lambda *_: asked.append(1))
    traced.execute(CARD, lambda: "done")
    traced.execute(CARD, lambda: "done")
    unsampled = TracerProvider(sampler=ALWAYS_OFF).get_tracer("application")
    with unsampled.start_as_current_span("not recorded"):
        traced.execute(CARD, lambda: "done")
    assert asked == []
    with TracerProvider().get_tracer("application").start_as_current_span("recorded"):
        traced.execute(CARD, lambda: "done")
    assert asked == [1]


def test_a_waiter_says_how_long_it_waited(traced: IdempotencyManager, observed: Observed) -> None:
    from threading import Event, Thread

    begun, ends = Event(), Event()

    def executor() -> str:
        begun.set()
        ends.wait(10)
        return "done"

    first = Thread(target=lambda: traced.execute(CARD, executor))
    first.start()
    begun.wait(10)
    with observed.tracer.start_as_current_span("webhook"):
        second = Thread(target=ends.set)
        second.start()
        traced.execute(CARD, lambda: "never")
    first.join()
    second.join()
    (event,) = observed.span("webhook").events
    assert event.attributes is not None
    waited = event.attributes.get("idempotency.waited", 0.0)
    assert isinstance(waited, float)


def test_an_exception_is_on_the_span(traced: IdempotencyManager, observed: Observed) -> None:
    def fails() -> None:
        raise ConnectionRefusedError("no")

    with pytest.raises(ConnectionRefusedError):
        traced.execute(CARD, fails)
    span = observed.span("create_card trello")
    assert span.attributes is not None
    assert (span.attributes["idempotency.outcome"], span.attributes["error.type"]) == (
        "failed",
        "ConnectionRefusedError",
    )
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


def test_an_action_left_in_doubt_says_so(traced: IdempotencyManager, observed: Observed) -> None:
    def times_out() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        traced.execute(CARD, times_out)
    attributes = observed.span("create_card trello").attributes
    assert attributes is not None
    assert (attributes["idempotency.outcome"], attributes["error.type"]) == ("in_doubt", "TimeoutError")


def test_a_claim_that_was_cleared_meanwhile_is_a_lost_lease(traced: IdempotencyManager, observed: Observed) -> None:
    with pytest.raises(LeaseLostError):
        traced.execute(CARD, lambda: traced.clear_key(traced.generate_key(CARD)))
    span = observed.span("create_card trello")
    assert span.attributes is not None
    assert span.attributes["idempotency.outcome"] == "lease_lost"
    assert span.status.status_code is StatusCode.ERROR


def test_a_reconciler_has_a_span_that_says_so(traced: IdempotencyManager, observed: Observed) -> None:
    test_an_action_left_in_doubt_says_so(traced, observed)
    observed.exporter.clear()
    traced.execute(CARD, lambda: "again", on_in_doubt=lambda _: NOT_EXECUTED)
    attributes = observed.span("create_card trello").attributes
    assert attributes is not None
    assert (attributes["idempotency.reconciles"], attributes["idempotency.outcome"]) == (True, "executed")


def test_an_execution_without_a_store_says_that_it_is_unprotected(
    manager: IdempotencyManager, observed: Observed
) -> None:
    manager.configure(on_store_failure="execute")
    instrument(manager, tracer_provider=observed.tracers, meter_provider=observed.meters)
    plan = FaultPlan()
    inject(manager, plan)
    plan.fail_before("claim")
    manager.execute(CARD, lambda: "done")
    attributes = observed.span("create_card trello").attributes
    assert attributes is not None
    assert attributes["idempotency.outcome"] == "unprotected"


def test_a_claim_block_is_a_span(traced: IdempotencyManager, observed: Observed) -> None:
    with traced.claim(CARD) as attempt:
        inside = get_current_span()
        attempt.complete("done")
    assert inside.get_span_context().span_id == observed.span("create_card trello").context.span_id


def test_an_execution_in_a_transaction_is_a_span_and_its_replay_an_event(
    manager: IdempotencyManager, observed: Observed
) -> None:
    instrument(manager, tracer_provider=observed.tracers, meter_provider=observed.meters)
    with (
        closing(sqlite3.connect(":memory:", isolation_level=None)) as connection,
        observed.tracer.start_as_current_span("webhook"),
    ):
        manager.execute_in_transaction(connection, CARD, lambda: "done")
        manager.execute_in_transaction(connection, CARD, lambda: "never")
        with pytest.raises(ValueError, match="no"):
            manager.execute_in_transaction(connection, Action("evt_2", "post", "slack"), fails)
    assert [event.name for event in observed.span("webhook").events] == ["idempotency.replayed"]
    attributes = observed.span("create_card trello").attributes
    assert attributes is not None
    assert attributes["idempotency.outcome"] == "executed"
    assert observed.span("post slack").status.status_code is StatusCode.ERROR


def fails() -> None:
    raise ValueError("no")


def test_tasks_have_spans_of_their_own(observed: Observed) -> None:
    async def run() -> None:
        async with AsyncIdempotencyManager() as manager:
            instrument(manager, tracer_provider=observed.tracers, meter_provider=observed.meters)

            @manager.idempotent(target="trello")
            async def create_card(signal_id: str) -> int:
                await asyncio.sleep(0)
                return get_current_span().get_span_context().span_id

            with observed.tracer.start_as_current_span("webhook") as webhook:
                one, other = await asyncio.gather(create_card("a"), create_card("b"))
                assert get_current_span() is webhook
                assert await create_card("a") == one
                assert one != other

    asyncio.run(run())
    first, second, webhook = observed.spans
    assert first.parent == second.parent == webhook.context
    assert [event.name for event in webhook.events] == ["idempotency.replayed"]


def test_a_coroutine_that_nobody_resumes_ends_its_span(manager: IdempotencyManager, observed: Observed) -> None:
    instrument(manager, tracer_provider=observed.tracers, meter_provider=observed.meters)

    class Once:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def never() -> None:
        await Once()

    begun = manager.aexecute(CARD, never)
    begun.send(None)
    begun.close()
    del begun
    gc.collect()
    attributes = observed.span("create_card trello").attributes
    assert attributes is not None
    assert attributes["idempotency.outcome"] in {"in_doubt", "abandoned"}


def test_a_collection_has_what_the_manager_counts_and_measures(traced: IdempotencyManager, observed: Observed) -> None:
    for _ in range(3):
        traced.execute(CARD, lambda: "done")
    points, values = observed.points(), observed.values()
    expected = {
        "idempotency.cache.size": 1,
        "idempotency.cache.max_size": 10,
        "idempotency.cache.utilization": 0.1,
        "idempotency.in_progress": 0,
        "idempotency.in_doubt": 0,
        "idempotency.duplicates.prevented": 2,
        "idempotency.expired_cleaned": 0,
        "idempotency.evicted": 0,
        "idempotency.replays": 2,
        "idempotency.claim.duration.count": 3,
    }
    assert {name: values[name] for name in expected} == expected
    lookups = {
        point.attributes["idempotency.lookup.result"]: point.value for point in points["idempotency.cache.lookups"]
    }
    assert lookups == {"hit": 2, "miss": 1}
    (executions,) = points["idempotency.execution.duration"]
    assert (executions.count, executions.attributes["idempotency.outcome"]) == (1, "executed")
    buckets = {point.attributes["le"]: point.value for point in points["idempotency.claim.duration.bucket"]}
    assert buckets["+Inf"] == 3


def test_each_collection_reads_anew_and_once(watched: IdempotencyManager, observed: Observed) -> None:
    plan = FaultPlan()
    inject(watched, plan)
    instrument(watched, tracer_provider=observed.tracers, meter_provider=observed.meters)
    assert observed.values()["idempotency.cache.size"] == 0
    asked = plan.calls("tally")
    watched.execute(CARD, lambda: "done")
    assert observed.values()["idempotency.cache.size"] == 1
    assert plan.calls("tally") == 2 * asked == 4  # one for the statistics, one for the size


def test_a_store_out_of_reach_is_not_observed(
    manager: IdempotencyManager, observed: Observed, caplog: pytest.LogCaptureFixture
) -> None:
    plan = FaultPlan()
    inject(manager, plan)
    instrument(manager, tracer_provider=observed.tracers, meter_provider=observed.meters)
    plan.fail_before("tally")
    with caplog.at_level(logging.WARNING, "idempotency_manager"):
        assert observed.points() == {}
    assert "could not read a store" in caplog.text
    assert observed.values()["idempotency.cache.size"] == 0


def test_managers_are_told_apart_by_name_and_a_closed_one_is_left_out(observed: Observed) -> None:
    with IdempotencyManager() as cards, IdempotencyManager() as mails:
        for name, manager in (("cards", cards), ("mails", mails)):
            instrument(manager, name=name, tracer_provider=observed.tracers, meter_provider=observed.meters)
        mails.close()
        (size,) = observed.points()["idempotency.cache.size"]
        assert size.attributes["idempotency.manager"] == "cards"


def test_metrics_without_spans_and_spans_without_metrics(manager: IdempotencyManager, observed: Observed) -> None:
    where: dict[str, Any] = {"tracer_provider": observed.tracers, "meter_provider": observed.meters}
    with instrument(manager, spans=False, **where), observed.tracer.start_as_current_span("webhook"):
        manager.execute(CARD, lambda: "done")
        manager.execute(CARD, lambda: "done")
        assert observed.points()["idempotency.execution.duration"][0].count == 1
    assert [(span.name, list(span.events)) for span in observed.spans] == [("webhook", [])]
    with instrument(manager, metrics=False, **where):
        manager.execute(Action("evt_2", "create_card", "trello"), lambda: "done")
        assert "idempotency.cache.size" not in observed.points()
    assert len(observed.spans) == 2


def test_nothing_is_traced_or_observed_after_close(traced: IdempotencyManager, observed: Observed) -> None:
    instrument(traced, tracer_provider=observed.tracers, meter_provider=observed.meters).close()
    traced.execute(CARD, lambda: "done")
    assert observed.spans == []
    assert observed.points() == {}


def test_a_listener_hears_all_while_it_is_traced(traced: IdempotencyManager, observed: Observed) -> None:
    heard: list[str] = []
    traced.configure(on_event=lambda event: heard.append(event.kind))
    traced.execute(CARD, lambda: "done")
    traced.execute(CARD, lambda: "done")
    assert heard == ["executed", "replayed"]
    assert len(observed.spans) == 1


def test_a_tracer_that_raises_stops_nothing(
    traced: IdempotencyManager, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    from idempotency_manager.telemetry import _otel_spans

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    unraisable: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", unraisable.append)
    monkeypatch.setattr(_otel_spans.SpanMaker, "begin", broken)
    assert traced.execute(CARD, lambda: "done") == "done"
    assert [str(one.exc_value) for one in unraisable] == ["broken"]


def test_a_duplicate_that_shadow_mode_executes_says_so(traced: IdempotencyManager, observed: Observed) -> None:
    with observed.tracer.start_as_current_span("webhook"):
        for _ in range(2):
            traced.execute(CARD, lambda: "done", shadow=True)
    outcomes = [span.attributes["idempotency.outcome"] for span in observed.spans if span.attributes]
    assert outcomes == ["executed", "shadow"]
    assert list(observed.span("webhook").events) == []
