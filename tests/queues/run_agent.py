"""`python -m tests.queues.run_agent TICKET…`: the agent of the recipe, which a plan may kill."""

import asyncio
import sys

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from examples.queues import agent
from tests.queues.killing import carry_out


def answer(ticket: str) -> str:
    """Answer a ticket as the recipe does; a plan may end that before the customer hears of it."""

    def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        response = agent.scripted(messages, info)
        if isinstance(response.parts[0], TextPart):
            carry_out(ticket, "before-answer")
        return response

    return asyncio.run(agent.answer(ticket, "I was charged twice for order 42", FunctionModel(model)))


for each in sys.argv[1:]:
    sys.stdout.write(answer(each) + "\n")
