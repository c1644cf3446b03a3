"""What the vendors' clients send again inside one call, and that the examples' settings turn it off.

The first half documents the clients as they come. If one of those tests fails after an upgrade, the client has changed:
correct the docstring of examples/clients.py and examples/README.md.
"""

import http.client
from collections.abc import Iterator

import httplib2  # type: ignore[import-untyped] # ships no types
import httpx
import pytest
from googleapiclient.http import HttpRequest, MediaInMemoryUpload  # type: ignore[import-untyped] # ships no types

from examples.clients import google_service, send, send_once, slack_client, trello_client
from examples.ledger_service import Effect, Fault, LedgerService, Plan
from examples.scenario import WRITES

INVOICE = "INV-001"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[LedgerService]:
    """A service that does the work of the first request to each endpoint and loses its answer."""
    lost = {(name, INVOICE): [Fault.DROPPED_AFTER] for name in WRITES}
    with LedgerService(Plan(lost)) as service:
        monkeypatch.setenv("LEDGER_URL", service.url)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield service


def upload() -> HttpRequest:
    media = MediaInMemoryUpload(b"please pay", mimetype="text/plain")
    return google_service("drive", "v3").files().create(body={"name": INVOICE}, media_body=media)


def append() -> HttpRequest:
    values = google_service("sheets", "v4").spreadsheets().values()
    row = {"values": [[INVOICE]]}
    return values.append(spreadsheetId="S", range="Overdue!A:A", valueInputOption="RAW", body=row)


def test_slack_as_it_comes_posts_a_message_twice_in_one_call(service: LedgerService) -> None:
    slack_client().chat_postMessage(channel="C0", text=INVOICE)
    assert service.ledger.count(Effect.MESSAGE, INVOICE) == 2


def test_httplib2_as_it_comes_uploads_a_file_twice_in_one_call(service: LedgerService) -> None:
    send(upload())
    assert service.ledger.count(Effect.FILE, INVOICE) == 2


def test_httplib2_repeats_a_request_whatever_its_setting_says(
    service: LedgerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httplib2, "RETRIES", 1)
    send(append())
    assert service.ledger.count(Effect.ROW, INVOICE) == 2


def test_slack_without_retry_handlers_reports_the_lost_answer(service: LedgerService) -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        slack_client(retry_handlers=[]).chat_postMessage(channel="C0", text=INVOICE)
    assert service.ledger.requests("slack.post") == 1


def test_the_transport_that_sends_once_reports_the_lost_answer_of_an_upload(service: LedgerService) -> None:
    with pytest.raises(ConnectionResetError, match="may have been served"):
        send_once(upload())
    assert service.ledger.requests("drive.upload") == 1


def test_the_transport_that_sends_once_reports_the_lost_answer_of_an_append(service: LedgerService) -> None:
    with pytest.raises(ConnectionResetError, match="may have been served"):
        send_once(append())
    assert service.ledger.requests("sheets.append") == 1


def test_httpx_reports_the_lost_answer(service: LedgerService) -> None:
    with trello_client() as trello, pytest.raises(httpx.RemoteProtocolError):
        trello.post("/1/cards", json={"idList": "overdue", "name": INVOICE})
    assert service.ledger.requests("trello.create") == 1
