"""Drive's API, as far as files go: multipart upload and files.list with a query on appProperties."""

import email.parser
import email.policy
import json
import re
from http import HTTPStatus
from typing import Any

from examples.ledger_service.ledger import Effect, Ledger
from examples.ledger_service.routing import Request, Response, route

_APP_PROPERTY = re.compile(r"appProperties has \{ ?key='([^']+)' and value='([^']+)' ?\}")


def _upload(ledger: Ledger, request: Request, _match: re.Match[str]) -> Response:
    metadata, content = _read_multipart(request)

    def describe(number: int) -> dict[str, Any]:
        return {**metadata, "id": f"file{number:029d}", "size": str(len(content))}

    return Response(ledger.add(Effect.FILE, request.subject, describe).document)


def _read_multipart(request: Request) -> tuple[dict[str, Any], bytes]:
    """Split a multipart/related body into the file's metadata and its content."""
    head = f"Content-Type: {request.content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    metadata, media = message.iter_parts()
    content = media.get_payload(decode=True)
    if not isinstance(content, bytes):
        detail = "the second part of an upload is the file's content"
        raise TypeError(detail)
    return json.loads(metadata.get_content()), content


def _list(ledger: Ledger, request: Request, _match: re.Match[str]) -> Response:
    wanted = _APP_PROPERTY.search(request.query.get("q", ""))
    if wanted is None:
        # A query that is not understood must not look like "no such file": a reconciler would upload again.
        return Response({"error": {"code": 400, "message": "Invalid Value: q"}}, HTTPStatus.BAD_REQUEST)
    name, value = wanted.groups()
    files = [entry.document for entry in ledger.of(Effect.FILE)]
    return Response({"files": [file for file in files if file.get("appProperties", {}).get(name) == value]})


ROUTES = (
    route("drive.upload", "POST", r"/upload/drive/v3/files", _upload),
    route("drive.list", "GET", r"/drive/v3/files", _list),
)
