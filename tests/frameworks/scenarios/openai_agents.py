import pytest
from agents import Agent, OpenAIChatCompletionsModel, Runner, set_default_openai_client
from expected import CHAT, COUNTED, RESPONSES, RETRIED, STREAM
from openai import AsyncOpenAI


@pytest.fixture(autouse=True)
def _fresh_client():
    """The default client is kept for good, and each test has an event loop of its own."""
    set_default_openai_client(AsyncOpenAI())


@pytest.fixture
def agent():
    return Agent(name="one", model="gpt-4o-mini")


def chat_agent():
    model = OpenAIChatCompletionsModel("gpt-4o-mini", AsyncOpenAI())
    return Agent(name="one", model=model)


@pytest.mark.calls(RESPONSES)
def test_sync(agent, say):
    Runner.run_sync(agent, say())  # here


@pytest.mark.calls(RESPONSES | RETRIED)
def test_retried(agent, say):
    Runner.run_sync(agent, say(fail=[429, 429]))  # here


@pytest.mark.asyncio
@pytest.mark.calls(RESPONSES, CHAT)
async def test_async(agent, say):
    await Runner.run(agent, say())  # here
    await Runner.run(chat_agent(), say())  # here


@pytest.mark.asyncio
@pytest.mark.calls(RESPONSES)
async def test_structured(say, ticket):
    await Runner.run(Agent(name="one", model="gpt-4o-mini", output_type=ticket), say())  # here


@pytest.mark.asyncio
@pytest.mark.calls(RESPONSES | STREAM)
async def test_stream(agent, say):
    streamed = Runner.run_streamed(agent, say())
    assert [one async for one in streamed.stream_events()]  # here: its task is at work meanwhile


@pytest.mark.asyncio
@pytest.mark.calls(CHAT | STREAM | COUNTED)
async def test_stream_of_chat(say):
    streamed = Runner.run_streamed(chat_agent(), say())
    assert [one async for one in streamed.stream_events()]  # here
