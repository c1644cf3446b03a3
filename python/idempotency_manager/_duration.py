"""Durations as people write them: a `timedelta`, a number of seconds, or text with a unit."""

from __future__ import annotations

from datetime import timedelta

from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

Duration: TypeAlias = timedelta | float | str
"""A `timedelta`, a number of seconds, or text with units: `"250ms"`, `"30s"`, `"15m"`, `"1h30m"`, `"7d"`."""

# Largest first: a text names each unit once and in this order ("1h30m").
_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_REMEDY = 'write a timedelta, a number of seconds, or text with a unit: "250ms", "30s", "15m", "24h", "7d"'
_MICROSECOND = timedelta(microseconds=1)

_NEGATIVE = "a duration can't be negative"
_TOO_LONG = "longer than 36500d (100 years)"

LONGEST = timedelta(days=36_500)
"""No duration is longer: what is added to a time must stay a date that `datetime` can hold."""


def to_timedelta(value: Duration, field: str, *, positive: bool = False) -> timedelta:
    """Read a duration.

    Args:
        value: A `timedelta`, a number of seconds, or text with a unit.
        field: The setting's name, for the error.
        positive: Whether zero is refused too.

    Returns:
        The duration, to the microsecond.

    Raises:
        ConfigurationError: It is no duration, is negative, zero where that is refused, or longer than 100 years.
    """
    try:
        return parse_duration(value, positive=positive)
    except ValueError as problem:
        raise refusal(field, value, str(problem), _REMEDY) from None


def to_microseconds(value: Duration, field: str, *, positive: bool = False) -> int:
    """Read a duration as whole microseconds; otherwise as `to_timedelta`."""
    return to_timedelta(value, field, positive=positive) // _MICROSECOND


def parse_duration(value: object, *, positive: bool = False) -> timedelta:
    """Read a duration, for a caller that words the error.

    Raises:
        ValueError: What is wrong with it, in a few words.
    """
    duration = _read(value)
    problem = ""
    if duration < timedelta(0):
        problem = _NEGATIVE
    elif positive and not duration:
        problem = "must be at least a microsecond"
    elif duration > LONGEST:
        problem = _TOO_LONG
    if problem:
        raise ValueError(problem)
    return duration


def refusal(field: str, value: object, problem: str, remedy: str) -> ConfigurationError:
    """Word the error for a setting that can't be: what it is, what is wrong, what to write."""
    shown = repr(value)
    cut = shown if len(shown) <= 80 else shown[:77] + "…"  # noqa: PLR2004 - fit for one line
    return ConfigurationError(f"{field}={cut}: {problem}; {remedy}")


def _read(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return _read_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"{type(value).__name__} is no duration"
        raise ValueError(message)  # noqa: TRY004 - the caller turns it into ConfigurationError, a ValueError
    if value != value:  # noqa: PLR0124 - NaN is the number that differs from itself
        message = "not a number"
        raise ValueError(message)
    try:
        return timedelta(seconds=value)
    except OverflowError:
        raise ValueError(_NEGATIVE if value < 0 else _TOO_LONG) from None


def _read_text(text: str) -> timedelta:
    compact = text.strip()
    if compact.startswith("-"):
        raise ValueError(_NEGATIVE)
    total = timedelta(0)
    allowed = list(_UNITS)
    while compact:
        number, unit, compact = _split_part(compact)
        if unit not in allowed:
            message = "a unit is missing" if not unit else f"{unit!r} is no unit, or stands out of order"
            raise ValueError(message)
        allowed = allowed[allowed.index(unit) + 1 :]
        try:
            total += number * _UNITS[unit]
        except OverflowError:
            raise ValueError(_TOO_LONG) from None
    if len(allowed) == len(_UNITS):
        message = "the text is empty"
        raise ValueError(message)
    return total


def _split_part(text: str) -> tuple[float, str, str]:
    """Split "1.5h30m" into 1.5, "h" and "30m"."""
    rest = text.lstrip("0123456789.")
    digits = text[: len(text) - len(rest)]
    if not digits or digits.count(".") > 1 or digits == ".":
        message = "no number where one should be"
        raise ValueError(message)
    rest = rest.lstrip()
    tail = rest.lstrip("abcdefghijklmnopqrstuvwxyzµABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return float(digits), rest[: len(rest) - len(tail)], tail.lstrip()
