"""What each contender of topic 2 gets right, found out in the same run as the times."""

from collections.abc import Callable, Sequence

from . import probes
from ._report import Facts
from .peers import THIS, Peer

WANTED: dict[Callable[[Peer], str], str] = {
    probes.keywords_in_another_order_run_again: "no",
    probes.a_caller_can_change_what_the_next_one_gets: "no",
    probes.two_racing_threads_run_it_twice: "no",
    probes.none_is_run_again: "no",
    probes.dict_and_list_arguments_work: "yes",
    probes.one_and_true_are_one_call: "no",
    probes.an_async_function_works: "yes",
}

CAPTION = (
    "Each cell was found by running it just now (benchmarks/probes.py). Powertools is given the four arguments as "
    "one dict. Hand-written guards coroutine functions with a second, async wrapper."
)


def facts(peers: Sequence[Peer]) -> Facts:
    """Asks every peer every question; for this package also whether the answer is the one it promises."""
    answers = {probe: {peer.name: probes.answer(probe, peer) for peer in peers} for probe in WANTED}
    rows = tuple((probes.question(probe), *by_peer.values()) for probe, by_peer in answers.items())
    missed = tuple(
        f"{probes.question(probe)} {answers[probe][THIS]}"
        for probe, wanted in WANTED.items()
        if answers[probe][THIS] != wanted
    )
    columns = ("", *(peer.name for peer in peers))
    return Facts("2  Duplicate call: what else happens", CAPTION, columns, rows, missed)
