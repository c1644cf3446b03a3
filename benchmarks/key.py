"""Topic 1: making a key from params of three sizes."""

import hashlib
from collections.abc import Callable
from itertools import repeat
from typing import Any

import orjson

from idempotency_manager import generate_idempotency_key

from ._measure import Batch, Options, interleave, ready
from ._report import Row, Table, Target, timed
from .peers import THIS

SORTED_AND_HASHED = "orjson, hashlib.sha256"
BARE_HASH = "hashlib.sha256 alone"
HASH_LIMIT = Target(2.5)

SMALL: dict[str, Any] = {"board": "b_eng", "title": "Invoice 7", "note": ""}
MEDIUM: dict[str, Any] = {
    "board": "board_engineering",
    "title": "Invoice 4711 due",
    "labels": ["billing", "urgent"],
    "position": 3,
    "amount": 1299.5,
    "assignee": {"id": 8812, "name": "Ada Lovelace"},
    "notify": True,
    "parent": None,
    "due": "2026-11-30",
}
LARGE: dict[str, Any] = {
    "board": "board_engineering",
    "cards": [
        {"id": f"card_{number:06d}", "title": f"Invoice {number:06d} is overdue", "amount": number * 1.25, "open": True}
        for number in range(134)
    ],
}
CASES: tuple[tuple[str, int, dict[str, Any], float], ...] = (
    ("47 B", 47, SMALL, 0.4),
    ("207 B", 207, MEDIUM, 0.6),
    ("11 KB", 11_264, LARGE, 0.85),
)

CAPTION = (
    "One key from one dict of params. The reference is hashlib.sha256(orjson.dumps(params, "
    "OPT_SORT_KEYS)).hexdigest() and no more: this package also checks, escapes and joins the key's four parts, "
    "writes RFC 8785 (number formatting, UTF-16 order) and tells apart what JSON merges. The ratio is this "
    "package's time divided by the row's."
)


def run(options: Options) -> list[Table]:
    """Races the two ways, and the bare hash where a bound is set on it."""
    rows = [row for case in CASES for row in _case(*case, options)]
    return [Table("1  Key", CAPTION, ("ns per key", "fastest round"), "this package ÷ it", tuple(rows))]


def _case(label: str, size: int, params: dict[str, Any], limit: float, options: Options) -> list[Row]:
    canonical = orjson.dumps(params, option=orjson.OPT_SORT_KEYS)
    if abs(len(canonical) - size) > size // 100:
        message = f"the params of the {label} case have {len(canonical)} bytes"
        raise ValueError(message)
    contenders = [
        ready(THIS, _repeat(_this, params)),
        ready(SORTED_AND_HASHED, _repeat(_by_hand, params)),
        ready(BARE_HASH, _repeat(_hash, canonical)),
    ]
    samples = interleave(contenders, options)
    bounds = {THIS: None, SORTED_AND_HASHED: Target(limit), BARE_HASH: HASH_LIMIT if params is LARGE else None}
    return [timed(label, name, samples, THIS, bound) for name, bound in bounds.items()]


def _repeat(function: Callable[[Any], object], value: object) -> Batch:
    def batch(calls: int) -> None:
        for _ in repeat(None, calls):
            function(value)

    return batch


def _this(params: dict[str, Any]) -> str:
    key: str = generate_idempotency_key(signal_id="evt_4711", action="create_card", target="trello", params=params)
    return key


def _by_hand(params: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(params, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _hash(encoded: bytes) -> str:
    return hashlib.sha256(encoded).hexdigest()
