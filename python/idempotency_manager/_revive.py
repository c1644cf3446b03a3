"""What the native half asks Python to make anew: a replayed exception, a record that was pickled, a key's UUID."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_NAMESPACE = "b6d8fc6c-6f9d-5d3f-9a3e-3d0a5f7a2c11"
"""The UUID namespace of keys: made up once, and the same for ever."""


def uuid_of_key(key: str) -> str:
    """Give the UUIDv5 (RFC 9562) of a key: the same on every retry, in every process."""
    from uuid import UUID, uuid5  # noqa: PLC0415 - only for those who ask

    return str(uuid5(UUID(_NAMESPACE), key))


def rebuild_exception(name: str, args: tuple[Any, ...], classes: tuple[type[Exception], ...]) -> Exception | None:
    """Make a recorded exception again.

    Args:
        name: `module.qualname` of its class.
        args: Its `args`.
        classes: `replay_errors`: its class is looked for among these and their subclasses, and nowhere else. A name
            found in a store never decides what is imported.

    Returns:
        The exception, or None where its class is not among them or can't be made of its `args`.
    """
    for cls in _with_subclasses(classes):
        if class_name(cls) == name:
            try:
                error = cls(*args)
            except Exception:  # noqa: BLE001 - a constructor may ask for anything; the record then speaks for it
                return None
            return error if error.args == args else None
    return None


def class_name(cls: type) -> str:
    """Name a class as the native half does: `PyType_GetFullyQualifiedName` leaves these two modules out."""
    return cls.__qualname__ if cls.__module__ in ("builtins", "__main__") else f"{cls.__module__}.{cls.__qualname__}"


def _with_subclasses(classes: tuple[type[Exception], ...]) -> Iterator[type[Exception]]:
    seen: set[type] = set()
    rest = list(classes)
    while rest:
        cls = rest.pop()
        if cls not in seen:
            seen.add(cls)
            yield cls
            rest.extend(cls.__subclasses__())


class RestoredRecord:
    """An `IdempotencyRecord` that was copied or pickled: the same attributes, as they were then."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        """Show neither result nor params: they may be secrets."""
        shown = ", ".join(f"{name}={self.__dict__[name]!r}" for name in ("key", "state", "attempt_count"))
        return f"IdempotencyRecord({shown})"


def restore_record(fields: dict[str, Any]) -> RestoredRecord:
    """Make a record of the attributes it was pickled with."""
    return RestoredRecord(fields)
