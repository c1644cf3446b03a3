"""Where two values stop being the same to a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from idempotency_manager import canonicalize

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where two values differ: the canonical form on either side, None where that side has nothing."""

    path: str
    first: str | None
    second: str | None

    def fields(self) -> dict[str, str | None]:
        """Give it for JSON."""
        return {"path": self.path, "first": self.first, "second": self.second}


def differences(first: Any, second: Any, path: str = "params") -> Iterator[Difference]:
    """Find where the canonical forms of two values differ, as deep as both have the same shape.

    Raises:
        UnsupportedParamError: One has no canonical form.
    """
    before, after = canonicalize(first), canonicalize(second)
    if before == after:
        return
    if isinstance(first, dict) and isinstance(second, dict):
        yield from _of_objects(first, second, path)
    elif isinstance(first, list | tuple) and isinstance(second, list | tuple):
        yield from _of_arrays(first, second, path)
    else:
        yield Difference(path, before.decode(), after.decode())


def _of_objects(first: dict[Any, Any], second: dict[Any, Any], path: str) -> Iterator[Difference]:
    for name in {**first, **second}:
        place = f"{path}.{name}" if isinstance(name, str) and name.isidentifier() else f"{path}[{_shown(name)}]"
        if name in first and name in second:
            yield from differences(first[name], second[name], place)
        else:
            yield Difference(place, _side(first, name), _side(second, name))


def _of_arrays(first: Any, second: Any, path: str) -> Iterator[Difference]:
    for place in range(max(len(first), len(second))):
        where = f"{path}[{place}]"
        if place < len(first) and place < len(second):
            yield from differences(first[place], second[place], where)
        else:
            before = _shown(first[place]) if place < len(first) else None
            yield Difference(where, before, None if before is not None else _shown(second[place]))


def _side(members: dict[Any, Any], name: Any) -> str | None:
    return _shown(members[name]) if name in members else None


def _shown(value: Any) -> str:
    return canonicalize(value).decode()
