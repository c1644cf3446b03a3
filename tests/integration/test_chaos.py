"""`python -m chaos`, run for a few seconds; and its audit, which must notice what it is there to notice."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chaos.deliveries import Deliveries
from chaos.ledger import Ledger
from chaos.settlement import duplicates
from chaos.worker import MayStillArriveError, settled
from idempotency_manager import NOT_EXECUTED

ROOT = Path(__file__).parents[2]


def chaos(store: str, seconds: float) -> tuple[int, dict[str, Any], str]:
    """Run it; give its exit code, what its last line says, and its progress."""
    command = [sys.executable, "-m", "chaos", "--store", store, "--seconds", str(seconds), "--seed", "7"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout.splitlines()[-1]), ended.stderr


@pytest.mark.timeout(120)
@pytest.mark.parametrize("store", ["sqlite"])
def test_nothing_is_doubled_or_lost_while_workers_are_killed_and_stopped(store: str) -> None:
    code, seen, progress = chaos(store, 6)
    assert code == 0, f"{seen}\n{progress}"
    assert (seen["duplicates"], seen["lost"], seen["unexpected"]) == (0, 0, {})
    assert seen["effects"] == seen["actions"] > 0
    assert seen["in_doubt"] == seen["reconciled"] > 0
    assert seen["kills"] > 0
    assert seen["stops"] > 0
    assert seen["control"]["duplicates"] > 0


@pytest.mark.timeout(120)
def test_the_audit_notices_a_store_that_dies_with_its_process() -> None:
    code, seen, progress = chaos("memory", 1)
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

    def test_a_call_ends_once(self) -> None:
        ledger = Ledger()
        call = ledger.open("a1")
        assert ledger.abandon(call) == "a1"
        assert ledger.abandon(call) is None
        assert ledger.close(call.id, "lease_lost", None, "") is None


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
