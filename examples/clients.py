"""The clients of the four services, all pointed at LEDGER_URL, and how each sends a request once and only once.

A client that sends again inside one call defeats every guard around that call: the guard sees one call, the service
sees two requests. As of the versions in requirements.txt:

httpx               Sends once. `HTTPTransport(retries=n)` repeats only the connecting, which is harmless.
slack_sdk           Repeats once after a broken connection (its default `ConnectionErrorRetryHandler`), also when the
                    message had been posted. `retry_handlers=[]` turns that off.
httplib2            What google-api-python-client speaks through. Repeats once when the server hangs up without a status
                    line, whatever `httplib2.RETRIES` and `num_retries` say; there is no setting. `SendOnceHttp` below
                    turns it off.
"""

import http.client
import json
import os
import signal
from contextlib import closing
from typing import Any

import httplib2  # type: ignore[import-untyped] # ships no types
import httpx
from google.auth.credentials import AnonymousCredentials
from google_auth_httplib2 import AuthorizedHttp  # type: ignore[import-untyped] # ships no types
from googleapiclient.discovery import build_from_document  # type: ignore[import-untyped] # ships no types
from googleapiclient.discovery_cache import get_static_doc  # type: ignore[import-untyped] # ships no types
from googleapiclient.http import HttpRequest  # type: ignore[import-untyped] # ships no types
from slack_sdk import WebClient
from slack_sdk.http_retry import RetryHandler

from examples.ledger_service.routing import FATAL_HEADER

# Short, so that a demonstration of late answers is short too.
TIMEOUT_SECONDS = 1


def _url() -> str:
    return os.environ["LEDGER_URL"]


def trello_client() -> httpx.Client:
    """Return a client of Trello's REST API."""
    hooks = {"response": [_die_of_it]}
    return httpx.Client(base_url=_url(), timeout=TIMEOUT_SECONDS, trust_env=False, event_hooks=hooks)


def _die_of_it(answer: httpx.Response) -> None:
    """Kill this process where the plan says so: the card is there, and nobody has been told yet."""
    if FATAL_HEADER in answer.headers:
        os.kill(os.getpid(), signal.SIGKILL)


def slack_client(retry_handlers: list[RetryHandler] | None = None) -> WebClient:
    """Return a client of Slack's Web API; None leaves its own retries on, [] turns them off."""
    return WebClient("xoxb-demo", f"{_url()}/api/", timeout=TIMEOUT_SECONDS, retry_handlers=retry_handlers)


def google_service(name: str, version: str) -> Any:
    """Return a Google API's resource, from the discovery document that comes with the package.

    `client_options.api_endpoint` would move every method but the media upload, whose address is made from the
    document's `rootUrl`; so the root is what is changed here.
    """
    document = json.loads(get_static_doc(name, version))
    document["rootUrl"] = f"{_url()}/"
    return build_from_document(document, credentials=_nobody())


def send(request: HttpRequest) -> Any:
    """Execute a Google request over the transport that the client makes for itself: it may send twice."""
    return _execute(request, httplib2.Http(timeout=TIMEOUT_SECONDS))


def send_once(request: HttpRequest) -> Any:
    """Execute a Google request over a transport that never repeats it."""
    return _execute(request, SendOnceHttp(timeout=TIMEOUT_SECONDS))


def _execute(request: HttpRequest, http: httplib2.Http) -> Any:
    # A transport of its own for each request: httplib2 is not thread-safe.
    with closing(AuthorizedHttp(_nobody(), http=http)) as authorized:
        return request.execute(http=authorized)


def _nobody() -> AnonymousCredentials:
    return AnonymousCredentials()  # type: ignore[no-untyped-call] # google-auth is typed but for this one


class _SendOnce:
    """Makes a connection report a lost answer as what it is.

    httplib2 takes "no status line" for a stale connection and repeats the request; a reset connection it reports.
    """

    def getresponse(self) -> http.client.HTTPResponse:
        try:
            response: http.client.HTTPResponse = super().getresponse()  # type: ignore[misc] # of the class mixed with
        except http.client.BadStatusLine as lost:
            detail = "the server hung up without an answer; the request may have been served"
            raise ConnectionResetError(detail) from lost
        return response


class _SendOncePlain(_SendOnce, httplib2.HTTPConnectionWithTimeout):  # type: ignore[misc] # httplib2 has no types
    pass


class _SendOnceTls(_SendOnce, httplib2.HTTPSConnectionWithTimeout):  # type: ignore[misc] # httplib2 has no types
    pass


class SendOnceHttp(httplib2.Http):  # type: ignore[misc] # httplib2 has no types
    """An `httplib2.Http` that sends every request once."""

    def request(self, uri: str, *args: Any, **kwargs: Any) -> Any:
        """Perform one request over a connection that does not repeat it."""
        kwargs["connection_type"] = _SendOnceTls if uri.startswith("https:") else _SendOncePlain
        return super().request(uri, *args, **kwargs)
