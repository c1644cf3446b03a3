"""Starts workers, kills them at random instants, stops them beyond their lease, and replaces those that died."""

import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Self

_ROOT = Path(__file__).parent.parent
_KILL_EVERY_SECONDS, _STOP_EVERY_SECONDS = 0.35, 0.6
_STOP_LEASES = (1.2, 2.5)
_KILL_THE_WAKING = 0.9
_TICK_SECONDS = 0.01


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    wakes_at: float | None = None


class Herd:
    """Workers, from `with` to the end of its block, when the last of them is killed.

    Attributes:
        counts: `kills`, `stops`, `wakes`, and `deaths` that nobody here caused.
    """

    def __init__(self, orders: str, size: int, log: Path, seed: int) -> None:
        """Take what a worker is started with, how many there are, and the file that gets their stderr."""
        self.counts: Counter[str] = Counter(kills=0, stops=0, wakes=0, deaths=0)
        self._command = [sys.executable, "-m", "chaos.worker", orders]
        self._size, self._random = size, Random(seed)
        self._log = log.open("wb")
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        """Start them."""
        self._workers = [self._start() for _ in range(self._size)]
        return self

    def __exit__(self, *_: object) -> None:
        """Kill them all, wherever they are in their work."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.wait()
        self._log.close()

    def torment(self, seconds: float, lease: float, slowness: float) -> None:
        """Kill, stop, wake and replace for so long; `slowness` is how long a worker takes to begin, all in seconds."""
        begin = time.monotonic()
        # A worker must live about twice as long as it takes to begin, on a slow machine too.
        kill_every = max(_KILL_EVERY_SECONDS, slowness * 2 / self._size)
        kill_at, stop_at = (begin + self._pause(mean) for mean in (kill_every, _STOP_EVERY_SECONDS))
        while (now := time.monotonic()) < begin + seconds:
            self._wake(now)
            self._bury()
            if now >= kill_at:
                self._kill()
                kill_at += self._pause(kill_every)
            if now >= stop_at:
                self._stop(now + lease * self._random.uniform(*_STOP_LEASES))
                stop_at += self._pause(_STOP_EVERY_SECONDS)
            time.sleep(_TICK_SECONDS * self._random.random())

    def _pause(self, mean: float) -> float:
        return self._random.expovariate(1 / mean)

    def _start(self) -> _Worker:
        return _Worker(
            subprocess.Popen(self._command, cwd=_ROOT, stderr=self._log)  # noqa: S603 - a module of this package
        )

    def _kill(self) -> None:
        # Mostly those that are awake: of the stopped ones, most shall live to see that they were overtaken.
        awake = [number for number, worker in enumerate(self._workers) if worker.wakes_at is None]
        number = self._random.choice(awake if self._random.random() < _KILL_THE_WAKING else range(self._size))
        victim = self._workers[number].process
        victim.kill()
        victim.wait()
        self.counts["kills"] += 1
        self._workers[number] = self._start()

    def _stop(self, until: float) -> None:
        awake = [worker for worker in self._workers if worker.wakes_at is None]
        if len(awake) > self._size // 2:
            victim = self._random.choice(awake)
            victim.process.send_signal(signal.SIGSTOP)
            victim.wakes_at = until
            self.counts["stops"] += 1

    def _wake(self, now: float) -> None:
        for worker in self._workers:
            if worker.wakes_at is not None and now >= worker.wakes_at:
                worker.process.send_signal(signal.SIGCONT)
                worker.wakes_at = None
                self.counts["wakes"] += 1

    def _bury(self) -> None:
        """Replace workers that died on their own; that is counted, for none should."""
        for number, worker in enumerate(self._workers):
            if worker.process.poll() is not None:
                self.counts["deaths"] += 1
                self._workers[number] = self._start()
