"""Where things are, from the environment."""

import os

REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
STORE = os.environ.get("IDEMPOTENCY_STORE", REDIS)
OUTBOX = os.environ.get("OUTBOX", "outbox.txt")

# How long a claim is believed when its worker has died without a word. It is renewed while an action runs, so it need
# not be as long as an action takes.
LEASE = os.environ.get("LEASE", "30s")

# How long a broker waits before it gives a message that a dead worker had taken to another one. Longer than the longest
# task: a message that is still being worked on would be delivered a second time.
REDELIVER_AFTER = float(os.environ.get("REDELIVER_AFTER", "3600"))
