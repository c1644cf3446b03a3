"""Slack's events from a real receiver through a Redis stream to asyncio workers, which are killed on the way."""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from redis import Redis
from slack_sdk.signature import SignatureVerifier

from idempotency_manager import IdempotencyManager
from tests.queues.conftest import World, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = "of-the-tests"  # noqa: S105 - it opens nothing
STARTED = re.compile(r"running on (http://\S+)")


WORKER = "tests.queues.run_stream_worker"


@pytest.fixture(scope="module")
def send(world: World) -> Iterator[Callable[..., httpx.Response]]:
    """Sends an event as Slack does, to a real uvicorn; `retry` is how many times it was sent before."""
    world.environment["SLACK_SIGNING_SECRET"] = SECRET
    with world.running("uvicorn", "examples.queues.slack_app:app", "--port", "0", "--no-access-log") as receiver:
        eventually(lambda: STARTED.search(receiver.log), receiver)
        found = STARTED.search(receiver.log)
        assert found
        with httpx.Client(base_url=found.group(1)) as client:

            def post(payload: dict[str, Any], retry: int = 0, secret: str = SECRET) -> httpx.Response:
                body, stamp = json.dumps(payload).encode(), str(int(time.time()))
                signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
                headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": str(signature)}
                if retry:
                    headers |= {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": "http_timeout"}
                return client.post("/slack/events", content=body, headers=headers)

            yield post


@pytest.fixture
def stream(world: World) -> Iterator[Redis]:
    with Redis.from_url(world.environment["REDIS_URL"], decode_responses=True) as redis:
        yield redis


def mention(event_id: str, **event: Any) -> dict[str, Any]:
    event = {"type": "app_mention", "channel": "C1", "text": "hello"} | event
    return {"type": "event_callback", "event_id": event_id, "event": event}


def is_drained(stream: Redis) -> bool:
    """Tell whether every message was taken and acknowledged."""
    groups = stream.xinfo_groups("deliveries")
    return bool(groups) and groups[0]["pending"] == 0 and groups[0]["lag"] == 0


def test_an_event_that_is_sent_again_is_answered_in_time_and_acted_on_once(
    world: World, send: Callable[..., httpx.Response], stream: Redis
) -> None:
    # Nobody works yet, as where the work takes longer than Slack waits: the answers come all the same.
    for retry in range(4):
        answer = send(mention("EvAgain"), retry=retry)
        assert answer.status_code == 200
        assert answer.elapsed < timedelta(seconds=3)  # so long does Slack wait
    assert stream.xlen("deliveries") == 4
    with world.running("examples.queues.stream_worker", "one") as one:
        eventually(lambda: is_drained(stream), one)
        assert len(world.sent("EvAgain")) == 1
        send(mention("EvAgain"), retry=3)
        eventually(lambda: is_drained(stream), one)
    assert world.sent("EvAgain") == ["EvAgain to C1: you wrote 'hello'"]


def test_what_killed_workers_had_taken_is_done_once_by_another(
    world: World, send: Callable[..., httpx.Response], stream: Redis
) -> None:
    plans = {"EvBefore": "before-send", "EvAfter": "after-send", "EvBooked": "after-send"}
    workers = [world.start(WORKER, name) for name in ("one", "two", "three", "four")]  # each plan kills one of them
    for event_id, moment in plans.items():
        world.kill(event_id, moment, "worker")
        send(mention(event_id, type="payment", cents=42) if event_id == "EvBooked" else mention(event_id))
        eventually(partial(world.was_killed, event_id), workers[-1])
    eventually(lambda: is_drained(stream), workers[-1])
    assert [len(world.sent(event_id)) for event_id in plans] == [1, 1, 1]
    # What nobody could look up was put aside, and is in doubt until a person settles it.
    [(_, dead)] = stream.xrange("deliveries.dead")
    assert dead["signal_id"] == "EvBooked"
    assert "nobody here knows whether it happened" in dead["error"]
    with IdempotencyManager(world.environment["REDIS_URL"], namespace="slack") as store:
        assert [record.signal_id for record in store.get_in_doubt()] == ["EvBooked"]


def test_the_receiver_proves_to_slack_that_it_is_there(send: Callable[..., httpx.Response]) -> None:
    answer = send({"type": "url_verification", "challenge": "3eZbrw1aB", "token": "t"})
    assert (answer.status_code, answer.text) == (200, "3eZbrw1aB")


def test_what_slack_did_not_sign_is_refused_and_queued_nowhere(
    send: Callable[..., httpx.Response], stream: Redis
) -> None:
    before = stream.xlen("deliveries")
    assert send(mention("EvForged"), secret="another").status_code == 401
    assert send({"type": "block_actions"}).status_code == 400
    assert stream.xlen("deliveries") == before
