"""litellm's router runs the whole call again: the SDK's own count of retries stays 0."""

import litellm
import pytest
from expected import CHAT, FAILED, OTHER_CHAT, RETRIED


@pytest.fixture
def router(server_url):
    where = {"api_base": f"{server_url}/v1", "api_key": "k", "max_retries": 0}
    models = [
        {"model_name": name, "litellm_params": {"model": f"openai/{name}", **where}}
        for name in ("gpt-4o-mini", "gpt-4o")
    ]

    def router(**options):
        return litellm.Router(models, retry_after=0, disable_cooldowns=True, **options)

    return router


@pytest.mark.calls(CHAT)
def test_sync(router, messages):
    router().completion("gpt-4o-mini", messages())  # here


@pytest.mark.calls(CHAT | RETRIED)
def test_retried(router, messages):
    router(num_retries=2).completion("gpt-4o-mini", messages(fail=[500, 500]))  # here


@pytest.mark.calls(CHAT | FAILED | {"status": 500, "attempts": 2}, OTHER_CHAT)
def test_fallback(router, messages):
    fallen = router(num_retries=1, fallbacks=[{"gpt-4o-mini": ["gpt-4o"]}])
    fallen.completion("gpt-4o-mini", messages(fail=[500, 500], fail_for="gpt-4o-mini"))  # here


@pytest.mark.asyncio
@pytest.mark.calls(CHAT, CHAT | RETRIED)
async def test_async(router, messages):
    await router().acompletion("gpt-4o-mini", messages())  # here
    again = router(num_retries=2)
    await again.acompletion("gpt-4o-mini", messages(fail=[500, 500]))  # here


@pytest.mark.asyncio
@pytest.mark.calls(CHAT | FAILED | {"status": 500, "attempts": 2}, OTHER_CHAT)
async def test_async_fallback(router, messages):
    fallen = router(num_retries=1, fallbacks=[{"gpt-4o-mini": ["gpt-4o"]}])
    asked = messages(fail=[500, 500], fail_for="gpt-4o-mini")
    await fallen.acompletion("gpt-4o-mini", asked)  # here
