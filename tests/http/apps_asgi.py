"""The same application in Starlette, FastAPI, Litestar and Django, for ASGI."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from idempotency_manager.middleware import report_exception
from idempotency_manager.middleware.asgi import IdempotencyMiddleware
from tests.http.desk import BIG, CHUNKS, Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

ERRORS: dict[str, type[Exception]] = {"value": ValueError, "timeout": TimeoutError}


async def gated_chunks(desk: Desk, case: str) -> AsyncIterator[bytes]:
    """Hand out a part before the test has let the next one go."""
    yield CHUNKS[0]
    await asyncio.to_thread(desk.meet, case)
    yield CHUNKS[1]


async def chunks(parts: tuple[bytes, ...] = CHUNKS) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def starlette(desk: Desk, **options: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    async def cards(request: Request) -> Response:
        body = await request.body()
        number = desk.run(request.headers["x-case"])
        response = JSONResponse({"run": number, "size": len(body)}, 201, {"location": f"/cards/{number}"})
        response.set_cookie("session", "secret")
        return response

    async def fail(request: Request) -> Response:
        desk.run(request.headers["x-case"])
        return JSONResponse({"failed": True}, int(request.query_params["status"]))

    async def raise_error(request: Request) -> Response:
        desk.run(request.headers["x-case"])
        raise ERRORS[request.query_params["error"]]

    async def stream(request: Request) -> Response:
        desk.run(request.headers["x-case"])
        return StreamingResponse(chunks(), media_type="text/plain")

    async def big(request: Request) -> Response:
        desk.run(request.headers["x-case"])
        return StreamingResponse(chunks((BIG,)), 201, {"location": "/big/1"})

    async def slow(request: Request) -> Response:
        number = desk.run(request.headers["x-case"])
        await asyncio.to_thread(desk.meet, request.headers["x-case"])
        return JSONResponse({"run": number}, 201)

    async def gated(request: Request) -> Response:
        desk.run(request.headers["x-case"])
        return StreamingResponse(gated_chunks(desk, request.headers["x-case"]), media_type="text/plain")

    app = Starlette(
        routes=[
            Route("/cards", cards, methods=["GET", "POST", "PATCH", "PUT"]),
            Route("/fail", fail, methods=["POST"]),
            Route("/raise", raise_error, methods=["POST"]),
            Route("/stream", stream, methods=["POST"]),
            Route("/big", big, methods=["POST"]),
            Route("/slow", slow, methods=["POST"]),
            Route("/gated", gated, methods=["POST"]),
        ]
    )
    app.add_middleware(IdempotencyMiddleware, **options)
    return app


def fastapi(desk: Desk, **options: Any) -> Any:
    from typing import Annotated

    from fastapi import FastAPI, Header, Request, Response  # noqa: F401 - named in annotations
    from fastapi.responses import StreamingResponse

    app = FastAPI()
    app.add_middleware(IdempotencyMiddleware, **options)
    case = Annotated[str, Header(alias="x-case")]

    async def cards(request: Request, response: Response, name: case) -> dict[str, int]:
        body = await request.body()
        number = desk.run(name)
        response.headers["location"] = f"/cards/{number}"
        response.set_cookie("session", "secret")
        return {"run": number, "size": len(body)}

    async def fail(response: Response, status: int, name: case) -> dict[str, bool]:
        desk.run(name)
        response.status_code = status
        return {"failed": True}

    async def raise_error(error: str, name: case) -> None:
        desk.run(name)
        raise ERRORS[error]

    async def stream(name: case) -> StreamingResponse:
        desk.run(name)
        return StreamingResponse(chunks(), media_type="text/plain")

    async def big(name: case) -> StreamingResponse:
        desk.run(name)
        return StreamingResponse(chunks((BIG,)), 201, {"location": "/big/1"})

    def slow(name: case) -> dict[str, int]:  # in a thread of FastAPI's
        number = desk.run(name)
        desk.meet(name)
        return {"run": number}

    # The annotations are of this function, where FastAPI can't look names up.
    for function, path in ((cards, "cards"), (fail, "fail"), (raise_error, "raise"), (stream, "stream"), (big, "big")):
        _resolve(function, {**locals()})
        methods = ["GET", "POST", "PATCH", "PUT"] if path == "cards" else ["POST"]
        app.add_api_route(f"/{path}", function, methods=methods, status_code=201 if path == "cards" else 200)
    _resolve(slow, {**locals()})
    app.add_api_route("/slow", slow, methods=["POST"], status_code=201)
    return app


def _resolve(function: Any, names: dict[str, Any]) -> None:
    function.__annotations__ = {
        name: eval(annotation, globals(), names) if isinstance(annotation, str) else annotation  # noqa: S307 - ours
        for name, annotation in function.__annotations__.items()
    }


def litestar(desk: Desk, **options: Any) -> Any:
    from litestar import Litestar, Request, Response, post, route  # noqa: F401 - named in annotations
    from litestar.middleware import DefineMiddleware
    from litestar.response import Stream

    async def cards(request: Request[Any, Any, Any]) -> Response[Any]:
        body = await request.body()
        number = desk.run(request.headers["x-case"])
        response = Response(
            {"run": number, "size": len(body)}, status_code=201, headers={"location": f"/cards/{number}"}
        )
        response.set_cookie("session", "secret")
        return response

    async def fail(request: Request[Any, Any, Any]) -> Response[Any]:
        desk.run(request.headers["x-case"])
        return Response({"failed": True}, status_code=int(request.query_params["status"]))

    async def raise_error(request: Request[Any, Any, Any]) -> None:
        desk.run(request.headers["x-case"])
        raise ERRORS[request.query_params["error"]]

    async def stream(request: Request[Any, Any, Any]) -> Stream:
        desk.run(request.headers["x-case"])
        return Stream(chunks(), status_code=200, media_type="text/plain")

    async def big(request: Request[Any, Any, Any]) -> Stream:
        desk.run(request.headers["x-case"])
        return Stream(chunks((BIG,)), status_code=201, headers={"location": "/big/1"})

    async def slow(request: Request[Any, Any, Any]) -> dict[str, int]:
        number = desk.run(request.headers["x-case"])
        await asyncio.to_thread(desk.meet, request.headers["x-case"])
        return {"run": number}

    names = {**locals()}
    for function in (cards, fail, raise_error, stream, big, slow):
        _resolve(function, names)
    return Litestar(
        [
            route("/cards", http_method=["GET", "POST", "PATCH", "PUT"], status_code=201)(cards),
            post("/fail")(fail),
            post("/raise")(raise_error),
            post("/stream")(stream),
            post("/big")(big),
            post("/slow", status_code=201)(slow),
        ],
        middleware=[DefineMiddleware(IdempotencyMiddleware, **options)],
        after_exception=[lambda error, _scope: report_exception(exception=error)],
        openapi_config=None,
        logging_config=None,
    )


def django(desk: Desk, **options: Any) -> Any:
    from tests.http import django_site

    django_site.set_up(desk)
    from django.core.asgi import get_asgi_application

    return IdempotencyMiddleware(get_asgi_application(), **options)
