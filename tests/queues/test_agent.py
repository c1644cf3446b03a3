"""The tools of an agent: their effects happen once, though its process is killed and started again."""

from __future__ import annotations

import re
from signal import SIGKILL
from typing import TYPE_CHECKING, Any

import pytest
from pydantic_ai import Agent, RunContext
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from tests.queues.conftest import PATIENCE, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from idempotency_manager import IdempotencyManager


@pytest.fixture
def support(tmp_path: Path) -> Iterator[World]:
    """A world without a server: the store is a file."""
    world = World(tmp_path)
    world.environment |= {"IDEMPOTENCY_STORE": f"sqlite:///{tmp_path}/agent.db"}
    yield world
    world.end()


def test_the_call_of_a_tool_is_replayed_after_a_restart(support: World) -> None:
    moments = ("before-answer", "after-send", "before-send")
    for moment in moments:
        support.kill(moment, moment)
    killed = [support.start("tests.queues.run_agent", moment) for moment in moments]
    assert [each.process.wait(PATIENCE) for each in killed] == [-SIGKILL] * 3
    assert [len(support.sent(moment)) for moment in moments] == [1, 1, 0]

    again = [
        support.start("examples.queues.agent", moments[0], "I was charged twice"),  # as a user starts it
        support.start("tests.queues.run_agent", *moments[1:]),
    ]
    assert [each.process.wait(PATIENCE) for each in again] == [0, 0], [each.log for each in again]
    told = "".join(each.log for each in again)
    assert re.fullmatch(r"(You have your money back \(message [123]\)\.\n){3}", told), told
    assert [len(support.sent(moment)) for moment in moments] == [1, 1, 1]


# ---------------------------------------------------------------- which id is the signal


class Shop:
    """An agent with a tool whose signal is found in one of two ways."""

    def __init__(self, manager: IdempotencyManager, signal_id: str) -> None:
        self.refunds: list[int] = []
        self.agent = Agent()

        @self.agent.tool
        @manager.idempotent(target="payments", signal_id=signal_id)
        async def refund(ctx: RunContext[None], order: int) -> str:
            """Refund an order."""
            self.refunds.append(order)
            return f"refund {len(self.refunds)}"

    async def run(self, *calls: ToolCallPart, history: list[ModelMessage] | None = None) -> str:
        """Have a model call the tool, and say what came back."""

        def model(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
            returned = [part for part in messages[-1].parts if part.part_kind == "tool-return"]
            if returned:
                return ModelResponse([TextPart(", ".join(str(part.content) for part in returned))])
            return ModelResponse(list(calls))

        prompt = None if history else "refund it"
        run = await self.agent.run(prompt, run_id="ticket-7", message_history=history, model=FunctionModel(model))
        return run.output


def call(tool_call_id: str | None = None) -> ToolCallPart:
    """A call of the tool; with an id of its own unless one is given."""
    given: dict[str, Any] = {} if tool_call_id is None else {"tool_call_id": tool_call_id}
    return ToolCallPart("refund", {"order": 42}, **given)


@pytest.mark.parametrize(("signal_id", "refunds"), [("ctx.run_id", 1), ("ctx.tool_call_id", 2)])
async def test_a_run_that_starts_over_calls_by_another_id(
    manager: IdempotencyManager, signal_id: str, refunds: int
) -> None:
    shop = Shop(manager, signal_id)
    for _ in range(2):
        await shop.run(call())
    assert len(shop.refunds) == refunds


@pytest.mark.parametrize("signal_id", ["ctx.run_id", "ctx.tool_call_id"])
async def test_a_run_that_goes_on_from_kept_messages_calls_by_the_same_id(
    manager: IdempotencyManager, signal_id: str
) -> None:
    shop = Shop(manager, signal_id)
    kept: list[ModelMessage] = [ModelRequest([UserPromptPart("refund it")]), ModelResponse([call("call_1")])]
    for _ in range(2):
        assert await shop.run(history=kept) == "refund 1"
    assert shop.refunds == [42]


@pytest.mark.parametrize(("signal_id", "refunds"), [("ctx.run_id", 1), ("ctx.tool_call_id", 2)])
async def test_two_equal_calls_of_one_run_are_one_by_the_run_and_two_by_their_ids(
    manager: IdempotencyManager, signal_id: str, refunds: int
) -> None:
    shop = Shop(manager, signal_id)
    await shop.run(call("call_1"), call("call_2"))
    assert len(shop.refunds) == refunds


async def test_the_model_is_told_of_the_tool_as_the_function_says_it(manager: IdempotencyManager) -> None:
    shop = Shop(manager, "ctx.run_id")
    seen: list[AgentInfo] = []

    def model(_: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.append(info)
        return ModelResponse([TextPart("nothing to do")])

    await shop.agent.run("hello", model=FunctionModel(model))
    [tool] = seen[0].function_tools
    assert (tool.name, tool.description) == ("refund", "Refund an order.")
    assert tool.parameters_json_schema["properties"] == {"order": {"type": "integer"}}
    assert tool.parameters_json_schema["required"] == ["order"]
