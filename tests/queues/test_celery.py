"""Celery tasks whose workers are killed with SIGKILL on the way: delivered again, and the effect happens once.

One worker serves all tests; the last of them kills it as a whole.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import celery
import pytest

from idempotency_manager import ConfigurationError, IdempotencyManager, State, idempotent
from tests.queues.conftest import PATIENCE, World, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.queues.conftest import Worker

WORKER = (
    *("celery", "--app", "examples.queues.celery_tasks", "worker", "--include", "tests.queues.killing"),
    # One process for each that is killed: the pool takes seconds to replace one.
    *("--concurrency", "6", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "warning"),
)


@pytest.fixture(scope="module")
def worker(world: World) -> Iterator[Worker]:
    with world.running(*WORKER) as running:
        yield running


class Tasks:
    """Queues tasks, as a web application does that shares no code with the worker."""

    def __init__(self, app: celery.Celery, worker: Worker) -> None:
        self._app, self.worker = app, worker

    def queue(self, task: str, *arguments: object) -> Any:
        return self._app.send_task(f"examples.queues.celery_tasks.{task}", arguments)

    def answer(self, handle: Any) -> str:
        """Wait for the end of a task."""
        eventually(handle.ready, self.worker)
        return str(handle.get(timeout=PATIENCE))

    def run(self, task: str, *arguments: object) -> str:
        return self.answer(self.queue(task, *arguments))


@pytest.fixture(scope="module")
def tasks(world: World, worker: Worker) -> Iterator[Tasks]:
    url = world.environment["REDIS_URL"]
    with celery.Celery(broker=url, backend=url, set_as_current=False) as app:
        yield Tasks(app, worker)


@pytest.fixture(scope="module")
def store(world: World) -> Iterator[IdempotencyManager]:
    with IdempotencyManager(world.environment["REDIS_URL"], namespace="billing", lease="1s") as manager:
        yield manager


def test_a_task_that_is_queued_twice_has_its_effect_once(world: World, tasks: Tasks) -> None:
    twice = [tasks.queue("remind", "twice", "Ada") for _ in range(2)]
    answers = {tasks.answer(each) for each in twice}
    assert len(answers) == len(world.sent("twice")) == 1


@pytest.mark.parametrize("moment", ["before-send", "after-send"])
def test_a_reconciler_finds_out_what_a_killed_task_has_done(
    world: World, tasks: Tasks, store: IdempotencyManager, moment: str
) -> None:
    world.kill(moment, moment)
    answer = tasks.run("remind", moment, "Ada")
    assert world.was_killed(moment)
    assert answer.startswith("message ")
    assert len(world.sent(moment)) == 1
    [key] = store.find_keys_by_signal_id(moment)
    record = store.get_record(key)
    assert record is not None
    assert (record.state, record.result) == (State.COMPLETED, answer)


@pytest.mark.parametrize("moment", ["before-send", "after-send"])
def test_without_a_reconciler_a_killed_task_is_reported_and_nothing_runs_until_it_is_settled(
    world: World, tasks: Tasks, store: IdempotencyManager, moment: str
) -> None:
    signal_id = f"pay-{moment}"
    happened = moment == "after-send"
    world.kill(signal_id, moment)
    with pytest.raises(Exception, match="was started and never finished, so nobody here knows"):
        tasks.run("pay", signal_id, 4200)
    assert world.was_killed(signal_id)
    assert len(world.sent(signal_id)) == happened

    [record] = [record for record in store.get_in_doubt() if record.signal_id == signal_id]
    if happened:
        store.resolve_in_doubt(record.key, result="found in the books")
    else:
        store.resolve_in_doubt(record.key, not_executed=True)
    answer = tasks.run("pay", signal_id, 4200)
    assert len(world.sent(signal_id)) == 1
    assert (answer == "found in the books") is happened


def test_a_task_with_a_latch_that_is_killed_before_its_effect_leaves_no_doubt(world: World, tasks: Tasks) -> None:
    world.kill("latched", "after-letter")
    assert tasks.run("report", "latched", "Ada").startswith("message ")
    assert world.was_killed("latched")
    assert len(world.sent("latched")) == 1


def test_a_worker_that_is_killed_as_a_whole_leaves_its_message_to_the_next(world: World, tasks: Tasks) -> None:
    for moment in ("before-send", "after-send"):
        signal_id = f"whole-{moment}"
        world.kill(signal_id, moment, "worker")
        handle = tasks.queue("remind", signal_id, "Ada")
        eventually(lambda: tasks.worker.process.poll() is not None, tasks.worker)
        assert world.was_killed(signal_id)
        tasks.worker = world.start(*WORKER)
        assert tasks.answer(handle).startswith("message ")
        assert len(world.sent(signal_id)) == 1


# ---------------------------------------------------------------- a task of a decorated function


@pytest.fixture
def eager() -> Iterator[celery.Celery]:
    """An application whose tasks run where they are called."""
    with celery.Celery(set_as_current=False) as app:
        app.conf.task_always_eager = True
        app.conf.task_eager_propagates = True
        yield app


def test_a_task_checks_the_arguments_of_the_function_that_it_is_made_of(
    eager: celery.Celery, manager: IdempotencyManager
) -> None:
    @eager.task
    @idempotent(target="mail")
    def remind(signal_id: str, to: str = "Ada") -> str:
        """Send a reminder."""
        return to

    assert remind.delay("a").get() == remind("a") == "Ada"
    assert remind.__doc__ == "Send a reminder."
    assert manager.stats().duplicates_prevented == 1
    for wrong in ((), ("a", "b", "c")):
        with pytest.raises(TypeError, match="argument"):
            remind.delay(*wrong)


def test_a_task_is_refused_where_a_function_should_be(eager: celery.Celery) -> None:
    with pytest.raises(ConfigurationError, match=r"remind is a task of celery already.*@idempotent.* right above def"):

        @idempotent(target="mail")
        @eager.task
        def remind(signal_id: str) -> None: ...

    class Report(celery.Task):  # type: ignore[type-arg]
        def run(self, signal_id: str) -> None: ...

    with pytest.raises(ConfigurationError, match="is a task of celery already"):
        idempotent(Report(), target="mail")


def test_a_bound_task_may_take_its_own_id_as_the_signal(eager: celery.Celery, manager: IdempotencyManager) -> None:
    @eager.task(bind=True)
    @idempotent(target="mail", signal_id="self.request.id", exclude=("self",))
    def remind(self: Any, to: str) -> str:
        return to

    handle = remind.delay("Ada")
    assert handle.get() == "Ada"
    assert [record.signal_id for record in manager.iter_records()] == [handle.id]


def test_the_call_of_a_decorated_function_is_one_of_its_calls(manager: IdempotencyManager) -> None:
    runs = []

    @idempotent(target="mail")
    def remind(signal_id: str) -> int:
        runs.append(signal_id)
        return len(runs)

    called = remind.__call__
    assert called("a") == remind("a") == called("a") == 1
    assert inspect.signature(called) == inspect.signature(remind)
    assert not inspect.iscoroutinefunction(called)


async def test_the_call_of_a_decorated_coroutine_function_is_one(manager: IdempotencyManager) -> None:
    @idempotent(target="mail")
    async def remind(signal_id: str) -> str:
        return signal_id

    assert inspect.iscoroutinefunction(remind.__call__)
    assert await remind.__call__("a") == "a"
