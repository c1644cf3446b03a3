"""Slack's Web API, as far as messages go: chat.postMessage and conversations.history."""

import json
import re
import time
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
        # Slack's id of a message is the second in which it came, and a count that keeps two in one second apart.
        return {**message, "ts": f"{int(time.time())}.{number:06d}"}

    posted = ledger.add(Effect.MESSAGE, request.subject, describe).document
    return Response({"ok": True, "channel": fields["channel"], "ts": posted["ts"], "message": posted})


def _history(ledger: Ledger, request: Request, _match: re.Match[str]) -> Response:
    fields = {**request.query, **(request.form() if request.body else {})}
    oldest = float(fields.get("oldest", 0))
    newest_first = [entry.document for entry in reversed(ledger.of(Effect.MESSAGE))]
    messages = [message for message in newest_first if float(message["ts"]) > oldest]
    if fields.get("include_all_metadata", "").lower() not in {"1", "true"}:
        messages = [{name: value for name, value in each.items() if name != "metadata"} for each in messages]
    limit = int(fields.get("limit", 100))
    return Response({"ok": True, "messages": messages[:limit], "has_more": len(messages) > limit})


ROUTES = (
    route("slack.post", "POST", r"/api/chat\.postMessage", _post_message),
    route("slack.history", "GET", r"/api/conversations\.history", _history),
    route("slack.history", "POST", r"/api/conversations\.history", _history),
)
