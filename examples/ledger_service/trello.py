"""Trello's REST API, as far as cards go: POST /1/cards and GET /1/boards/{id}/cards."""

import re
from typing import Any

from examples.ledger_service.ledger import Effect, Ledger
from examples.ledger_service.routing import Request, Response, route


def _create_card(ledger: Ledger, request: Request, _match: re.Match[str]) -> Response:
    fields = request.form()

    def describe(number: int) -> dict[str, Any]:
        return {
            "id": f"{number:024x}",
            "shortUrl": f"https://trello.com/c/{number:08x}",
            "idList": fields["idList"],
            "name": fields["name"],
            "desc": fields.get("desc", ""),
        }

    return Response(ledger.add(Effect.CARD, request.subject, describe).document)


def _cards_of_board(ledger: Ledger, _request: Request, _match: re.Match[str]) -> Response:
    return Response([entry.document for entry in ledger.of(Effect.CARD)])


ROUTES = (
    route("trello.create", "POST", r"/1/cards", _create_card),
    route("trello.list", "GET", r"/1/boards/\w+/cards", _cards_of_board),
)
