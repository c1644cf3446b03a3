"""The header's value, and the problem documents."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idempotency_manager.middleware._header import parse_key, quoted_key
from idempotency_manager.middleware._problems import REASONS, Code, Problem


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        (b'"8e03978e-40d5-43e8-bc93-6894a57f9324"', "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        (b'"a b"', "a b"),
        (b'  "a"  ', "a"),
        (rb'"a\"b"', 'a"b'),
        (rb'"a\\b"', "a\\b"),
        (b'"a";x', "a"),
        (b'"a"; x=1; y=2.5;z="q"', "a"),
        (b'"a";t=tok/en;b=:aGk=:;f=?0;d=@1659578233;s=%"f%c3%bc"', "a"),
        (b'"a;b,c"', "a;b,c"),
    ],
)
def test_a_string_of_rfc_9651_is_a_key(raw: bytes, key: str) -> None:
    assert parse_key(raw, unquoted=False, longest=255) == key


@pytest.mark.parametrize(
    "raw",
    [
        b"", b'"', b'""', b"a", b"12", b"?1", b":aGk=:", b'"a', b'a"', b'"a""b"', b'"a", "b"', b'"a" "b"', b'("a")',
        b'"a\\x"', b'"a\\"', b'"a\x00"', b'"a\n"', b'"a\x7f"', '"ä"'.encode(), b'"a";', b'"a";X=1', b'"a" ;x',
        b'"a";x=', b'"a";x=1.2345', b'"a";x=?2', b"'a'", b'%"a"',
    ],
)  # fmt: skip
@pytest.mark.parametrize("unquoted", [False, True])
def test_anything_else_is_none(raw: bytes, unquoted: bool) -> None:
    if unquoted and raw in (b"a", b"12", b"?1", b":aGk=:", b'("a")', b"'a'"):
        return _is_taken_as_it_stands(raw)
    with pytest.raises(ValueError, match=r"\.$"):  # a sentence, for the client
        parse_key(raw, unquoted=unquoted, longest=255)
    return None


def _is_taken_as_it_stands(raw: bytes) -> None:
    if b'"' in raw:
        with pytest.raises(ValueError, match="visible ASCII"):
            parse_key(raw, unquoted=True, longest=255)
    else:
        assert parse_key(raw, unquoted=True, longest=255) == raw.decode()


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=60))
def test_what_is_written_is_read(key: str) -> None:
    assert parse_key(quoted_key(key).encode(), unquoted=False, longest=60) == key


@pytest.mark.parametrize("key", ["", "ä", "a\nb", "\x00"])
def test_what_no_string_can_hold_is_refused_before_it_is_sent(key: str) -> None:
    with pytest.raises(ValueError, match="can't be sent"):
        quoted_key(key)


def test_a_key_has_its_longest_length_without_its_quotation_marks_and_escapes() -> None:
    assert parse_key(b'"' + rb"\"" * 9 + b'"', unquoted=False, longest=9) == '"' * 9
    for raw in (b'"' + b"a" * 10 + b'"', b'"' + rb"\"" * 10 + b'"', b'"' + b"a" * 10_000 + b'"'):
        with pytest.raises(ValueError, match="characters"):
            parse_key(raw, unquoted=False, longest=9)


@given(st.binary(max_size=300))
def test_no_value_is_more_than_malformed(raw: bytes) -> None:
    for unquoted in (False, True):
        try:
            assert parse_key(raw, unquoted=unquoted, longest=255).isascii()
        except ValueError as error:
            assert str(error)  # noqa: PT017 - either outcome is one


@pytest.mark.parametrize("code", Code)
def test_a_problem_says_what_it_is_in_the_terms_of_rfc_9457(code: Code) -> None:
    name, status, title = code.value
    plain = json.loads(Problem(code, "Do this.").body)
    assert plain == {
        "type": "about:blank",
        "title": REASONS[status],
        "status": status,
        "detail": f"{title}. Do this.",
        "code": name,
    }
    documented = json.loads(Problem(code, "Do this.", documentation="https://x/y", more=1).body)
    assert (documented["type"], documented["title"], documented["more"]) == (f"https://x/y#{name}", title, 1)
