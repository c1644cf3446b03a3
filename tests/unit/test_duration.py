"""Durations: what may be written, and how what may not is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idempotency_manager._duration import LONGEST, Duration, to_microseconds, to_timedelta
from idempotency_manager.exceptions import ConfigurationError


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30),
        ("15m", 900),
        ("24h", 86_400),
        ("7d", 604_800),
        ("1.5h", 5_400),
        (".5s", 0.5),
        ("1h30m", 5_400),
        ("1d 2h 3m 4s 5ms", 93_784.005),
        (" 30s ", 30),
        ("30 s", 30),
        ("0s", 0),
        (30, 30),
        (0.25, 0.25),
        (0, 0),
        (timedelta(minutes=1), 60),
        (LONGEST, LONGEST.total_seconds()),
    ],
)
def test_a_duration_is_read(written: Duration, seconds: float) -> None:
    assert to_timedelta(written, "ttl") == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written",
    [
        "30",
        "1.5",
        "",
        "  ",
        "s",
        "soon",
        "5 minutes",
        "1.2.3s",
        ".s",
        "5S",
        "1e3s",
        "1_000s",
        "٣s",
        "²s",
        "5m1h",
        "1h1h",
        "1h30",
        "-5s",
        "+5s",
        "5s!",
        "nan",
        "infs",
        "9" * 400 + "d",
        "40000d",
        -1,
        -0.001,
        float("nan"),
        float("inf"),
        float("-inf"),
        1e300,
        10**400,
        True,
        False,
        None,
        b"30s",
        [30],
        1j,
        timedelta(seconds=-1),
        timedelta.max,
        timedelta.min,
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_duration_is_refused_by_name_value_and_remedy(written: Duration) -> None:
    with pytest.raises(ConfigurationError) as caught:
        to_timedelta(written, "wait_timeout")
    text = str(caught.value)
    assert text.startswith(f"wait_timeout={repr(written)[:60]}")
    assert '"30s"' in text
    assert len(text) < 300


def test_a_text_without_a_unit_is_told_so() -> None:
    with pytest.raises(ConfigurationError, match=r"lease='30': a unit is missing; write a timedelta, a number of sec"):
        to_timedelta("30", "lease")


@pytest.mark.parametrize("written", [0, 0.0, "0s", timedelta(0), 1e-9])
def test_nothing_is_refused_where_a_duration_must_be_positive(written: Duration) -> None:
    assert to_timedelta(written, "ttl") == timedelta(0)
    with pytest.raises(ConfigurationError, match="ttl="):
        to_timedelta(written, "ttl", positive=True)


def test_microseconds_are_whole() -> None:
    assert to_microseconds("1.5ms", "ttl") == 1_500
    assert to_microseconds(0.000_001, "ttl", positive=True) == 1
    assert to_microseconds(LONGEST, "ttl") == 36_500 * 86_400 * 1_000_000


@given(st.timedeltas(min_value=timedelta(0), max_value=LONGEST))
def test_a_timedelta_written_as_text_is_read_back(duration: timedelta) -> None:
    whole, micros = divmod(duration, timedelta(milliseconds=1))
    text = f"{whole // 86_400_000}d{whole % 86_400_000}ms"
    assert to_timedelta(text, "ttl") == duration - micros


@given(st.text(alphabet="0123456789.dhms -", max_size=12) | st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        duration = to_timedelta(text, "ttl")
    except ConfigurationError:
        return
    assert timedelta(0) <= duration <= LONGEST
