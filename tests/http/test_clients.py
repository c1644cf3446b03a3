"""Clients that send the key of the action that is being executed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import requests

from idempotency_manager import ConfigurationError, IdempotencyManager, InDoubtError, current_execution
from idempotency_manager.clients.httpx import AsyncIdempotencyTransport, IdempotencyTransport
from idempotency_manager.clients.requests import IdempotencyAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.http.conftest import Site


def action(site: Site) -> dict[str, str]:
    return {"signal_id": site.case, "action": "charge", "target": "bank"}


on_one = pytest.mark.parametrize("site", ["uvicorn-starlette"], indirect=True)


@contextmanager
def by_httpx(site: Site, **options: Any) -> Iterator[Callable[..., Any]]:
    with httpx.Client(transport=IdempotencyTransport(**options), base_url=site.client.base_url) as client:
        yield lambda method="POST", **headers: client.request(
            method, "/cards", headers={"x-case": site.case, **headers}, content=b"{}"
        )


@contextmanager
def by_requests(site: Site, **options: Any) -> Iterator[Callable[..., Any]]:
    with requests.Session() as session:
        session.mount("http://", IdempotencyAdapter(**options))
        yield lambda method="POST", **headers: session.request(
            method, f"{site.client.base_url}/cards", headers={"x-case": site.case, **headers}, data=b"{}", timeout=20
        )


@contextmanager
def by_async_httpx(site: Site, **options: Any) -> Iterator[Callable[..., Any]]:
    def ask(method: str = "POST", **headers: str) -> Any:
        async def send() -> Any:
            transport = AsyncIdempotencyTransport(**options)
            async with httpx.AsyncClient(transport=transport, base_url=site.client.base_url) as client:
                return await client.request(method, "/cards", headers={"x-case": site.case, **headers}, content=b"{}")

        return asyncio.run(send())

    yield ask


clients = pytest.mark.parametrize("client", [by_httpx, by_requests, by_async_httpx])


@on_one
@clients
def test_every_request_of_an_execution_has_its_uuid_as_the_key(site: Site, client: Any, manager: Any) -> None:
    def charge() -> list[Any]:
        execution = current_execution()
        assert execution is not None
        with client(site) as ask:
            answers = [ask(), ask()]  # the second as if the first had been lost on its way back
        sent = {answer.request.headers["idempotency-key"] for answer in answers}
        assert sent == {f'"{execution.uuid}"'}
        return [answer.headers.get("idempotent-replayed") for answer in answers]

    assert manager.execute(action(site), charge) == [None, "true"]
    assert site.runs == 1


@on_one
@clients
def test_an_action_in_doubt_that_runs_again_reaches_the_other_side_once(site: Site, client: Any) -> None:
    def charge() -> Any:
        with client(site) as ask:
            answer = ask().json()
        if site.runs and not done:
            done.append(answer)
            raise TimeoutError("the answer was lost")
        return answer

    done: list[Any] = []
    with IdempotencyManager() as manager:
        with pytest.raises(TimeoutError):
            manager.execute(action(site), charge)
        with pytest.raises(InDoubtError):
            manager.execute(action(site), charge)
        assert manager.execute(action(site), charge, on_in_doubt="retry") == done[0] == {"run": 1, "size": 2}
    assert site.runs == 1


@on_one
@clients
def test_there_is_no_key_outside_of_an_execution_nor_over_the_callers_own(
    site: Site, client: Any, manager: Any
) -> None:
    def send() -> None:
        with client(site) as ask:
            assert ask(**{"Idempotency-Key": '"mine"'}).request.headers["idempotency-key"] == '"mine"'
            assert "idempotency-key" not in ask("PUT").request.headers

    with client(site) as ask:
        assert "idempotency-key" not in ask().request.headers
    manager.execute(action(site), send)


@on_one
@clients
def test_options_of_a_client(site: Site, client: Any, manager: Any) -> None:
    def send() -> None:
        execution = current_execution()
        assert execution is not None
        with client(site, quoted=False, methods=["PUT"]) as ask:
            assert ask("PUT").request.headers["idempotency-key"] == execution.uuid
            assert "idempotency-key" not in ask().request.headers
        with client(site, key=lambda execution, request: f"{execution.uuid} {request.method}") as ask:
            assert ask().request.headers["idempotency-key"] == f'"{execution.uuid} POST"'

    manager.execute(action(site), send)


@pytest.mark.parametrize("client", [IdempotencyTransport, AsyncIdempotencyTransport, IdempotencyAdapter])
@pytest.mark.parametrize("options", [{"methods": "POST"}, {"key": "k"}], ids=lambda options: next(iter(options)))
def test_an_option_that_can_t_be_is_named(client: Any, options: Any) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        client(**options)


def test_nothing_else_in_the_package_imports_a_client_or_the_middleware() -> None:
    code = "import sys, idempotency_manager; print([n for n in sys.modules if n.split('.')[-1] in "
    code += "('httpx', 'requests', 'middleware', 'asgi', 'clients', 'asyncio', 'json')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
