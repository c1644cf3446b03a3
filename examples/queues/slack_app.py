"""A receiver of Slack's events that answers in time and lets a worker act once.

    uvicorn examples.queues.slack_app:app
    python -m examples.queues.stream_worker one

Slack waits for three seconds and then sends the event again, so nothing is done here but to verify it and to put it
where it is safe: after the 200 Slack forgets the event, and only the queue still has it.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from redis.asyncio import Redis

from examples.queues import settings, stream_worker
from idempotency_manager import webhooks


@asynccontextmanager
async def connected(app: FastAPI) -> AsyncIterator[None]:
    """Keep the connections to Redis for as long as the application runs."""
    async with Redis.from_url(settings.REDIS) as redis:
        app.state.redis = redis
        yield


app = FastAPI(lifespan=connected)


@app.exception_handler(webhooks.InvalidDeliveryError)
async def refuse(_: Request, error: Exception) -> Response:
    """Say what is wrong with a delivery: 401 for one that Slack did not sign, 400 for what is no event."""
    return JSONResponse({"detail": str(error)}, 401 if isinstance(error, webhooks.InvalidSignatureError) else 400)


@app.post("/slack/events")
async def receive(request: Request) -> Response:
    """Queue an event. One that comes again is queued again, under the same signal: the worker sees that."""
    secret = os.environ["SLACK_SIGNING_SECRET"]
    delivery = webhooks.slack(request.headers, await request.body(), secret=secret)
    if delivery.handshake:
        return PlainTextResponse(delivery.challenge)
    if "event" in delivery.payload:
        await stream_worker.put(request.app.state.redis, delivery)
    return Response(status_code=200)
