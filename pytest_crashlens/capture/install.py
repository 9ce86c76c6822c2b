"""The libraries we see, in one table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pytest_crashlens.capture import (
    aiohttp_client,
    connections,
    framework_fakes,
    httpx_family,
    lm15_transport,
    requests_session,
    sdk_mocks,
    threads,
    urllib_opener,
)
from pytest_crashlens.capture.botocore_client import BotocoreClients
from pytest_crashlens.capture.http_client import Outgoing
from pytest_crashlens.capture.imports import Interposition, Patch
from pytest_crashlens.capture.recorder import Recorder
from pytest_crashlens.capture.sdk_mocks import SdkMocks


def interposition(recorder: Recorder, mocks: SdkMocks | None = None) -> Interposition:
    """What puts ``recorder`` between the SDKs and the network (not yet installed)."""
    patches: dict[str, Callable[..., Callable[[], None]]] = {
        "httpx": httpx_family.patch,
        "httpx2": httpx_family.patch,
        "aiohttp": aiohttp_client.patch,
        "threading": threads.patch_threading,
        "concurrent.futures.thread": threads.patch_executor,
        "socket": connections.patch,
        "dspy._vendor.lm15.transports": lm15_transport.patch,
        "lm15.transports": lm15_transport.patch,
    }
    outgoing = Outgoing(recorder)
    botocore = BotocoreClients(outgoing)
    over_http_client: dict[str, Patch] = {
        "http.client": outgoing.patch,
        "requests": partial(requests_session.patch, outgoing=outgoing),
        "requests_mock.mocker": partial(requests_session.patch_requests_mock, outgoing=outgoing),
        "urllib.request": partial(urllib_opener.patch, outgoing=outgoing),
        "botocore.client": botocore.patch_client,
        "botocore.endpoint": botocore.patch_endpoint,
    }
    above_http: dict[str, Callable[..., Callable[[], None]]] = {
        "unittest.mock": sdk_mocks.patch_mock,
        "mock.mock": sdk_mocks.patch_mock,
        "pytest": sdk_mocks.patch_monkeypatch,
        "langchain_core.tracers.context": framework_fakes.patch_langchain_context,
        "langchain_core.language_models.fake": framework_fakes.patch_langchain_fakes,
        "langchain_core.language_models.fake_chat_models": framework_fakes.patch_langchain_fakes,
        "pydantic_ai.models.test": framework_fakes.patch_pydantic_ai,
        "pydantic_ai.models.function": framework_fakes.patch_pydantic_ai,
        "litellm.main": framework_fakes.patch_litellm,
    }
    fakes = {name: partial(patch, mocks=mocks) for name, patch in above_http.items() if mocks}
    return Interposition(
        {name: partial(patch, recorder=recorder) for name, patch in patches.items()}
        | over_http_client
        | fakes,
        recorder.fault,
    )
