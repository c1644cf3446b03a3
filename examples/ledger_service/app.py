"""The server: reads a request, asks the plan what shall go wrong with it, calls the endpoint."""

import json
import select
import socket
import threading
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from examples.ledger_service import drive, sheets, slack, trello
from examples.ledger_service.faults import Fault, Plan
from examples.ledger_service.ledger import Ledger
from examples.ledger_service.routing import FATAL_HEADER, Request, Response, find_route

_ROUTES = (*trello.ROUTES, *slack.ROUTES, *drive.ROUTES, *sheets.ROUTES)
_NOT_FOUND = Response({"error": "no such endpoint"}, HTTPStatus.NOT_FOUND)
_UNAVAILABLE = Response({"ok": False, "error": "service_unavailable"}, HTTPStatus.SERVICE_UNAVAILABLE)
# A late answer waits for the client to hang up; this bound only keeps a client without a timeout from hanging.
_PATIENCE_SECONDS = 10.0


class LedgerService:
    """The loopback service, from `with` to the end of its block.

    Attributes:
        ledger: What really happened.
        plan: What goes wrong.
        url: Where it listens, without a final slash.
    """

    def __init__(self, plan: Plan | None = None) -> None:
        """Bind a free port of the loopback interface; nothing is served before `with`."""
        self.ledger = Ledger()
        self.plan = plan or Plan()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Start to serve, a thread for each connection."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop to serve and free the port."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: Request, connection: socket.socket) -> Response | None:
        """Serve one request as the plan says; None means that the client gets no answer."""
        found = find_route(_ROUTES, request)
        if found is None:
            return _NOT_FOUND
        route, match = found
        self.ledger.count_request(route.name)
        fault = self.plan.next_fault(route.name, request.subject)
        if fault is Fault.UNAVAILABLE:
            return _UNAVAILABLE
        if fault is Fault.DROPPED_BEFORE:
            return None
        response = route.endpoint(self.ledger, request, match)
        if fault is Fault.LATE:
            _wait_for_hang_up(connection)
        if fault is Fault.FATAL:
            return replace(response, fatal=True)
        return None if fault else response


def _wait_for_hang_up(connection: socket.socket) -> None:
    """Wait until the client has given up, so that "late" means the same on a slow machine as on a fast one."""
    readable, _, _ = select.select([connection], [], [], _PATIENCE_SECONDS)
    if readable:
        connection.recv(1, socket.MSG_PEEK)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, service: LedgerService) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service = service


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer leaves in one packet; without this each one waits for the client's delayed ACK.
    wbufsize = -1
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request.of(self.command, self.path, self.headers.get("Content-Type", ""), body)
        response = self.server.service.answer(request, self.connection)
        if response is None:
            self.close_connection = True
            return
        content = json.dumps(response.document).encode()
        self.send_response(response.status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        if response.fatal:
            self.send_header(FATAL_HEADER, "yes")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _serve  # noqa: N815 - http.server finds its methods by these names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        """Keep quiet: the ledger is the log."""
