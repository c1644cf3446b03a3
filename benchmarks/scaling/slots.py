"""How keys spread over the slots and the nodes of a Redis Cluster: a million keys, placed as the store places them."""

import asyncio
from binascii import crc_hqx
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from benchmarks._durable import scattered
from benchmarks._report import Facts
from benchmarks.peers.on_disk import CROWD
from idempotency_manager import generate_idempotency_key
from servers import RedisServer

from .subjects import REDIS, running
from .work import action, call_all, guarded, open_manager

KEYS, QUICK_KEYS = 1_000_000, 20_000
CHECKED = 2_000
"""Keys whose place is looked up on a server."""

SLOTS = 16_384
NODES = (3, 6, 100)
TAGS = 4_096
NAMESPACE = "idempotency"

AS_IT_IS, WITHOUT_TAGS = f"{TAGS:,} tags, as it is", "every key by itself"

CAPTION = (
    "{keys:,} generated keys; the slot is CRC16 of the tag, {{…}} in the record's name, modulo {slots:,}, and each "
    "node has an equal run of slots, as redis-cli --cluster create deals them. Records, and the busiest one's share "
    "against the mean. Checked in the same run: the tags of {checked:,} records that the store wrote on a server, and"
    " CLUSTER KEYSLOT of every tag on a node of a cluster. The second half is what would be if each key were hashed "
    "by itself, and its fence could lie elsewhere."
)


@dataclass(frozen=True, slots=True)
class Spread:
    """Records on each of the slots or nodes."""

    layout: str
    of: str
    counts: list[int]

    @property
    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        most, least, mean = max(self.counts), min(self.counts), sum(self.counts) / len(self.counts)
        numbers = (f"{most:,}", f"{mean:,.1f}", f"{least:,}")
        return (self.layout, self.of, *numbers, f"{most / mean:.2f}", f"{least / mean:.2f}")


def measure(*, quick: bool) -> list[Spread]:
    """Places the keys."""
    keys = [key_of(number) for number in range(QUICK_KEYS if quick else KEYS)]
    check_tags()
    check_slots()
    by_tag = Counter(map(tag_of, keys))
    tagged: Counter[int] = Counter()
    for tag, records in by_tag.items():
        tagged[slot_of(tag)] += records
    alone = Counter(slot_of(f"{NAMESPACE}:{key}") for key in keys)
    return [
        spread for layout, slots in ((AS_IT_IS, tagged), (WITHOUT_TAGS, alone)) for spread in _spreads(layout, slots)
    ]


def table(found: list[Spread], *, quick: bool) -> Facts:
    """What was found, in words."""
    caption = CAPTION.format(keys=QUICK_KEYS if quick else KEYS, slots=SLOTS, checked=CHECKED)
    columns = ("layout", "on each of", "most", "mean", "least", "most ÷ mean", "least ÷ mean")
    return Facts("Keys over a cluster", caption, columns, tuple(spread.cells for spread in found))


def key_of(number: int) -> str:
    """The key of an action of the other benchmarks."""
    return generate_idempotency_key(action(scattered(number)))


def tag_of(key: str) -> str:
    """The tag that the store gives a key (src/store/redis/keys.rs)."""
    return f"{crc_hqx(key.encode(), 0) % TAGS:03x}"


def slot_of(name: str) -> int:
    """The slot of a name without a tag, or of a tag: CRC16 (XMODEM)."""
    return crc_hqx(name.encode(), 0) % SLOTS


def _spreads(layout: str, slots: Counter[int]) -> Iterable[Spread]:
    used = list(slots.values())
    yield Spread(layout, f"{len(used):,} slots in use", used)
    for nodes in NODES:
        edges = [round(SLOTS / nodes * node) for node in range(nodes + 1)]
        yield Spread(layout, f"{nodes} nodes", [sum(slots[slot] for slot in range(*run)) for run in pairwise(edges)])


def check_tags() -> None:
    """Has the store write records, and looks where they are."""
    with running(REDIS) as subject:
        server = subject.server
        assert isinstance(server, RedisServer)
        with open_manager(subject.url) as manager:
            asyncio.run(call_all(guarded(manager), range(CHECKED), CROWD))
        keys = server.command("KEYS", f"{NAMESPACE}:{{*}}:*")
        assert isinstance(keys, list)
    written = set(map(str, keys))
    expected = {f"{NAMESPACE}:{{{tag_of(key)}}}:{key}" for key in map(key_of, range(CHECKED))}
    assert expected <= written, "the store places keys otherwise than this module"


def check_slots() -> None:
    """Asks a node of a cluster for the slot of every tag."""
    with RedisServer(cluster=True) as server, server.connect() as connection:
        for number in range(TAGS):
            tag = f"{number:03x}"
            assert connection.command("CLUSTER", "KEYSLOT", f"{NAMESPACE}:{{{tag}}}:key") == slot_of(tag)
