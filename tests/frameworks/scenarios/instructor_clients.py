import anthropic
import instructor
import openai
import pytest
from expected import CHAT, MESSAGES, RETRIED
from instructor.core.exceptions import InstructorRetryException

CORRECTED = {name: value for name, value in CHAT.items() if name != "usage"}
CLAUDE = {"model": "claude-haiku-4-5", "max_tokens": 100}


@pytest.fixture
def chat(messages, ticket):
    def chat(**script):
        return {
            "model": "gpt-4o-mini",
            "messages": messages(**script),
            "response_model": ticket,
        }

    return chat


@pytest.mark.calls(CHAT, CHAT | RETRIED)
def test_sync(chat):
    with openai.OpenAI() as bare:
        client = instructor.from_openai(bare)
        client.chat.completions.create(**chat())  # here
        client.chat.completions.create(**chat(fail=[429, 429]))  # here


@pytest.mark.asyncio
@pytest.mark.calls(CHAT, CHAT | RETRIED)
async def test_async(chat):
    async with openai.AsyncOpenAI() as bare:
        client = instructor.from_openai(bare)
        await client.chat.completions.create(**chat())  # here
        await client.chat.completions.create(**chat(fail=[429, 429]))  # here


@pytest.mark.calls(MESSAGES)
def test_anthropic(messages, ticket):
    with anthropic.Anthropic() as bare:
        client = instructor.from_anthropic(bare)
        client.messages.create(**CLAUDE, messages=messages(), response_model=ticket)  # here


@pytest.mark.calls(CHAT, CORRECTED, CORRECTED)
def test_asked_again_for_what_does_not_validate(chat):
    """The corrected prompt is another request."""
    with openai.OpenAI() as bare:
        client = instructor.from_openai(bare, mode=instructor.Mode.JSON)
        with pytest.raises(InstructorRetryException):
            client.chat.completions.create(**chat(text="{}"), max_retries=2)  # here
