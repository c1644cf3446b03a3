"""What a client is told instead of an answer: problem documents of RFC 9457."""

from __future__ import annotations

import json
from enum import Enum

from idempotency_manager._types import final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Code(Enum):
    """What went wrong, with its status and its title; the member `code` of the document."""

    KEY_MISSING = ("key-missing", 400, "Idempotency-Key is missing")
    KEY_MALFORMED = ("key-malformed", 400, "Idempotency-Key is malformed")
    BODY_TOO_LARGE = ("body-too-large", 413, "The body is too large")
    IN_PROGRESS = ("in-progress", 409, "A request is outstanding for this Idempotency-Key")
    KEY_REUSED = ("key-reused", 422, "Idempotency-Key is already used")
    IN_DOUBT = ("in-doubt", 409, "It is not known whether the request was carried out")
    ANSWER_NOT_KEPT = ("answer-not-kept", 409, "The request was carried out, and its answer was not kept")
    STORE_UNAVAILABLE = ("store-unavailable", 503, "The memory of earlier requests is out of reach")


REASONS = {
    400: "Bad Request",
    409: "Conflict",
    413: "Content Too Large",
    422: "Unprocessable Content",
    503: "Service Unavailable",
}
"""The reason phrases that WSGI asks for."""


@final
class Problem:
    """A problem document, ready to be sent.

    Attributes:
        code: What went wrong.
        status: The status of the response.
        raw_headers: Its headers.
        body: The document.
    """

    __slots__ = ("body", "code", "raw_headers", "status")

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        documentation: str | None = None,
        retry_after: int | None = None,
        **members: Any,
    ) -> None:
        """Write a document.

        Args:
            code: What went wrong.
            detail: This occurrence, and what to do about it.
            documentation: The page that a client's developer reads: the document's `type` points into it, and so does
                a `Link`. Without one the type is `about:blank`, whose title is the status's own.
            retry_after: After how many seconds it makes sense to ask again.
            **members: More members of the document.
        """
        name, status, title = code.value
        self.code = code
        self.status = status
        typed = {"type": f"{documentation}#{name}" if documentation else "about:blank"}
        titled = title if documentation else REASONS[status]
        document = {**typed, "title": titled, "status": status, "detail": f"{title}. {detail}", "code": name, **members}
        self.body = json.dumps(document).encode()
        self.raw_headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-language", b"en"),
            (b"content-length", b"%d" % len(self.body)),
        ]
        if documentation:
            link = f'<{documentation}>; rel="describedby"; type="text/html"'
            self.raw_headers.append((b"link", link.encode("ascii")))
        if retry_after is not None:
            self.raw_headers.append((b"retry-after", b"%d" % retry_after))
