"""What happens while a request is being carried out: others arrive, clients leave, workers are killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest

from idempotency_manager import AsyncIdempotencyManager, IdempotencyManager
from tests.http import apps_asgi
from tests.http.conftest import Site
from tests.http.desk import Desk
from tests.http.serving import gunicorn_serving, uvicorn_serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def slow(site: Site) -> Site:
    site.desk.expect(site.case)
    return site


def test_a_second_request_at_the_same_time_is_told_to_come_back(slow: Site) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(slow.ask, "POST", "/slow")
        slow.desk.wait_for(slow.case)
        second = slow.ask("POST", "/slow")
        other = slow.ask("POST", "/slow", content=b"other")
        slow.desk.let_go(slow.case)
        assert first.result().status_code == 201
    assert (second.status_code, second.json()["code"], second.headers["retry-after"]) == (409, "in-progress", "7")
    assert (other.status_code, other.json()["code"]) == (422, "key-reused")
    again = slow.ask("POST", "/slow")
    assert (again.status_code, again.content, slow.runs) == (201, first.result().content, 1)
    assert again.headers["idempotent-replayed"] == "true"


def test_a_client_that_leaves_finds_the_answer_when_it_comes_back(slow: Site) -> None:
    with pytest.raises(httpx.ReadTimeout):
        slow.ask("POST", "/slow", timeout=0.2)
    slow.desk.wait_for(slow.case)
    slow.desk.let_go(slow.case)
    answer = slow.ask("POST", "/slow")
    while answer.status_code == 409:  # until the application is through
        assert answer.json()["code"] == "in-progress"
        time.sleep(0.01)
        answer = slow.ask("POST", "/slow")
    assert (answer.status_code, answer.json(), slow.runs) == (201, {"run": 1}, 1)
    assert answer.headers["idempotent-replayed"] == "true"


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Site]:
    """A site where a second request waits for the first."""
    desk = Desk(tmp_path)
    app = apps_asgi.starlette(desk, manager=AsyncIdempotencyManager(), on_concurrent="wait")
    with uvicorn_serving(app) as url, httpx.Client(base_url=url, timeout=20) as client:
        yield Site(client, desk, uuid4().hex)


def test_a_second_request_waits_for_the_first_where_that_is_asked_for(waiting: Site) -> None:
    waiting.desk.expect(waiting.case)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(waiting.ask, "POST", "/slow")
        waiting.desk.wait_for(waiting.case)
        others = [pool.submit(waiting.ask, "POST", "/slow") for _ in range(3)]
        assert waiting.ask("POST", "/cards", '"k2"').status_code == 201  # the event loop is free
        assert not any(other.done() for other in others)
        waiting.desk.let_go(waiting.case)
        assert [other.result().content for other in others] == [first.result().content] * 3
    assert waiting.runs == 2  # the slow one, and that which went past it


def test_many_requests_at_once_are_carried_out_once(site: Site) -> None:
    start = threading.Barrier(8)

    def ask() -> httpx.Response:
        start.wait()
        return site.ask("POST", "/cards", content=b"{}")

    with ThreadPoolExecutor(8) as pool:
        answers = [one.result() for one in [pool.submit(ask) for _ in range(8)]]
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert sum(answer.status_code == 201 and "idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert site.runs == 1


@pytest.mark.parametrize("framework", ["flask", "django"])
def test_a_killed_worker_leaves_its_request_in_doubt_and_no_retry_runs_it_again(tmp_path: Path, framework: str) -> None:
    desk, case, store = Desk(tmp_path), "killed", f"sqlite:///{tmp_path}/answers.db"
    desk.expect(case)
    serving = gunicorn_serving(framework, tmp_path, store, "--worker-class", "sync")
    with serving as url, httpx.Client(base_url=url, timeout=20) as client, ThreadPoolExecutor() as pool:
        site = Site(client, desk, case)
        broken = pool.submit(_outcome, site)
        desk.wait_for(case)
        os.kill(desk.workers(case)[0], signal.SIGKILL)
        assert isinstance(broken.result(), httpx.TransportError)
        retry = site.ask("POST", "/slow")
        assert (retry.status_code, retry.json()["code"]) == (409, "in-doubt")
        assert "retry-after" not in retry.headers  # asking again changes nothing: a person or a reconciler must
        with IdempotencyManager(store) as manager:
            (record,) = manager.get_in_doubt()
            assert (record.signal_id, record.action_type) == (case, "POST /slow")
            manager.resolve_in_doubt(record.key, not_executed=True)
        with pool:
            last = pool.submit(site.ask, "POST", "/slow")
            desk.wait_for(case)
            desk.let_go(case)
            assert (last.result().status_code, site.runs) == (201, 2)


def _outcome(site: Site) -> Any:
    try:
        return site.ask("POST", "/slow")
    except httpx.TransportError as error:
        return error
