"""A queue that delivers at least once, as queues do: copies at the same moment, copies later, and redeliveries."""

import heapq
import itertools
from random import Random

_MAX_COPIES = 3
_AT_ONCE = 0.5
_COPY_SECONDS = (0.1, 2.5)
_AGAIN_SECONDS = (0.05, 0.5)


class Deliveries:
    """Says which action comes next; a new one whenever none is due, so nobody is ever idle."""

    def __init__(self, random: Random) -> None:
        """Begin with no action."""
        self._random = random
        self._numbers = itertools.count(1)
        self._order = itertools.count()
        self._due: list[tuple[float, int, str]] = []

    def take(self, now: float) -> str:
        """Return the action to deliver at `now`, in seconds of a monotonic clock."""
        if self._due and self._due[0][0] <= now:
            return heapq.heappop(self._due)[2]
        action = f"a{next(self._numbers)}"
        for _ in range(self._random.randint(1, _MAX_COPIES)):
            wait = 0 if self._random.random() < _AT_ONCE else self._random.uniform(*_COPY_SECONDS)
            self._add(action, now + wait)
        return action

    def again(self, action: str, now: float) -> None:
        """Deliver an action once more, a little later."""
        self._add(action, now + self._random.uniform(*_AGAIN_SECONDS))

    def _add(self, action: str, due: float) -> None:
        heapq.heappush(self._due, (due, next(self._order), action))
