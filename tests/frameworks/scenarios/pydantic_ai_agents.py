import pytest
from expected import CHAT, MESSAGES, RESPONSES, RETRIED, STREAM
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel

MODELS = {
    "chat": (OpenAIChatModel, "gpt-4o-mini", CHAT),
    "responses": (OpenAIResponsesModel, "gpt-4o-mini", RESPONSES),
    "messages": (AnthropicModel, "claude-haiku-4-5", MESSAGES),
}


def each(*changes):
    """One case for each kind of model, with what it is to be recorded with."""
    cases = [
        pytest.param((kind, name), marks=pytest.mark.calls(*(call | one for one in changes)), id=of)
        for of, (kind, name, call) in MODELS.items()
    ]
    return pytest.mark.parametrize("model", cases)


@pytest.fixture
def agent(model):
    kind, name = model
    return Agent(kind(name))


@each({}, RETRIED)
def test_sync(agent, say):
    agent.run_sync(say())  # here
    agent.run_sync(say(fail=[429, 429]))  # here


@each({})
def test_structured(model, say, ticket):
    kind, name = model
    Agent(kind(name), output_type=ticket).run_sync(say())  # here


@each(STREAM)
def test_stream_sync(agent, say):
    assert list(agent.run_stream_sync(say()).stream_text())  # here


@pytest.mark.asyncio
@each({}, RETRIED)
async def test_async(agent, say):
    await agent.run(say())  # here
    await agent.run(say(fail=[429, 429]))  # here


@pytest.mark.asyncio
@each(STREAM)
async def test_stream(agent, say):
    async with agent.run_stream(say()) as answer:  # here
        assert [one async for one in answer.stream_text()]


@pytest.mark.asyncio
@each(STREAM)
async def test_stream_events(agent, say):
    async with agent.run_stream_events(say()) as events:  # here
        assert [one async for one in events]  # here
