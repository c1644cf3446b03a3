"""A request as any framework gives it: its headers, whatever their type and case, and its body, parsed or not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias
from urllib.parse import parse_qs

from idempotency_manager.exceptions import ConfigurationError, InvalidDeliveryError


class HasItems(Protocol):
    """Headers that are no `Mapping`, such as those of `http.server` or Werkzeug."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Give names and values, a name once for each line that has it."""


Headers: TypeAlias = Mapping[str, str] | HasItems | Iterable[tuple[str | bytes, str | bytes]]
"""Names and values, in whatever case: the headers object of a framework, a dict, or the pairs of an ASGI scope."""

Body: TypeAlias = bytes | bytearray | memoryview | str | Mapping[str, Any]
"""The body as it arrived, or the mapping that it was parsed to."""

_FORM = "application/x-www-form-urlencoded"
_LONGEST_NUMBER = 18  # digits; a longer one counts nothing that anybody sent


class Request:
    """One request, and whose webhook it is to be."""

    def __init__(self, vendor: str, headers: Headers, body: Body) -> None:
        self.vendor = vendor
        self._headers = _by_name(headers)
        self._body = body

    def refuse(self, field: str, problem: str) -> InvalidDeliveryError:
        """Word the error for a header or a field."""
        return InvalidDeliveryError(self.vendor, field, problem)

    def header(self, name: str) -> str | None:
        """Look a header up; None if it is missing or empty."""
        values = self._headers.get(name.lower(), ())
        if len(values) > 1:
            raise self.refuse(name, f"is there {len(values)} times, with different values: let one proxy set it, once")
        return next(iter(values), None)

    def needed_header(self, name: str, remedy: str) -> str:
        """Look a header up that must be there."""
        value = self.header(name)
        if value is None:
            raise self.refuse(name, f"is missing: {remedy}")
        return self._unicode(name, value)

    def number(self, name: str, value: str) -> int:
        """Read a header that counts."""
        if not (value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER):
            raise self.refuse(name, "is no whole number: what sent it is no such webhook")
        return int(value)

    def raw_body(self) -> bytes:
        """Give the bytes that were signed.

        Raises:
            ConfigurationError: The body was parsed before it came here.
        """
        if isinstance(self._body, Mapping):
            raise ConfigurationError(
                f"body={type(self._body).__name__}: the signature of a {self.vendor} webhook is that of the bytes that "
                "arrived, and no parsed body gives them back; give the raw body of the request"
            )
        return self._body.encode(errors="replace") if isinstance(self._body, str) else bytes(self._body)

    def payload(self) -> Mapping[str, Any]:
        """Parse the body, which is a JSON object, or a form whose `payload` is one."""
        if isinstance(self._body, Mapping):
            return self._body
        raw = self.raw_body()
        if (self.header("Content-Type") or "").partition(";")[0].strip().lower() == _FORM:
            raw = _payload_of_form(raw)
        try:
            payload = json.loads(raw)
        except (ValueError, RecursionError):  # the text of either error would show some of the body
            raise self.refuse("the body", _no_json(raw)) from None
        if not isinstance(payload, dict):
            raise self.refuse("the body", f"is a JSON {type(payload).__name__} and no object: give it as it arrived")
        return payload

    def text(self, payload: Mapping[str, Any], path: str, remedy: str) -> str:
        """Look a text up that must be in the payload, by names joined with dots."""
        value: Any = payload
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is None or value == "":
            raise self.refuse(path, f"is missing: {remedy}")
        if not isinstance(value, str):
            raise self.refuse(path, f"is {type(value).__name__} and no text: {remedy}")
        return self._unicode(path, value)

    def _unicode(self, field: str, text: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise self.refuse(field, "holds a lone surrogate, which is no Unicode text: no vendor sends it") from None
        return text


def _by_name(headers: Headers) -> dict[str, set[str]]:
    pairs = headers if not hasattr(headers, "items") else headers.items()
    found: dict[str, set[str]] = {}
    for name, value in pairs:
        for one in value if isinstance(value, list | tuple) else [value]:  # so some gateways give what may come twice
            if text := _text(one).strip():
                found.setdefault(_text(name).strip().lower(), set()).add(text)
    return found


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _payload_of_form(raw: bytes) -> bytes:
    values = parse_qs(raw.decode("utf-8", "replace")).get("payload", [""])
    return values[0].encode()


def _no_json(raw: bytes) -> str:
    if not raw.strip():
        return "is empty: give it as it arrived, and answer HEAD and GET, which have none, before"
    return "is no JSON: give it as it arrived, undecoded and unparsed"
