"""Who may ask the page for what: one decision for each request, before anything else looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from secrets import compare_digest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",  # the token is in the URL
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""On every answer."""

_OWN = ("same-origin", "none")
"""What `Sec-Fetch-Site` says of a request of the page's own, or of a person who typed or opened the address."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as it matters here.

    Attributes:
        method: GET or POST.
        path: The path.
        headers: By their names in lower case.
        token: What the query says it is.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules of one server.

    Attributes:
        token: What only who started the server knows.
        port: Where it listens.
        allow_changes: Whether anything may be changed.
    """

    token: str
    port: int
    allow_changes: bool

    @property
    def cookie(self) -> str:
        """The name of the cookie that stands for the token: a browser has one jar for all ports of a host."""
        return f"idempotency_dashboard_{self.port}"

    @property
    def hosts(self) -> frozenset[str]:
        """The names that this server goes by."""
        return frozenset(f"{name}:{self.port}" for name in ("127.0.0.1", "localhost"))

    def refusal(self, asked: Asked) -> Refusal | None:
        """Decide on a request; None lets it pass."""
        return self._by_host(asked) or self._by_origin(asked) or self._by_token(asked) or self._by_change(asked)

    def _by_host(self, asked: Asked) -> Refusal | None:
        """Refuse other names: a page of another site can have its own name lead here (DNS rebinding)."""
        if asked.headers.get("host", "") in self.hosts:
            return None
        return Refusal(421, f"this server goes by 127.0.0.1:{self.port} and localhost:{self.port} only")

    def _by_origin(self, asked: Asked) -> Refusal | None:
        site, origin = asked.headers.get("sec-fetch-site", "none"), asked.headers.get("origin")
        if site not in _OWN or (origin is not None and origin != f"http://{asked.headers['host']}"):
            return Refusal(403, "a request of another origin; open the address by itself, in a tab of its own")
        return None

    def _by_token(self, asked: Asked) -> Refusal | None:
        given = [self._bearer(asked), self._of_cookie(asked), asked.token if asked.path == "/" else None]
        if any(self._is_token(one) for one in given):
            return None
        return Refusal(401, "open the address that `idempotency dashboard` printed, with its token")

    def _by_change(self, asked: Asked) -> Refusal | None:
        if asked.method in ("GET", "HEAD"):
            return None
        if not self.allow_changes:
            return Refusal(403, "this page is read-only: start it by `idempotency dashboard --allow-changes`")
        if asked.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return Refusal(415, "a change is asked for as application/json")
        # A browser sends a cookie for whoever asks, and an Origin with each change that it sends.
        if "origin" not in asked.headers and not self._is_token(self._bearer(asked)):
            return Refusal(403, "a change that comes with the cookie must name its Origin")
        return None

    def _is_token(self, given: str | None) -> bool:
        return given is not None and compare_digest(given.encode(), self.token.encode())

    @staticmethod
    def _bearer(asked: Asked) -> str | None:
        scheme, _, value = asked.headers.get("authorization", "").partition(" ")
        return value.strip() if scheme.lower() == "bearer" else None

    def _of_cookie(self, asked: Asked) -> str | None:
        try:
            found = SimpleCookie(asked.headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return None
        return None if found is None else found.value
