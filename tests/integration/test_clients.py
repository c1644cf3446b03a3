"""What the vendors' clients send again inside one call, and that the examples' settings turn it off.

The first half documents the clients as they come. If one of those tests fails after an upgrade, the client has changed:
correct the docstring of examples/clients.py and examples/README.md.
"""

import http.client
from collections.abc import Iterator

import httplib2  # type: ignore[import-untyped] # ships no types
import httpx
import pytest
from googleapiclient.http import MediaInMemoryUpload  # type: ignore[import-untyped] # ships no types

from examples.clients import default_http, google_service, send_once_http, slack_client, trello_client
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


def upload(transport: httplib2.Http) -> None:
    media = MediaInMemoryUpload(b"please pay", mimetype="text/plain")
    google_service("drive", "v3").files().create(body={"name": INVOICE}, media_body=media).execute(http=transport)


def append(transport: httplib2.Http) -> None:
    values = google_service("sheets", "v4").spreadsheets().values()
    row = {"values": [[INVOICE]]}
    values.append(spreadsheetId="S", range="Overdue!A:A", valueInputOption="RAW", body=row).execute(http=transport)


def test_slack_as_it_comes_posts_a_message_twice_in_one_call(service: LedgerService) -> None:
    slack_client().chat_postMessage(channel="C0", text=INVOICE)
    assert service.ledger.count(Effect.MESSAGE, INVOICE) == 2


def test_httplib2_as_it_comes_uploads_a_file_twice_in_one_call(service: LedgerService) -> None:
    upload(default_http())
    assert service.ledger.count(Effect.FILE, INVOICE) == 2


def test_httplib2_repeats_a_request_whatever_its_setting_says(
    service: LedgerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httplib2, "RETRIES", 1)
    append(default_http())
    assert service.ledger.count(Effect.ROW, INVOICE) == 2


def test_slack_without_retry_handlers_reports_the_lost_answer(service: LedgerService) -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        slack_client(retry_handlers=[]).chat_postMessage(channel="C0", text=INVOICE)
    assert service.ledger.requests("slack.post") == 1


def test_the_transport_that_sends_once_reports_the_lost_answer_of_an_upload(service: LedgerService) -> None:
    with pytest.raises(ConnectionResetError, match="may have been served"):
        upload(send_once_http())
    assert service.ledger.requests("drive.upload") == 1


def test_the_transport_that_sends_once_reports_the_lost_answer_of_an_append(service: LedgerService) -> None:
    with pytest.raises(ConnectionResetError, match="may have been served"):
        append(send_once_http())
    assert service.ledger.requests("sheets.append") == 1


def test_httpx_reports_the_lost_answer(service: LedgerService) -> None:
    with trello_client() as trello, pytest.raises(httpx.RemoteProtocolError):
        trello.post("/1/cards", json={"idList": "overdue", "name": INVOICE})
    assert service.ledger.requests("trello.create") == 1
