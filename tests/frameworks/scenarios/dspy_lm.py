"""DSPy has an HTTP client of its own; beside it, it goes through litellm."""

import dspy
import pytest
from expected import CHAT, RETRIED


@pytest.fixture
def lm(server_url):
    return dspy.LM("openai/gpt-4o-mini", api_base=f"{server_url}/v1", api_key="k", cache=False)


@pytest.mark.calls(CHAT, CHAT | RETRIED)
def test_sync(lm, messages):
    lm(messages=messages())  # here
    lm(messages=messages(fail=[429, 429]))  # here


@pytest.mark.calls(CHAT)
def test_structured(lm, say):
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
        said = say(text="[[ ## answer ## ]]\none\n\n[[ ## completed ## ]]")
        dspy.Predict("question -> answer")(question=said)  # here


@pytest.mark.asyncio
@pytest.mark.calls(CHAT, CHAT | RETRIED)
async def test_async(lm, messages):
    await lm.acall(messages=messages())  # here
    await lm.acall(messages=messages(fail=[429, 429]))  # here
