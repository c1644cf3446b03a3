"""The loopback service of the demonstration: it keeps count of what happened, and fails exactly as planned."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import quote, urlsplit

import pytest

from examples.ledger_service import Effect, Fault, LedgerService, Plan
from examples.ledger_service.routing import FATAL_HEADER
from examples.ledger_service.webhooks import UndeliverableError, deliver

CARD = {"idList": "overdue", "name": "Call Aurora", "desc": "Invoice INV-001: 120.00 EUR"}
JSON = {"Content-Type": "application/json"}


@contextmanager
def failing(*faults: Fault, endpoint: str = "trello.create", subject: str = "INV-001") -> Iterator[LedgerService]:
    with LedgerService(Plan({(endpoint, subject): faults})) as service:
        yield service


def call(
    service: LedgerService, method: str, path: str, body: str | None = None, timeout: float = 10
) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=timeout)
    with closing(connection):
        connection.request(method, path, body, JSON)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def create_card(service: LedgerService, timeout: float = 10) -> int:
    return call(service, "POST", "/1/cards", json.dumps(CARD), timeout)[0]


def test_a_request_without_a_planned_fault_is_served() -> None:
    with LedgerService() as service:
        assert create_card(service) == http.HTTPStatus.OK
        assert service.ledger.count(Effect.CARD, "INV-001") == 1


def test_an_unavailable_service_answers_503_and_does_nothing() -> None:
    with failing(Fault.UNAVAILABLE) as service:
        assert create_card(service) == http.HTTPStatus.SERVICE_UNAVAILABLE
        assert service.ledger.count(Effect.CARD, "INV-001") == 0


def test_a_connection_dropped_before_the_work_leaves_nothing() -> None:
    with failing(Fault.DROPPED_BEFORE) as service:
        with pytest.raises(http.client.RemoteDisconnected):
            create_card(service)
        assert service.ledger.count(Effect.CARD, "INV-001") == 0


def test_a_connection_dropped_after_the_work_leaves_the_card() -> None:
    with failing(Fault.DROPPED_AFTER) as service:
        with pytest.raises(http.client.RemoteDisconnected):
            create_card(service)
        assert service.ledger.count(Effect.CARD, "INV-001") == 1


def test_a_late_answer_outlasts_the_client_and_leaves_the_card() -> None:
    with failing(Fault.LATE) as service:
        with pytest.raises(TimeoutError):
            create_card(service, timeout=1)
        assert service.ledger.count(Effect.CARD, "INV-001") == 1


def test_a_fatal_answer_says_so_and_leaves_the_card() -> None:
    with failing(Fault.FATAL) as service, closing(http.client.HTTPConnection(urlsplit(service.url).netloc)) as client:
        for is_fatal in (True, False):
            client.request("POST", "/1/cards", json.dumps(CARD), JSON)
            response = client.getresponse()
            response.read()
            assert (FATAL_HEADER in response.headers) is is_fatal
        assert service.ledger.count(Effect.CARD, "INV-001") == 2


def test_faults_come_in_their_order_and_then_end() -> None:
    with failing(Fault.UNAVAILABLE, Fault.DROPPED_AFTER) as service:
        assert create_card(service) == http.HTTPStatus.SERVICE_UNAVAILABLE
        with pytest.raises(http.client.RemoteDisconnected):
            create_card(service)
        assert create_card(service) == http.HTTPStatus.OK
        assert service.ledger.count(Effect.CARD, "INV-001") == 2


def test_a_fault_meets_only_its_own_invoice() -> None:
    with failing(Fault.UNAVAILABLE, subject="INV-002") as service:
        assert create_card(service) == http.HTTPStatus.OK
        assert service.plan.unused() == [("trello.create", "INV-002")]


def test_a_search_of_the_drive_that_is_not_understood_is_refused() -> None:
    with LedgerService() as service:
        status, _ = call(service, "GET", f"/drive/v3/files?q={quote('name contains x')}")
        assert status == http.HTTPStatus.BAD_REQUEST


def test_a_message_shows_its_metadata_only_when_asked() -> None:
    metadata = {"event_type": "overdue", "event_payload": {"invoice": "INV-001"}}
    message = {"channel": "C0", "text": "INV-001 is overdue", "metadata": metadata}
    with LedgerService() as service:
        call(service, "POST", "/api/chat.postMessage", json.dumps(message))
        _, bare = call(service, "GET", "/api/conversations.history?channel=C0")
        _, full = call(service, "GET", "/api/conversations.history?channel=C0&include_all_metadata=1")
    assert [set(each) for each in bare["messages"]] == [{"type", "text", "ts"}]  # type: ignore[attr-defined] # JSON
    assert [each["metadata"] for each in full["messages"]] == [metadata]  # type: ignore[attr-defined] # JSON


def test_the_history_of_a_channel_leaves_out_what_is_older_than_asked() -> None:
    message = json.dumps({"channel": "C0", "text": "INV-001 is overdue"})
    with LedgerService() as service:
        call(service, "POST", "/api/chat.postMessage", message)
        now = time.time()
        _, before = call(service, "GET", f"/api/conversations.history?channel=C0&oldest={now - 60}")
        _, after = call(service, "GET", f"/api/conversations.history?channel=C0&oldest={now + 60}")
    assert [each["text"] for each in before["messages"]] == ["INV-001 is overdue"]  # type: ignore[attr-defined] # JSON
    assert after["messages"] == []


def test_an_appended_row_is_read_back_under_the_range_that_it_got() -> None:
    row = ["INV-001", "Aurora Ltd", "120.00", "2026-10-01"]
    values = f"/v4/spreadsheets/receivables/values/{quote('Overdue!A:D')}"
    with LedgerService() as service:
        _, appended = call(service, "POST", f"{values}:append?valueInputOption=RAW", json.dumps({"values": [row]}))
        _, read = call(service, "GET", values)
    assert appended["updates"] == {"updatedRange": "Overdue!A1:D1", "updatedRows": 1}
    assert read["values"] == [row]


def test_effects_at_the_same_moment_are_all_counted_and_numbered_apart() -> None:
    with LedgerService() as service:
        callers = [threading.Thread(target=create_card, args=(service,)) for _ in range(16)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        numbers = [entry.number for entry in service.ledger.of(Effect.CARD)]
    assert numbers == list(range(1, 17))


def test_a_webhook_is_delivered_again_until_it_is_acknowledged() -> None:
    # The service itself is the receiver: what matters is only that it refuses twice.
    with failing(Fault.UNAVAILABLE, Fault.DROPPED_BEFORE) as service:
        assert deliver(CARD, f"{service.url}/1/cards") == 3
        assert service.ledger.count(Effect.CARD, "INV-001") == 1


def test_a_webhook_that_nobody_acknowledges_is_an_error() -> None:
    with LedgerService() as service, pytest.raises(UndeliverableError, match="not acknowledged"):
        deliver(CARD, f"{service.url}/nowhere")
