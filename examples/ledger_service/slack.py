"""Slack's Web API, as far as messages go: chat.postMessage and conversations.history."""

import json
import re
from typing import Any

from examples.ledger_service.ledger import Effect, Ledger
from examples.ledger_service.routing import Request, Response, route


def _post_message(ledger: Ledger, request: Request, _match: re.Match[str]) -> Response:
    fields = request.form()
    message: dict[str, Any] = {"type": "message", "text": fields["text"]}
    if "metadata" in fields:
        metadata = fields["metadata"]
        message["metadata"] = json.loads(metadata) if isinstance(metadata, str) else metadata

    def describe(number: int) -> dict[str, Any]:
        return {**message, "ts": f"1795298400.{number:06d}"}

    posted = ledger.add(Effect.MESSAGE, request.subject, describe).document
    return Response({"ok": True, "channel": fields["channel"], "ts": posted["ts"], "message": posted})


def _history(ledger: Ledger, request: Request, _match: re.Match[str]) -> Response:
    messages = [entry.document for entry in reversed(ledger.of(Effect.MESSAGE))]
    if not _wants_metadata(request):
        messages = [{name: value for name, value in each.items() if name != "metadata"} for each in messages]
    return Response({"ok": True, "messages": messages, "has_more": False})


def _wants_metadata(request: Request) -> bool:
    fields = {**request.query, **(request.form() if request.body else {})}
    return str(fields.get("include_all_metadata", "")).lower() in {"1", "true"}


ROUTES = (
    route("slack.post", "POST", r"/api/chat\.postMessage", _post_message),
    route("slack.history", "GET", r"/api/conversations\.history", _history),
    route("slack.history", "POST", r"/api/conversations\.history", _history),
)
