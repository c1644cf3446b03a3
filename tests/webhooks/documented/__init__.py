"""Deliveries as their vendors document them: see ORIGIN.txt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Documented:
    """Headers and a body."""

    headers: dict[str, str]
    body: bytes


def documented(name: str) -> Documented:
    """Read a delivery."""
    head, _, body = (FOLDER / f"{name}.http").read_bytes().partition(b"\n\n")
    headers = (line.partition(": ") for line in head.decode().splitlines())
    return Documented({name: value for name, _, value in headers}, body)
