"""The servers that the tests of this folder ask, started once each."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import pytest

from idempotency_manager import AsyncIdempotencyManager
from tests.http import apps_asgi
from tests.http.desk import KEPT, TAKEN, Desk
from tests.http.serving import gunicorn_serving, uvicorn_serving

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONS = {
    "max_answer_size": KEPT,
    "max_body_size": TAKEN,
    "retry_after": "7s",
    "documentation": "https://developer.example.com/idempotency",
}
ASGI = ("starlette", "fastapi", "litestar", "django")
WSGI = ("flask", "django")
SERVERS = [*(f"uvicorn-{name}" for name in ASGI), *(f"gunicorn-{name}" for name in WSGI)]


@dataclass(frozen=True)
class Site:
    """A served application, as one test sees it."""

    client: httpx.Client
    desk: Desk
    case: str

    def ask(self, method: str, path: str, key: str | None = '"k"', **more: object) -> httpx.Response:
        """Send a request under the case's own keys."""
        given = more.pop("headers", {})
        headers = {"x-case": self.case, **(given if isinstance(given, dict) else {})}
        if key is not None:
            headers["idempotency-key"] = key.replace("k", self.case, 1)
        return self.client.request(method, path, headers=headers, **more)  # type: ignore[arg-type]

    @property
    def runs(self) -> int:
        """How often the case's action has been carried out."""
        return self.desk.runs(self.case)


@pytest.fixture(scope="session")
def clients_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[httpx.Client, Desk]]]:
    """A client of each server; all start at once, since most of the time they are being imported."""
    started: dict[str, tuple[httpx.Client, Desk]] = {}
    with ExitStack() as stack:
        desks = {name: Desk(tmp_path_factory.mktemp(name)) for name in SERVERS}
        for name in SERVERS[len(ASGI) :] + SERVERS[: len(ASGI)]:
            framework = name.partition("-")[2]
            if name.startswith("gunicorn"):
                arguments = ("--worker-class", "gthread", "--threads", "4")
                serving = gunicorn_serving(framework, desks[name].folder, "memory://", *arguments, **OPTIONS)
            else:
                app = getattr(apps_asgi, framework)(desks[name], manager=AsyncIdempotencyManager(), **OPTIONS)
                serving = uvicorn_serving(app)
            url = stack.enter_context(serving)
            client = stack.enter_context(httpx.Client(base_url=url, timeout=20))
            started[name] = (client, desks[name])
        yield started


@pytest.fixture(params=SERVERS)
def site(request: pytest.FixtureRequest, clients_of_the_session: dict[str, tuple[httpx.Client, Desk]]) -> Site:
    """One of the served applications."""
    client, desk = clients_of_the_session[request.param]
    client.cookies.clear()
    return Site(client, desk, uuid4().hex)
