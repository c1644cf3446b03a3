"""An agent whose tools have their effects once, though its process may be killed and started again.

    python -m examples.queues.agent ticket-7 "I was charged twice for order 42"

The model is a function here, so that nothing is asked over the network; give `agent.run` one of your own.
"""

import asyncio
import os
import sys

from pydantic_ai import Agent, RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from examples.queues import outbox
from idempotency_manager import NOT_EXECUTED, IdempotencyManager, IdempotencyRecord

manager = IdempotencyManager(os.environ.get("IDEMPOTENCY_STORE", "sqlite:///support.db"))
agent = Agent(instructions="Refund what was charged twice, and tell the customer.")


async def find_refund(record: IdempotencyRecord) -> object:
    """Look whether the refund of a run that was killed was made."""
    return await asyncio.to_thread(outbox.find, record.signal_id or "") or NOT_EXECUTED


# The run's id is the ticket's, and so the same when the run starts over; the id of the tool's call is not. What a model
# may word in another way the second time is left out of the params.
@agent.tool
@manager.idempotent(target="payments", signal_id="ctx.run_id", params=("order",), on_in_doubt=find_refund)
async def refund(ctx: RunContext[object], order: int, cents: int, reason: str) -> str:
    """Refund an amount of an order to the customer.

    Args:
        ctx: The run.
        order: The order's number.
        cents: The amount.
        reason: Why, in a few words.
    """
    return await asyncio.to_thread(outbox.send, str(ctx.run_id), f"{cents} cents of order {order}: {reason}")


def scripted(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """Answer as a model would: call the tool, then tell the customer what it returned."""
    for part in messages[-1].parts:
        if isinstance(part, ToolReturnPart):
            return ModelResponse([TextPart(f"You have your money back ({part.content}).")])
    arguments = {"order": 42, "cents": 4200, "reason": f"charged twice, asked at {messages[-1].timestamp}"}
    return ModelResponse([ToolCallPart("refund", arguments)])


async def answer(ticket: str, question: str, model: FunctionModel) -> str:
    """Answer a ticket; safe to call again after a crash, with the same ticket."""
    run = await agent.run(question, run_id=ticket, model=model)
    return run.output


if __name__ == "__main__":
    print(asyncio.run(answer(sys.argv[1], sys.argv[2], FunctionModel(scripted))))
