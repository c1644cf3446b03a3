"""Celery tasks that happen once, though their messages are delivered again when a worker is killed.

celery --app examples.queues.celery_tasks worker
"""

from celery import Celery

from examples.queues import outbox, settings
from idempotency_manager import (
    NOT_EXECUTED,
    AlreadyInProgressError,
    IdempotencyManager,
    IdempotencyRecord,
    current_execution,
)

app = Celery("billing", broker=settings.REDIS, backend=settings.REDIS)
app.conf.update(
    task_acks_late=True,  # a message is done with when its task has ended, not when it begins
    task_reject_on_worker_lost=True,  # and goes back to the queue when the process of its task is killed
    worker_prefetch_multiplier=1,  # a worker that is killed takes one message with it
    broker_transport_options={
        "visibility_timeout": settings.REDELIVER_AFTER,
        "unacked_restore_interval": min(10.0, settings.REDELIVER_AFTER),
        "unacked_restore_throttle": 1,
    },
)

manager = IdempotencyManager(settings.STORE, lease=settings.LEASE, namespace="billing")


def find_reminder(record: IdempotencyRecord) -> object:
    """Look whether the reminder of a worker that was killed went out."""
    return outbox.find(record.signal_id or "") or NOT_EXECUTED


@app.task(autoretry_for=(ConnectionError, AlreadyInProgressError), retry_backoff=True)
@manager.idempotent(target="mail", on_in_doubt=find_reminder)
def remind(signal_id: str, to: str) -> str:
    """Send a reminder. Whether one went out can be looked up, so no doubt remains."""
    return outbox.send(signal_id, f"Dear {to}, please pay")


@app.task(autoretry_for=(ConnectionError, AlreadyInProgressError), retry_backoff=True)
@manager.idempotent(target="bank")
def pay(signal_id: str, cents: int) -> str:
    """Pay. Nobody here can look, so a doubt is an InDoubtError: the task fails, and a person settles it."""
    return outbox.send(signal_id, f"{cents} cents")


@app.task(autoretry_for=(ConnectionError, AlreadyInProgressError), retry_backoff=True)
@manager.idempotent(target="mail", latch=True)
def report(signal_id: str, to: str) -> str:
    """Prepare for long and send for a moment: a worker that is killed before it sends leaves no doubt."""
    letter = outbox.letter(signal_id, to)
    if execution := current_execution():
        execution.dispatched()  # from here on the letter may be sent; kept in the store, so it survives a kill
    return outbox.send(signal_id, letter)
