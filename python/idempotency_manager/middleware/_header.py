"""The `Idempotency-Key` header's value: a String of RFC 9651 (and RFC 8941), as the IETF's draft asks."""

from __future__ import annotations

import re

_STRING = r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"'
_BARE_ITEM = "|".join(  # noqa: FLY002 - one line for each kind
    (
        r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"',  # a String
        r"-?[0-9]{1,12}\.[0-9]{1,3}",  # a Decimal
        r"@?-?[0-9]{1,15}",  # an Integer or a Date
        r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*",  # a Token
        r":[A-Za-z0-9+/=]*:",  # a Byte Sequence
        r"\?[01]",  # a Boolean
        r'%"(?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*"',  # a Display String
    )
)
_PARAMETERS = rf"(?:; *[a-z*][a-z0-9_\-.*]*(?:=(?:{_BARE_ITEM}))?)*"
PLAIN = re.compile(rb'"([\x20\x21\x23-\x5b\x5d-\x7e]+)"').fullmatch
"""Matches what nearly everybody sends: a String without escapes and parameters. The group is the key."""
_ITEM = re.compile(rf" *{_STRING}{_PARAMETERS} *").fullmatch
_UNQUOTED = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x7e]+").fullmatch
_ESCAPED = re.compile(r'\\(["\\])')


def parse_key(raw: bytes, *, unquoted: bool, longest: int) -> str:
    """Read a key from the header's value.

    Args:
        raw: The value, as it came.
        unquoted: Whether a key without quotation marks is taken too, as it stands.
        longest: How many characters a key may have.

    Raises:
        ValueError: What is wrong with it, as a sentence for whoever sent it.
    """
    key = _parse_item(raw, unquoted=unquoted, longest=longest)
    if len(key) > longest:
        raise ValueError(f"The key has {len(key)} characters; at most {longest} are taken.")
    return key


def _parse_item(raw: bytes, *, unquoted: bool, longest: int) -> str:
    text = raw.decode("latin-1")
    if len(text) > 8 * longest:  # of escapes, parameters and spaces; no expression needs to see more
        raise ValueError(f"The value has {len(text)} characters; a key may have {longest}.")
    match = _ITEM(text)
    if match is None and unquoted:
        if bare := _UNQUOTED(text.strip(" \t")):
            return bare[0]
        raise ValueError(
            "The value is neither a quoted String of RFC 9651 nor one word of visible ASCII without quotation marks, "
            "commas and semicolons."
        )
    if match is None:
        raise ValueError(
            "The value is no String of RFC 9651: visible ASCII and spaces between quotation marks, such as "
            'Idempotency-Key: "8e03978e-40d5-43e8-bc93-6894a57f9324", and only one of them.'
        )
    if not match[1]:
        raise ValueError("The key is empty.")
    return _ESCAPED.sub(r"\1", match[1])


def quoted_key(key: str) -> str:
    """Write a key as the header's value.

    Raises:
        ValueError: A String of RFC 9651 can't hold it.
    """
    if not key or not (key.isascii() and key.isprintable()):
        raise ValueError(f"{key!r} can't be sent: an Idempotency-Key is one or more visible ASCII characters or spaces")
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
