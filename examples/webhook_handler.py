"""A webhook handler that bills a customer once, however often and however closely the webhook is delivered.

    python -m examples.webhook_handler

`signal(…)` names the delivery once, at the door; every idempotent call behind it belongs to that delivery without
being told. Deliveries of the same webhook at the same moment wait for the first one and get its result.
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from idempotency_manager import idempotent, signal

COPIES = 8
charges: list[tuple[str, int]] = []


@idempotent(target="payments")
def charge(customer: str, cents: int) -> str:
    """Charge a customer; a real one would call a payment provider here."""
    charges.append((customer, cents))
    return f"receipt {len(charges)} for {customer}"


class Handler(BaseHTTPRequestHandler):
    """Answers POST /orders; the header names the delivery, and a redelivery has the same name."""

    def do_POST(self) -> None:
        """Charge for the order and answer with the receipt, the same one for every copy of a delivery."""
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with signal(self.headers["X-Delivery-Id"]):
            receipt = charge(order["customer"], order["cents"])
        body = receipt.encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        """Keep the output to what `main` prints."""


def post(port: int, delivery: str, customer: str) -> str:
    """Deliver an order, as the sender of the webhook would; return the answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    order = json.dumps({"customer": customer, "cents": 4200})
    connection.request("POST", "/orders", order, {"X-Delivery-Id": delivery})
    answer = connection.getresponse().read().decode()
    connection.close()
    return answer


def main() -> int:
    """Deliver two orders, each in several copies at once, and show what was charged."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    deliveries = [("delivery-1", "Aurora Ltd"), ("delivery-2", "Borealis SA")] * COPIES
    with ThreadPoolExecutor(len(deliveries)) as pool:
        answers = list(pool.map(lambda delivery: post(server.server_port, *delivery), deliveries))
    server.shutdown()
    server.server_close()
    print(f"{len(deliveries)} deliveries, {len(charges)} charges, {len(set(answers))} different answers")
    return 0 if len(charges) == len(set(answers)) == len(set(deliveries)) else 1


if __name__ == "__main__":
    sys.exit(main())
