"""A request, a response, and which function answers which path."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from examples.ledger_service.ledger import Ledger

FATAL_HEADER = "X-Kills-The-Client"
_INVOICE = re.compile(r"INV-\d+")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, its path already decoded and split from its query."""

    method: str
    path: str
    query: dict[str, str]
    content_type: str
    body: bytes

    @classmethod
    def of(cls, method: str, target: str, content_type: str, body: bytes) -> "Request":
        """Read a request from the parts that the server hands over."""
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        return cls(method, unquote(parts.path), query, content_type, body)

    @property
    def subject(self) -> str:
        """The invoice that this request is about, or "" when it names none (reading a whole board)."""
        found = _INVOICE.search(f"{self.path} {self.query} {self.body.decode(errors='replace')}")
        return found.group() if found else ""

    def form(self) -> dict[str, Any]:
        """Return the fields of a form, or of a JSON object."""
        if self.content_type.startswith("application/json"):
            fields: dict[str, Any] = json.loads(self.body)
            return fields
        return {name: values[-1] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True, slots=True)
class Response:
    """What an endpoint answers: always JSON; a fatal one carries `FATAL_HEADER`."""

    document: Any
    status: HTTPStatus = HTTPStatus.OK
    fatal: bool = False


Endpoint = Callable[[Ledger, Request, re.Match[str]], Response]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: its name in a plan of faults, and the requests that it answers."""

    name: str
    method: str
    path: re.Pattern[str]
    endpoint: Endpoint


def route(name: str, method: str, path: str, endpoint: Endpoint) -> Route:
    """Make a route; `path` is a regular expression that must match the whole decoded path."""
    return Route(name, method, re.compile(path), endpoint)


def find_route(routes: tuple[Route, ...], request: Request) -> tuple[Route, re.Match[str]] | None:
    """Return the route that answers this request, with the match of its path, or None."""
    for candidate in routes:
        match = candidate.path.fullmatch(request.path)
        if match and candidate.method == request.method:
            return candidate, match
    return None
