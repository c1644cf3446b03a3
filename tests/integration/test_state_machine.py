"""A manager against a dictionary, step by step, on a clock that stands still between the steps."""

import time
from contextlib import AbstractContextManager
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from idempotency_manager import (
    AlreadyInProgressError,
    Attempt,
    IdempotencyManager,
    InDoubtError,
    LeaseLostError,
    NotInDoubtError,
    State,
    current_execution,
)
from idempotency_manager.testing import ManualClock

CAP = 10
TTL = timedelta(hours=1)
LEASE = timedelta(seconds=30)

signals = st.integers(0, 13).map(str)
results = st.sampled_from([None, 0, "", [1, "a"], {"b": 2, "a": 1}])


@dataclass
class Expected:
    """What the manager should remember of a key."""

    state: State
    since: datetime
    result: Any = None
    attempts: int = 1
    finished_as: int = 0
    claim: int = 0


@dataclass
class Held:
    """A claim that a step opened and a later one ends."""

    signal: str
    number: int
    block: AbstractContextManager[Attempt]
    attempt: Attempt
    context: Context


class Managed(RuleBasedStateMachine):
    """The rules are what callers and operators do; the invariants are what they may see."""

    def __init__(self, url: str = "memory://") -> None:
        super().__init__()
        # Where times order what finished, no two may be the same.
        self.ticks = url != "memory://"
        self.clock = ManualClock(datetime.fromisoformat("2026-01-01T00:00:00+00:00"))
        self.manager = IdempotencyManager(
            url,
            namespace=f"machine-{uuid4()}",
            clock=self.clock,
            default_ttl=TTL,
            lease=LEASE,
            max_cache_size=CAP,
            on_concurrent="raise",
            enable_auto_cleanup=False,
        )
        self.start_renewing()
        self.model: dict[str, Expected] = {}
        self.held: list[Held] = []
        self.steps = 0
        self.hits = self.misses = self.prevented = 0

    def start_renewing(self) -> None:
        """Let the renewing thread have its first turn; the next is seconds away, when the steps are over."""

        def executor() -> None:
            execution = current_execution()
            assert execution is not None
            left = execution.remaining()
            until = time.monotonic() + 0.02
            while execution.remaining() <= left and time.monotonic() < until:
                time.sleep(0.0002)

        self.manager.execute(self.action("first"), executor)
        self.manager.clear_all()
        self.manager.reset_stats()

    def teardown(self) -> None:
        self.manager.close()

    # ------------------------------------------------------------------ the model

    def action(self, signal: str) -> dict[str, str]:
        return {"signal_id": signal, "action": "card", "target": "trello"}

    def key(self, signal: str) -> str:
        return self.manager.generate_key(self.action(signal))

    def next(self) -> int:
        self.steps += 1
        if self.ticks:
            self.clock.advance(timedelta(microseconds=1))
        return self.steps

    def live(self, signal: str) -> Expected | None:
        """What is remembered now: expired results are gone, lapsed claims in doubt."""
        now, expected = self.clock.now(), self.model.get(signal)
        if expected is None:
            return None
        if expected.state is State.COMPLETED and now >= expected.since + TTL:
            return None
        if expected.state is State.IN_PROGRESS and now >= expected.since + LEASE:
            return Expected(State.IN_DOUBT, expected.since, attempts=expected.attempts, claim=expected.claim)
        return expected

    def make_room(self, signal: str) -> None:
        """Before a new key: what has expired goes, then the oldest finished fifth of the cap."""
        for other in [other for other in self.model if self.live(other) is None]:
            if other == signal or len(self.model) >= CAP:
                del self.model[other]
        if signal in self.model or len(self.model) < CAP:
            return
        finished = [other for other in self.model if self.model[other].state is State.COMPLETED]
        finished.sort(key=lambda other: self.model[other].finished_as)
        for other in finished[: CAP // 5]:
            del self.model[other]

    def has_room(self, signal: str) -> bool:
        others = [self.live(other) for other in self.model if other != signal]
        unfinished = sum(one is not None and one.state is not State.COMPLETED for one in others)
        return unfinished < CAP

    def complete(self, signal: str, result: Any, *, attempts: int) -> None:
        self.model[signal] = Expected(State.COMPLETED, self.clock.now(), result, attempts, self.next())

    # ------------------------------------------------------------------ callers

    def expect(self, signal: str) -> Expected | None:
        """Count what a claim of this key counts, and give what it should meet."""
        expected = self.live(signal)
        if expected is None:
            self.misses += 1
            return None
        self.model[signal].attempts += 1
        if expected.state is State.COMPLETED:
            self.hits += 1
        if expected.state in (State.COMPLETED, State.IN_PROGRESS):
            self.prevented += 1
        return expected

    @rule(signal=signals, result=results, outcome=st.sampled_from(["return", "fail", "doubt"]))
    def execute(self, signal: str, result: Any, outcome: str) -> None:
        if not self.has_room(signal):
            return
        if self.live(signal) is None:
            self.make_room(signal)
        ran = []

        def executor() -> Any:
            ran.append(signal)
            if outcome == "fail":
                raise LookupError(signal)
            if outcome == "doubt":
                raise TimeoutError(signal)
            return result

        expected = self.expect(signal)
        if expected is None:
            if outcome == "return":
                assert self.manager.execute(self.action(signal), executor) == result
                self.complete(signal, result, attempts=1)
            else:
                with pytest.raises(LookupError if outcome == "fail" else TimeoutError):
                    self.manager.execute(self.action(signal), executor)
                if outcome == "doubt":
                    self.model[signal] = Expected(State.IN_DOUBT, self.clock.now())
            assert ran == [signal]
            return
        if expected.state is State.COMPLETED:
            assert self.manager.execute(self.action(signal), executor) == expected.result
        else:
            error = AlreadyInProgressError if expected.state is State.IN_PROGRESS else InDoubtError
            with pytest.raises(error):
                self.manager.execute(self.action(signal), executor)
        assert ran == []

    @rule(signal=signals)
    def open_claim(self, signal: str) -> None:
        if self.live(signal) is not None or not self.has_room(signal):
            return
        self.make_room(signal)
        self.expect(signal)
        block = self.manager.claim(self.action(signal))
        # A claim of its own context, as another task would have it: in this one its key would be the caller's own.
        context = copy_context()
        attempt = context.run(block.__enter__)
        assert not attempt.executed
        number = self.next()
        self.held.append(Held(signal, number, block, attempt, context))
        self.model[signal] = Expected(State.IN_PROGRESS, self.clock.now(), claim=number)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), result=results, completes=st.booleans())
    def end_claim(self, data: st.DataObject, result: Any, *, completes: bool) -> None:
        held = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        expected = self.model.get(held.signal)
        mine = expected is not None and expected.claim == held.number
        if not mine:
            end, result = (held.attempt.complete, (result,)) if completes else (held.attempt.release, ())
            with pytest.raises(LeaseLostError) as caught:
                held.context.run(end, *result)
            assert caught.value.result == (result[0] if completes else None)
        elif not completes:
            held.context.run(held.attempt.release)
            del self.model[held.signal]
        elif expected is not None:
            held.context.run(held.attempt.complete, result)
            self.complete(held.signal, result, attempts=expected.attempts)
        held.context.run(held.block.__exit__, None, None, None)

    @rule(signal=signals)
    def check(self, signal: str) -> None:
        found, expected = self.manager.check_executed(self.key(signal)), self.live(signal)
        done = expected is not None and expected.state is State.COMPLETED
        assert found.executed is done
        if done and expected is not None:
            assert found.cached_result == expected.result
            assert found.ttl == expected.since + TTL - self.clock.now()
            self.model[signal].attempts += 1
            self.hits += 1
            self.prevented += 1
        else:
            self.misses += 1

    # ------------------------------------------------------------------ operators

    @rule(signal=signals, result=results)
    def mark(self, signal: str, result: Any) -> None:
        if not self.has_room(signal):
            return
        expected = self.live(signal)
        if expected is None:
            self.make_room(signal)
        self.manager.mark_executed(self.key(signal), result)
        self.complete(signal, result, attempts=0)

    @rule(signal=signals, result=results, happened=st.booleans())
    def resolve(self, signal: str, result: Any, *, happened: bool) -> None:
        expected = self.live(signal)
        word: dict[str, Any] = {"result": result} if happened else {"not_executed": True}
        if expected is None or expected.state is not State.IN_DOUBT:
            with pytest.raises(NotInDoubtError):
                self.manager.resolve_in_doubt(self.key(signal), **word)
            return
        self.manager.resolve_in_doubt(self.key(signal), **word)
        if happened:
            self.complete(signal, result, attempts=expected.attempts)
        else:
            del self.model[signal]

    @rule(signal=signals)
    def clear(self, signal: str) -> None:
        assert self.manager.clear_key(self.key(signal)) is (self.live(signal) is not None)
        self.model.pop(signal, None)

    @rule()
    def cleanup(self) -> None:
        self.manager.cleanup_expired()
        for signal in [signal for signal in self.model if self.live(signal) is None]:
            del self.model[signal]

    @rule(count=st.integers(0, 4))
    def remove_oldest(self, count: int) -> None:
        self.cleanup()
        finished = [signal for signal in self.model if self.model[signal].state is State.COMPLETED]
        finished.sort(key=lambda signal: self.model[signal].finished_as)
        assert self.manager.cleanup_oldest_entries(count) == min(count, len(finished))
        for signal in finished[:count]:
            del self.model[signal]

    @rule(by=st.sampled_from(["1s", "29s", "31s", "59m", "61m"]))
    def advance(self, by: str) -> None:
        self.clock.advance(by)

    # ------------------------------------------------------------------ what may be seen

    @invariant()
    def the_records_are_those_of_the_model(self) -> None:
        live = {signal: self.live(signal) for signal in self.model}
        expected = {signal: one.state for signal, one in live.items() if one is not None}
        assert {record.signal_id: record.state for record in self.manager.iter_records()} == expected
        for signal, one in live.items():
            record = self.manager.get_record(self.key(signal))
            assert (record is None) is (one is None)
            if record is None or one is None or one.state is not State.COMPLETED:
                continue
            assert (record.result, record.executed_at) == (one.result, one.since)
            assert record.expires_at == one.since + TTL

    @invariant()
    def the_statistics_add_up(self) -> None:
        stats, states = self.manager.stats(), [one.state for one in map(self.live, self.model) if one is not None]
        assert stats.total_cached == states.count(State.COMPLETED)
        assert stats.in_progress == states.count(State.IN_PROGRESS)
        assert stats.in_doubt == states.count(State.IN_DOUBT)
        assert (stats.cache_hits, stats.cache_misses) == (self.hits, self.misses)
        assert stats.duplicates_prevented == self.prevented
        assert self.manager.cache_info().current_size == len(states) <= CAP

    @invariant()
    def doubts_are_found_by_index(self) -> None:
        found = {record.signal_id for record in self.manager.get_in_doubt()}
        live = {signal: self.live(signal) for signal in self.model}
        assert found == {signal for signal, one in live.items() if one is not None and one.state is State.IN_DOUBT}


TestManaged = Managed.TestCase
TestManaged.settings = settings(settings.get_profile("fast"), max_examples=60, stateful_step_count=40)


@pytest.mark.parametrize("server", ["redis_url", "postgres_url"])
def test_a_manager_on_a_server_does_the_same(request: pytest.FixtureRequest, server: str) -> None:
    url = request.getfixturevalue(server)
    few = settings(settings.get_profile("fast"), max_examples=25, stateful_step_count=30)
    run_state_machine_as_test(lambda: Managed(url), settings=few)
