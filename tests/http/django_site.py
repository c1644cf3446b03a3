"""The same application in Django; this module is its settings and its URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.http.desk import BIG, CHUNKS, Desk

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase

desk: Desk
urlpatterns: list[Any] = []


def set_up(at: Desk) -> None:
    """Configure Django, once in a process."""
    global desk  # noqa: PLW0603 - as Django's settings are
    import django
    from django.conf import settings
    from django.core.signals import got_request_exception

    from idempotency_manager.middleware import report_exception

    desk = at
    if settings.configured:
        return
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="of a test",
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        LOGGING_CONFIG=None,
        USE_TZ=True,
    )
    django.setup()
    got_request_exception.connect(report_exception)
    from django.urls import path

    views = (("cards", cards), ("fail", fail), ("raise", raise_error), ("stream", stream), ("big", big), ("slow", slow))
    urlpatterns.extend(path(name, view) for name, view in views)


def cards(request: HttpRequest) -> HttpResponseBase:
    from django.http import JsonResponse

    number = desk.run(request.headers["x-case"])
    answer = {"run": number, "size": len(request.body)}
    response = JsonResponse(answer, status=201, headers={"location": f"/cards/{number}"})
    response.set_cookie("session", "secret")
    return response


def fail(request: HttpRequest) -> HttpResponseBase:
    from django.http import JsonResponse

    desk.run(request.headers["x-case"])
    return JsonResponse({"failed": True}, status=int(request.GET["status"]))


def raise_error(request: HttpRequest) -> HttpResponseBase:
    from tests.http.apps_asgi import ERRORS

    desk.run(request.headers["x-case"])
    raise ERRORS[request.GET["error"]]


def stream(request: HttpRequest) -> HttpResponseBase:
    from django.http import StreamingHttpResponse

    from tests.http.apps_asgi import chunks

    desk.run(request.headers["x-case"])
    parts = chunks() if hasattr(request, "scope") else iter(CHUNKS)
    return StreamingHttpResponse(parts, content_type="text/plain")


def big(request: HttpRequest) -> HttpResponseBase:
    from django.http import HttpResponse

    desk.run(request.headers["x-case"])
    return HttpResponse(BIG, status=201, headers={"location": "/big/1"})


def slow(request: HttpRequest) -> HttpResponseBase:
    from django.http import JsonResponse

    number = desk.run(request.headers["x-case"])
    desk.meet(request.headers["x-case"])
    return JsonResponse({"run": number}, status=201)
