"""Dramatiq actors that happen once, though their messages are delivered again when a worker is killed.

dramatiq examples.queues.dramatiq_actors
"""

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from examples.queues import outbox, settings
from idempotency_manager import NOT_EXECUTED, IdempotencyManager, IdempotencyRecord, InDoubtError

broker = RedisBroker(  # type: ignore[no-untyped-call]
    url=settings.REDIS,
    # A worker that has been silent for so long counts as dead, and what it had taken goes back to the queue. Workers
    # speak up whenever they look for messages, also while their actors run.
    heartbeat_timeout=int(min(60.0, settings.REDELIVER_AFTER) * 1000),
    maintenance_chance=100_000,  # of a million commands: how often a worker looks for dead ones
)
dramatiq.set_broker(broker)

manager = IdempotencyManager(settings.STORE, lease=settings.LEASE, namespace="billing")


def find_reminder(record: IdempotencyRecord) -> object:
    """Look whether the reminder of a worker that was killed went out."""
    return outbox.find(record.signal_id or "") or NOT_EXECUTED


@dramatiq.actor(max_retries=5, min_backoff=1000)
@manager.idempotent(target="mail", on_in_doubt=find_reminder)
def remind(signal_id: str, to: str) -> str:
    """Send a reminder. Whether one went out can be looked up, so no doubt remains."""
    return outbox.send(signal_id, f"Dear {to}, please pay")


# Trying again is of no use in doubt: what is listed in `throws` is not tried again, and the message is a dead letter.
@dramatiq.actor(max_retries=5, min_backoff=1000, throws=(InDoubtError,))
@manager.idempotent(target="bank")
def pay(signal_id: str, cents: int) -> str:
    """Pay. Nobody here can look, so a doubt is an InDoubtError, and a person settles it."""
    return outbox.send(signal_id, f"{cents} cents")
