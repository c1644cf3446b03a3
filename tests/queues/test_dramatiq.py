"""Dramatiq actors whose workers are killed with SIGKILL on the way: delivered again, and the effect happens once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dramatiq
import pytest
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from redis import Redis

from idempotency_manager import ConfigurationError, IdempotencyManager, idempotent
from tests.queues.conftest import World, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

# One message at a time, or a kill for one of them would leave the plan of another.
WORKER = ("dramatiq", "--processes", "1", "--threads", "1", "examples.queues.dramatiq_actors", "tests.queues.killing")


@pytest.fixture(scope="module")
def broker(world: World) -> Iterator[RedisBroker]:
    made = RedisBroker(url=world.environment["REDIS_URL"])
    yield made
    made.close()


@pytest.fixture(scope="module")
def store(world: World) -> Iterator[IdempotencyManager]:
    with IdempotencyManager(world.environment["REDIS_URL"], namespace="billing", lease="1s") as manager:
        yield manager


def queue(broker: RedisBroker, actor: str, *arguments: object) -> None:
    """Queue a message, as a web application does that shares no code with the worker."""
    broker.enqueue(dramatiq.Message("default", actor, arguments, {}, {}))


def is_drained(broker: RedisBroker) -> bool:
    """Tell whether all messages have been done with."""
    return all(broker.do_qsize(name) == 0 for name in ("default", "default.DQ"))


def test_an_actor_is_refused_where_a_function_should_be() -> None:
    with pytest.raises(ConfigurationError, match=r"\w+ is a task of dramatiq already, .* right above def"):

        @idempotent(target="mail")
        @dramatiq.actor(broker=StubBroker())
        def remind(signal_id: str) -> None: ...


KILLS = {"before": "before-send", "after": "after-send"}


def test_messages_of_killed_workers_have_their_effects_once(
    world: World, broker: RedisBroker, store: IdempotencyManager
) -> None:
    for signal_id, moment in KILLS.items():
        world.kill(signal_id, moment, "worker")
    world.kill("pay", "after-send", "answer")
    workers = [world.start(*WORKER) for _ in range(len(KILLS) + 1)]  # as each plan kills one, one is left
    for _ in range(2):
        queue(broker, "remind", "before", "Ada")
        queue(broker, "remind", "after", "Ada")
    queue(broker, "pay", "pay", 4200)

    eventually(lambda: is_drained(broker) and all(map(world.was_killed, KILLS)), workers[-1])
    eventually(lambda: sum(worker.process.poll() is not None for worker in workers) == len(KILLS))
    assert [len(world.sent(signal_id)) for signal_id in (*KILLS, "pay")] == [1, 1, 1]
    # What nobody could look up is a dead letter and a record in doubt, for a person.
    assert any("InDoubtError" in worker.log for worker in workers)
    assert [record.signal_id for record in store.get_in_doubt()] == ["pay"]
    with Redis.from_url(world.environment["REDIS_URL"]) as redis:
        assert redis.zcard("dramatiq:default.XQ") == 1
