"""For each overdue invoice: a Trello card, a Slack message, a file in Drive and a row in Sheets, with retries.

This is the automation as it is usually written, and it looks right. `automation.py` is the same one, protected.
"""

import httplib2  # type: ignore[import-untyped] # ships no types
import httpx
import stamina
from googleapiclient.errors import HttpError  # type: ignore[import-untyped] # ships no types
from googleapiclient.http import MediaInMemoryUpload  # type: ignore[import-untyped] # ships no types
from slack_sdk.errors import SlackApiError

from examples.clients import google_service, send, slack_client, trello_client
from examples.invoices import Invoice, serve

LIST, CHANNEL, SHEET = "overdue", "C0OVERDUE", "receivables"

trello = trello_client()
slack = slack_client()
drive = google_service("drive", "v3")
sheets = google_service("sheets", "v4")

retry_trello = stamina.retry(on=httpx.HTTPError, wait_initial=0.05, wait_jitter=0)
retry_slack = stamina.retry(on=(SlackApiError, OSError), wait_initial=0.05, wait_jitter=0)
retry_google = stamina.retry(on=(HttpError, OSError, httplib2.HttpLib2Error), wait_initial=0.05, wait_jitter=0)


@retry_trello
def create_card(invoice: Invoice) -> str:
    """Put a card on the board; return its address."""
    description = f"Invoice {invoice.id}: {invoice.amount} EUR since {invoice.due}"
    card = {"idList": LIST, "name": f"Call {invoice.customer}", "desc": description}
    answer = trello.post("/1/cards", json=card).raise_for_status()
    return str(answer.json()["shortUrl"])


@retry_slack
def post_message(invoice: Invoice, card_url: str) -> str:
    """Tell the channel; return the message's timestamp, which is its id."""
    text = f"{invoice.customer} owes {invoice.amount} EUR ({invoice.id}): {card_url}"
    return str(slack.chat_postMessage(channel=CHANNEL, text=text)["ts"])


@retry_google
def upload_reminder(invoice: Invoice) -> str:
    """Put the reminder letter into Drive; return the file's id."""
    letter = f"Dear {invoice.customer}, please pay {invoice.amount} EUR for {invoice.id}."
    media = MediaInMemoryUpload(letter.encode(), mimetype="text/plain")
    upload = drive.files().create(body={"name": f"{invoice.id}.txt"}, media_body=media, fields="id")
    return str(send(upload)["id"])


@retry_google
def append_row(invoice: Invoice) -> str:
    """Add the invoice to the sheet of receivables; return the range that it got."""
    row = [invoice.id, invoice.customer, str(invoice.amount), invoice.due.isoformat()]
    values = sheets.spreadsheets().values()
    append = values.append(spreadsheetId=SHEET, range="Overdue!A:D", valueInputOption="RAW", body={"values": [row]})
    return str(send(append)["updates"]["updatedRange"])


def handle_overdue(invoice: Invoice) -> None:
    """Do everything that an overdue invoice asks for."""
    card_url = create_card(invoice)
    post_message(invoice, card_url)
    upload_reminder(invoice)
    append_row(invoice)


if __name__ == "__main__":
    serve(handle_overdue)
