"""Its asynchronous clients are kept for good, so there must be one event loop."""

import pytest
from expected import CHAT, COUNTED, MESSAGES, RESPONSES, RETRIED, STREAM
from langchain_anthropic import ChatAnthropic
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI


@pytest.fixture
def gpt():
    return ChatOpenAI(model="gpt-4o-mini", stream_usage=True)


@pytest.fixture
def claude():
    return ChatAnthropic(model="claude-haiku-4-5")


@pytest.mark.calls(CHAT, CHAT | STREAM, CHAT | RETRIED)
def test_sync(gpt, say):
    gpt.invoke(say())  # here
    assert list(gpt.stream(say()))  # here
    gpt.invoke(say(fail=[429, 429]))  # here


@pytest.mark.calls(CHAT | STREAM | COUNTED)
def test_stream_without_usage(say):
    assert list(ChatOpenAI(model="gpt-4o-mini", stream_usage=False).stream(say()))  # here


@pytest.mark.calls(RESPONSES, RESPONSES | STREAM)
def test_responses(say):
    gpt = ChatOpenAI(model="gpt-4o-mini", use_responses_api=True)
    gpt.invoke(say())  # here
    assert list(gpt.stream(say()))  # here


@pytest.mark.calls(CHAT, CHAT)
def test_structured(gpt, say, ticket):
    gpt.with_structured_output(ticket).invoke(say())  # here
    gpt.with_structured_output(ticket, method="function_calling").invoke(say())  # here


@pytest.mark.calls(CHAT)
def test_chain(gpt, say):
    chain = ChatPromptTemplate.from_messages([("user", "{said}")]) | gpt
    chain.invoke({"said": say()})  # here


@pytest.mark.calls(CHAT, CHAT, CHAT)
def test_batch(gpt, say):
    gpt.batch([say(), say(), say()])  # here


@pytest.mark.calls(CHAT | RETRIED)
def test_retried_by_langchain(say):
    gpt = ChatOpenAI(model="gpt-4o-mini", max_retries=0)
    again = gpt.with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
    again.invoke(say(fail=[429, 429]))  # here


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.calls(CHAT, CHAT | STREAM, CHAT | RETRIED)
async def test_async(gpt, say):
    await gpt.ainvoke(say())  # here
    assert [one async for one in gpt.astream(say())]  # here
    await gpt.ainvoke(say(fail=[429, 429]))  # here


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.calls(CHAT, CHAT)
async def test_async_batch(gpt, say):
    await gpt.abatch([say(), say()])  # here


@pytest.mark.calls(MESSAGES, MESSAGES | STREAM, MESSAGES | RETRIED)
def test_anthropic(claude, say):
    claude.invoke(say())  # here
    assert list(claude.stream(say()))  # here
    claude.invoke(say(fail=[529, 429]))  # here


@pytest.mark.calls(MESSAGES)
def test_anthropic_structured(claude, say, ticket):
    claude.with_structured_output(ticket).invoke(say())  # here


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.calls(MESSAGES, MESSAGES | STREAM)
async def test_anthropic_async(claude, say):
    await claude.ainvoke(say())  # here
    assert [one async for one in claude.astream(say())]  # here
