"""The same application in Flask and Django, for WSGI: what gunicorn loads, told by the environment what to be."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idempotency_manager import IdempotencyManager
from idempotency_manager.middleware import report_exception
from idempotency_manager.middleware.wsgi import IdempotencyMiddleware
from tests.http.apps_asgi import ERRORS
from tests.http.desk import BIG, CHUNKS, Desk

if TYPE_CHECKING:
    from collections.abc import Iterator


def flask(desk: Desk, **options: Any) -> Any:
    from flask import Flask, Response, got_request_exception, jsonify, request

    app = Flask(__name__)

    @app.route("/cards", methods=["GET", "POST", "PATCH", "PUT"])
    def cards() -> Any:
        number = desk.run(request.headers["x-case"])
        response = jsonify(run=number, size=len(request.get_data()))
        response.set_cookie("session", "secret")
        return response, 201, {"location": f"/cards/{number}"}

    @app.post("/fail")
    def fail() -> Any:
        desk.run(request.headers["x-case"])
        return jsonify(failed=True), int(request.args["status"])

    @app.post("/raise")
    def raise_error() -> Any:
        desk.run(request.headers["x-case"])
        raise ERRORS[request.args["error"]]

    @app.post("/stream")
    def stream() -> Any:
        desk.run(request.headers["x-case"])

        def parts() -> Iterator[bytes]:
            yield from CHUNKS

        return Response(parts(), content_type="text/plain")

    @app.post("/gated")
    def gated() -> Any:
        case = request.headers["x-case"]
        desk.run(case)

        def parts() -> Iterator[bytes]:
            yield CHUNKS[0]
            desk.meet(case)
            yield CHUNKS[1]

        return Response(parts(), content_type="text/plain")

    @app.post("/big")
    def big() -> Any:
        desk.run(request.headers["x-case"])
        return Response(iter([BIG]), 201, {"location": "/big/1"})

    @app.post("/slow")
    def slow() -> Any:
        number = desk.run(request.headers["x-case"])
        desk.meet(request.headers["x-case"])
        return jsonify(run=number), 201

    got_request_exception.connect(report_exception, app)
    app.wsgi_app = IdempotencyMiddleware(app.wsgi_app, **options)  # type: ignore[method-assign]  # Flask's own way
    return app


def django(desk: Desk, **options: Any) -> Any:
    from tests.http import django_site

    django_site.set_up(desk)
    from django.core.wsgi import get_wsgi_application

    return IdempotencyMiddleware(get_wsgi_application(), **options)


def make() -> Any:
    """What gunicorn calls in each worker."""
    asked = json.loads(os.environ["HTTP_TEST"])
    build = {"flask": flask, "django": django}[asked["framework"]]
    return build(Desk(Path(asked["folder"])), manager=IdempotencyManager(asked["store"]), **asked["options"])
