"""An asyncio worker on a Redis stream, where each delivery has its effects once though it may be delivered twice.

    python -m examples.queues.stream_worker NAME

A message belongs to the worker that took it until that worker acknowledges it; what a killed worker had taken is
claimed by another. So Redis delivers at least once, and the decorator makes the effect happen once.
"""

import asyncio
import json
import logging
import sys
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from examples.queues import outbox, settings
from idempotency_manager import (
    NOT_EXECUTED,
    IdempotencyManager,
    IdempotencyRecord,
    InDoubtError,
    current_execution,
    parse_idempotency_key,
    signal,
)
from idempotency_manager.webhooks import Delivery

STREAM, DEAD, GROUP = "deliveries", "deliveries.dead", "workers"
AT_ONCE = 10
IDLE_MILLISECONDS = int(min(60.0, settings.REDELIVER_AFTER) * 1000)
Message = dict[Any, Any]  # of texts, by name
logger = logging.getLogger(__name__)
manager = IdempotencyManager(settings.STORE, lease=settings.LEASE, namespace="slack")


def current_signal() -> str:
    """Name the signal that the running action belongs to."""
    execution = current_execution()
    return parse_idempotency_key(execution.key).signal_id if execution else ""


async def find_reply(record: IdempotencyRecord) -> object:
    """Look whether the reply of a worker that was killed went out."""
    return await asyncio.to_thread(outbox.find, record.signal_id or "") or NOT_EXECUTED


@manager.idempotent(target="slack", on_in_doubt=find_reply)
async def reply(channel: str, text: str) -> str:
    """Answer a message. It carries the signal, so that a reconciler can find it."""
    return await asyncio.to_thread(outbox.send, current_signal(), f"to {channel}: you wrote {text!r}")


@manager.idempotent(target="bank")
async def book(cents: int) -> str:
    """Book an amount. Nobody here can look whether that happened, so a doubt is left to a person."""
    return await asyncio.to_thread(outbox.send, current_signal(), f"{cents} cents")


async def handle(event: dict[str, Any]) -> None:
    """Do what an event asks for. Each effect is a decorated function of its own."""
    if event["type"] == "app_mention":
        await reply(event["channel"], event["text"])
    elif event["type"] == "payment":
        await book(event["cents"])


async def put(redis: Redis, delivery: Delivery) -> None:
    """Queue a delivery, for whoever receives it."""
    event = json.dumps(delivery.payload["event"])
    await redis.xadd(STREAM, {"signal_id": delivery.signal_id, "event": event})


async def take(redis: Redis, name: str) -> list[tuple[str, Message]]:
    """Take what a dead worker has left, or what is new."""
    left: list[tuple[str, Message]]
    _, left, *_ = await redis.xautoclaim(STREAM, GROUP, name, min_idle_time=IDLE_MILLISECONDS, count=AT_ONCE)
    if left:
        return left
    new: Any = await redis.xreadgroup(GROUP, name, {STREAM: ">"}, count=AT_ONCE, block=IDLE_MILLISECONDS)
    return [message for _, messages in new for message in messages]


async def do(redis: Redis, number: str, message: Message) -> None:
    """Handle one message, and acknowledge it once there is nothing left to do with it."""
    try:
        with signal(message["signal_id"]):
            await handle(json.loads(message["event"]))
    except InDoubtError as error:  # trying again is of no use: a person settles it
        logger.exception("%s is in doubt", message["signal_id"])
        await redis.xadd(DEAD, {**message, "error": str(error)})
    except Exception:
        logger.exception("%s is left, to be claimed again", message["signal_id"])
        return
    await redis.xack(STREAM, GROUP, number)


async def work(name: str) -> None:
    """Handle messages, several at a time, until somebody ends this process."""
    async with Redis.from_url(settings.REDIS, decode_responses=True) as redis:
        try:
            await redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except ResponseError:
            logger.debug("the group is there already")
        while True:
            await asyncio.gather(*(do(redis, *message) for message in await take(redis, name)))


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
