"""`python -m chaos`, run for a few seconds; and its audit, which must notice what it is there to notice."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import pytest

from chaos.deliveries import Deliveries
from chaos.ledger import Ledger
from chaos.settlement import Findings, duplicates
from chaos.siege import Siege
from chaos.worker import MayStillArriveError, settled
from idempotency_manager import NOT_EXECUTED
from servers import ServerError, postgresql_program, redis_program
from servers.testing import needed

ROOT = Path(__file__).parents[2]


def chaos(store: str, seconds: float, *options: str) -> tuple[int, dict[str, Any], str]:
    """Run it; give its exit code, what its last line says, and its progress."""
    command = [sys.executable, "-m", "chaos", "--store", store, "--seconds", str(seconds), "--seed", "7", *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout.splitlines()[-1]), ended.stderr


def check_that_nothing_is_doubled_or_lost(store: str, seconds: float, *options: str) -> dict[str, Any]:
    code, seen, progress = chaos(store, seconds, *options)
    assert code == 0, f"{seen}\n{progress}"
    assert (seen["duplicates"], seen["lost"], seen["unexpected"]) == (0, 0, {})
    assert seen["effects"] == seen["actions"] > 0
    assert seen["in_doubt"] == seen["reconciled"]
    assert seen["kills"] > 0
    assert seen["stops"] > 0
    return seen


@pytest.mark.timeout(120)
def test_nothing_is_doubled_or_lost_while_workers_are_killed_and_stopped() -> None:
    seen = check_that_nothing_is_doubled_or_lost("sqlite", 6)
    assert seen["in_doubt"] > 0
    assert seen["control"]["duplicates"] > 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("store", "program"),
    [
        ("redis", redis_program),
        ("redis-sentinel", redis_program),
        ("postgres", partial(postgresql_program, "postgres")),
    ],
)
def test_nothing_is_doubled_or_lost_while_the_stores_server_is_killed(store: str, program: Callable[[], str]) -> None:
    with needed():
        program()
    seen = check_that_nothing_is_doubled_or_lost(store, 6, "--no-control")  # which would be that of the test above
    assert sum(seen.get(kind, 0) for kind in ("server_kills", "server_stops", "server_crashes", "connections_cut")) > 0


@pytest.mark.timeout(120)
def test_the_audit_notices_a_store_that_dies_with_its_process() -> None:
    code, seen, progress = chaos("memory", 1, "--no-control")
    assert code == 1
    assert seen["duplicates"] > 0
    assert seen["forgotten"] > 0
    assert "WRONG: duplicates" in progress


class TestTheLedger:
    def test_a_second_effect_is_written_down_and_counted(self) -> None:
        ledger = Ledger()
        for action in ("a1", "a1", "a2"):
            ledger.effect(ledger.open(action))
        assert duplicates(ledger.report()["actions"]) == 1

    def test_a_look_sees_the_effect_and_whoever_may_still_send(self) -> None:
        ledger = Ledger()
        looking, other = ledger.open("a1"), ledger.open("a1")
        ledger.open("a2")
        assert ledger.look(looking) == {"number": None, "others": 1}
        number = ledger.effect(other)
        ledger.abandon(other)
        assert ledger.look(looking) == {"number": number, "others": 0}

    def test_a_holder_that_was_overtaken_and_not_told_is_noticed(self) -> None:
        ledger = Ledger()
        holder, taker = ledger.open("a1"), ledger.open("a1")
        holder.sent = True
        ledger.look(taker)
        ledger.close(holder.id, "executed", ledger.effect(holder), "")
        assert ledger.report()["not_told"] == ["a1"]

    def test_a_result_that_is_not_the_effects_is_noticed(self) -> None:
        ledger = Ledger()
        ledger.effect(ledger.open("a1"))
        ledger.close(ledger.open("a1").id, "replayed", 99, "")
        assert ledger.report()["wrong"] == ["a1"]

    @pytest.mark.parametrize(("outcome", "again"), [("executed", None), ("lease_lost", "a1"), ("unexpected", "a1")])
    def test_what_is_not_done_is_delivered_again(self, outcome: str, again: str | None) -> None:
        ledger = Ledger()
        assert ledger.close(ledger.open("a1").id, outcome, None, "") == again

    @pytest.mark.parametrize(("outcome", "reports"), [("not_recorded", 1), ("lease_lost", 1), ("store_unavailable", 0)])
    def test_a_worker_that_is_told_of_a_doubt_is_counted(self, outcome: str, reports: int) -> None:
        ledger = Ledger()
        ledger.close(ledger.open("a1").id, outcome, None, "")
        assert ledger.report()["actions"]["a1"]["reports"] == reports

    def test_a_call_ends_once(self) -> None:
        ledger = Ledger()
        call = ledger.open("a1")
        assert ledger.abandon(call) == "a1"
        assert ledger.abandon(call) is None
        assert ledger.close(call.id, "lease_lost", None, "") is None


class TestTheAudit:
    def history(self, effects: int, **fields: int) -> dict[str, Any]:
        return {"effects": list(range(1, effects + 1)), "looks": 0, "reports": 0} | fields

    def test_a_double_that_nobody_was_told_of_is_noticed(self) -> None:
        actions = {"a1": self.history(2), "a2": self.history(2, reports=1), "a3": self.history(2, looks=1)}
        found = Findings(actions=actions | {"a4": self.history(1)})
        assert found.unreported == ["a1"]
        assert found.duplicates == 3


class TestTheSiege:
    def test_it_strikes_until_it_is_over_and_counts(self) -> None:
        struck = Event()
        with Siege({"strikes": lambda _random: struck.set()}, every=0.001).under(7) as siege:
            assert struck.wait(10)
        counted = siege.counts["strikes"]
        assert counted > 0
        assert siege.counts["strikes"] == counted

    def test_what_goes_wrong_in_a_strike_is_raised(self) -> None:
        begun = Event()

        def strike(_random: Random) -> None:
            begun.set()
            raise ServerError("it does not start")

        with pytest.raises(ServerError, match="does not start"), Siege({"strikes": strike}, every=0.001):
            assert begun.wait(10)


class TestTheRule:
    def test_what_is_in_the_ledger_happened_whoever_may_still_send(self) -> None:
        assert settled({"number": 3, "others": 1}) == {"number": 3}

    def test_what_is_not_there_may_still_arrive_while_anybody_else_can_send(self) -> None:
        with pytest.raises(MayStillArriveError):
            settled({"number": None, "others": 1})

    def test_what_is_not_there_did_not_happen_once_nobody_else_can_send(self) -> None:
        assert settled({"number": None, "others": 0}) is NOT_EXECUTED


def test_the_queue_hands_every_action_out_more_than_once() -> None:
    queue = Deliveries(Random(7))
    taken = [queue.take(moment / 100) for moment in range(1_000)]
    early = {action for action in taken if int(action[1:]) <= 50}
    assert len(early) == 50
    assert min(taken.count(action) for action in early) >= 2
