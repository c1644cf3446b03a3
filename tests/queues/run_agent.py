"""`python -m tests.queues.run_agent TICKET`: the agent of the recipe, which a plan may kill."""

import asyncio
import sys

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from examples.queues import agent
from tests.queues.killing import carry_out

TICKET = sys.argv[1]


def answers(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Answer as the recipe's model does; a plan may end that before the customer hears of it."""
    response = agent.scripted(messages, info)
    if isinstance(response.parts[0], TextPart):
        carry_out(TICKET, "before-answer")
    return response


told = asyncio.run(agent.answer(TICKET, "I was charged twice for order 42", FunctionModel(answers)))
sys.stdout.write(told)
