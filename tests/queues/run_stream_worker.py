"""`python -m tests.queues.run_stream_worker NAME`: the worker of the recipe, which a plan may kill."""

import asyncio
import sys

import tests.queues.killing  # noqa: F401 - it watches what the worker calls
from examples.queues.stream_worker import work

asyncio.run(work(sys.argv[1]))
