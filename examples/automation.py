"""For each overdue invoice: a Trello card, a Slack message, a file in Drive and a row in Sheets, each exactly once.

Every step carries two decorators, and their order matters:

- `stamina.retry`, outside, calls again after an error, as it would without this package;
- `idempotent`, inside, decides what such a call may do. Done already: the first result comes back. Under way in
  another thread or process: it waits for that one. Answer lost: nobody here knows whether the step happened, so the
  step's `find_…` function looks, and either returns what it found or says NOT_EXECUTED, and then the step runs.

The signal is the invoice, so the same webhook delivered twice, at once or a day later, is one signal. What each step
sends carries the invoice's id in a place where the service can be searched for it: that is what `find_…` relies on.
"""

from typing import Any

import httplib2  # type: ignore[import-untyped] # ships no types
import httpx
import stamina
from googleapiclient.errors import HttpError  # type: ignore[import-untyped] # ships no types
from googleapiclient.http import MediaInMemoryUpload  # type: ignore[import-untyped] # ships no types
from slack_sdk.errors import SlackApiError

from examples.clients import google_service, send_once, slack_client, trello_client
from examples.invoices import Invoice, serve
from idempotency_manager import NOT_EXECUTED, IdempotencyRecord, get_idempotency_stats, idempotent

BOARD, LIST, CHANNEL, SHEET = "receivables", "overdue", "C0OVERDUE", "receivables"

trello = trello_client()
slack = slack_client(retry_handlers=[])
drive = google_service("drive", "v3")
sheets = google_service("sheets", "v4")

retry_trello = stamina.retry(on=httpx.HTTPError, wait_initial=0.05, wait_jitter=0)
retry_slack = stamina.retry(on=(SlackApiError, OSError), wait_initial=0.05, wait_jitter=0)
retry_google = stamina.retry(on=(HttpError, OSError, httplib2.HttpLib2Error), wait_initial=0.05, wait_jitter=0)


def find_card(record: IdempotencyRecord) -> Any:
    """Look for the invoice's card on the board.

    Not with Trello's search, which learns of a new card only some time later: "not found" would then mean nothing.
    """
    cards = trello.get(f"/1/boards/{BOARD}/cards").raise_for_status().json()
    found = (card["shortUrl"] for card in cards if card["desc"].startswith(f"Invoice {record.signal_id}:"))
    return next(found, NOT_EXECUTED)


@retry_trello
@idempotent(target="trello", signal_id="invoice.id", on_in_doubt=find_card)
def create_card(invoice: Invoice) -> str:
    """Put a card on the board; return its address."""
    description = f"Invoice {invoice.id}: {invoice.amount} EUR since {invoice.due}"
    card = {"idList": LIST, "name": f"Call {invoice.customer}", "desc": description}
    answer = trello.post("/1/cards", json=card).raise_for_status()
    return str(answer.json()["shortUrl"])


def find_message(record: IdempotencyRecord) -> Any:
    """Look for the invoice's message in the channel, by its metadata, since a little before the step began."""
    since = str(record.started_at.timestamp() - 60)
    history = slack.conversations_history(channel=CHANNEL, oldest=since, limit=999, include_all_metadata=True)
    for message in history["messages"]:
        if message.get("metadata", {}).get("event_payload", {}).get("invoice") == record.signal_id:
            return message["ts"]
    return NOT_EXECUTED


# The card's address only decorates the text: with another address it would still be the same message.
@retry_slack
@idempotent(target="slack", signal_id="invoice.id", exclude=["card_url"], on_in_doubt=find_message)
def post_message(invoice: Invoice, card_url: str) -> str:
    """Tell the channel; return the message's timestamp, which is its id."""
    text = f"{invoice.customer} owes {invoice.amount} EUR ({invoice.id}): {card_url}"
    metadata = {"event_type": "invoice_overdue", "event_payload": {"invoice": invoice.id}}
    return str(slack.chat_postMessage(channel=CHANNEL, text=text, metadata=metadata)["ts"])


def find_reminder(record: IdempotencyRecord) -> Any:
    """Look for the invoice's file in Drive, by the property that the upload gave it."""
    query = f"appProperties has {{ key='invoice' and value='{record.signal_id}' }} and trashed = false"
    found = send_once(drive.files().list(q=query, fields="files(id)"))["files"]
    return found[0]["id"] if found else NOT_EXECUTED


@retry_google
@idempotent(target="drive", signal_id="invoice.id", on_in_doubt=find_reminder)
def upload_reminder(invoice: Invoice) -> str:
    """Put the reminder letter into Drive; return the file's id."""
    letter = f"Dear {invoice.customer}, please pay {invoice.amount} EUR for {invoice.id}."
    media = MediaInMemoryUpload(letter.encode(), mimetype="text/plain")
    body = {"name": f"{invoice.id}.txt", "appProperties": {"invoice": invoice.id}}
    upload = drive.files().create(body=body, media_body=media, fields="id")
    return str(send_once(upload)["id"])


def find_row(record: IdempotencyRecord) -> Any:
    """Look for the invoice's row in the sheet's first column."""
    read = sheets.spreadsheets().values().get(spreadsheetId=SHEET, range="Overdue!A:A")
    rows = send_once(read).get("values", [])
    found = (f"Overdue!A{number}:D{number}" for number, row in enumerate(rows, 1) if row == [record.signal_id])
    return next(found, NOT_EXECUTED)


@retry_google
@idempotent(target="sheets", signal_id="invoice.id", on_in_doubt=find_row)
def append_row(invoice: Invoice) -> str:
    """Add the invoice to the sheet of receivables; return the range that it got."""
    row = [invoice.id, invoice.customer, str(invoice.amount), invoice.due.isoformat()]
    values = sheets.spreadsheets().values()
    append = values.append(spreadsheetId=SHEET, range="Overdue!A:D", valueInputOption="RAW", body={"values": [row]})
    return str(send_once(append)["updates"]["updatedRange"])


def handle_overdue(invoice: Invoice) -> None:
    """Do everything that an overdue invoice asks for."""
    card_url = create_card(invoice)
    post_message(invoice, card_url)
    upload_reminder(invoice)
    append_row(invoice)


def stats() -> dict[str, float]:
    """Return the package's counters, by name."""
    counted = get_idempotency_stats()
    return {name: getattr(counted, name) for name in dir(counted) if not name.startswith("_")}


if __name__ == "__main__":
    serve(handle_overdue, stats)
