"""Sheets' API, as far as rows go: values.append and values.get on one sheet."""

import json
import re

from examples.ledger_service.ledger import Effect, Ledger
from examples.ledger_service.routing import Request, Response, route

_VALUES = r"/v4/spreadsheets/(?P<spreadsheet>[\w-]+)/values/(?P<range>[^/:]+(?::[A-Z]+\d*)?)"


def _append(ledger: Ledger, request: Request, match: re.Match[str]) -> Response:
    row = json.loads(request.body)["values"][0]
    entry = ledger.add(Effect.ROW, request.subject, lambda _number: {"row": row})
    sheet = match["range"].partition("!")[0]
    last_column = chr(ord("A") + len(row) - 1)
    updated = f"{sheet}!A{entry.number}:{last_column}{entry.number}"
    return Response(
        {"spreadsheetId": match["spreadsheet"], "updates": {"updatedRange": updated, "updatedRows": 1}},
    )


def _get(ledger: Ledger, _request: Request, match: re.Match[str]) -> Response:
    rows = [entry.document["row"] for entry in ledger.of(Effect.ROW)]
    if match["range"].endswith("!A:A"):
        rows = [row[:1] for row in rows]
    return Response({"range": match["range"], "majorDimension": "ROWS", "values": rows})


ROUTES = (
    route("sheets.append", "POST", _VALUES + ":append", _append),
    route("sheets.get", "GET", _VALUES, _get),
)
