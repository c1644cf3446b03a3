"""Asyncio workers that race for the same jobs, as they do when a queue delivers a job to more than one of them.

    python -m examples.worker

Each job is sent once. The workers that come second wait for the first, without blocking the event loop, and get what
it returned.
"""

import asyncio
import sys
from collections import Counter
from dataclasses import dataclass

from idempotency_manager import current_execution, idempotent

WORKERS, JOBS = 10, 5


@dataclass(frozen=True, slots=True)
class Job:
    """A mail that shall be sent."""

    id: str
    recipient: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What the mail provider answers."""

    message_id: str
    recipient: str


sent: Counter[str] = Counter()


@idempotent(target="mail", signal_id="job.id")
async def send_mail(job: Job) -> Sent:
    """Send a mail; the id made from the key is the same on every retry, so the provider can tell too."""
    execution = current_execution()
    message_id = execution.uuid if execution else ""
    await asyncio.sleep(0)  # the provider's answer takes a while: the others run now
    sent[job.id] += 1
    return Sent(message_id, job.recipient)


async def work(jobs: list[Job]) -> list[Sent]:
    """Do every job, as each of the workers does."""
    return [await send_mail(job) for job in jobs]


async def race() -> int:
    """Let all workers do all jobs, and show what was sent."""
    jobs = [Job(f"job-{number}", f"customer{number}@example.com") for number in range(JOBS)]
    results = await asyncio.gather(*(work(jobs) for _ in range(WORKERS)))
    agree = all(result == results[0] for result in results)
    print(f"{WORKERS * JOBS} calls, {sent.total()} mails, results {'agree' if agree else 'differ'}")
    return 0 if agree and sent == dict.fromkeys((job.id for job in jobs), 1) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(race()))
