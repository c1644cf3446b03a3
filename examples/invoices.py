"""What an "invoice overdue" webhook says, and a small server that receives it."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice that was not paid in time."""

    id: str
    customer: str
    amount: Decimal
    due: date

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> "Invoice":
        """Read the invoice of an "invoice overdue" event."""
        fields = event["invoice"]
        return cls(fields["id"], fields["customer"], Decimal(fields["amount"]), date.fromisoformat(fields["due"]))

    def to_event(self) -> dict[str, Any]:
        """Return the "invoice overdue" event of this invoice, as JSON has it."""
        fields = {"id": self.id, "customer": self.customer, "amount": str(self.amount), "due": self.due.isoformat()}
        return {"type": "invoice.overdue", "invoice": fields}


def serve(handle: Callable[[Invoice], object], stats: Callable[[], Mapping[str, float]] = dict) -> None:
    """Receive webhooks on a free loopback port, which is printed, until the process is ended.

    A delivery is acknowledged when `handle` has returned; otherwise it answers 500, and the sender will deliver again.
    A GET answers with `stats`.
    """

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                handle(Invoice.from_event(json.loads(body)))
            except Exception as error:  # noqa: BLE001 - whatever went wrong, the sender must hear that it did
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                self.send_response(HTTPStatus.INTERNAL_SERVER_ERROR)
            else:
                self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()

        def do_GET(self) -> None:
            body = json.dumps(stats()).encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
