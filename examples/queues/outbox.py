"""The outside world of these recipes: a file that is only ever added to, as a mail server only ever sends.

It takes no id from its clients and repeats what it is told, like most of the world; and it can be searched.
"""

import os
from pathlib import Path

from examples.queues import settings


def letter(signal_id: str, to: str) -> str:
    """Write a letter: what takes long, and has no effect yet."""
    return f"Dear {to}, this is the report on {signal_id}"


def send(signal_id: str, text: str) -> str:
    """Send a message; the answer is its number."""
    line = f"{signal_id} {text}\n".encode()
    descriptor = os.open(settings.OUTBOX, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
    return f"message {len(sent())}"


def sent() -> list[str]:
    """List what was sent, in order."""
    file = Path(settings.OUTBOX)
    return file.read_text().splitlines() if file.exists() else []


def find(signal_id: str) -> str | None:
    """Search for the message of a signal; the answer is its number."""
    for number, line in enumerate(sent(), start=1):
        if line.split(" ", 1)[0] == signal_id:
            return f"message {number}"
    return None
