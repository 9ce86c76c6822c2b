"""What answers in place of a provider: each tool is given the one function that knows how."""

from __future__ import annotations

import io
import json
import re
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests import llm_wire as wire
from tests import llm_wire_others as others
from tests.bedrock_server import CONVERSE, INVOKE
from tests.llm_server import ENDPOINTS, EVENTS, LLMServer

SCRIPTED = LLMServer()
"""Not started: it knows the answers."""


def answer(url, raw):
    """Status, headers and body for a request to the provider."""
    path, raw = urlsplit(str(url)).path, raw.encode() if isinstance(raw, str) else raw
    request = others.completed(path, json.loads(raw))
    whole, events = next(both for end, both in ENDPOINTS.items() if path.endswith(end))
    scripted = SCRIPTED.answer(path, raw, request)
    if scripted.status != 200:
        headers = {"content-type": "application/json", "retry-after-ms": "1"}
        error = wire.error(scripted.status, anthropic=path.endswith("/messages"))
        return scripted.status, headers, json.dumps(error).encode()
    if request.get("stream") and events is not None:
        kind = "application/x-ndjson" if path.endswith("/api/chat") else EVENTS
        return 200, {"content-type": kind}, "".join(events(request, scripted)).encode()
    body = json.dumps(whole(request, scripted)).encode()
    return 200, {"content-type": "application/json"}, body


def of_httpx(library):
    """For mock tools that take a function from their library's request to its response."""

    def respond(request):
        status, headers, body = answer(request.url, request.content)
        return library.Response(status, headers=headers, content=body)

    return respond


@contextmanager
def respx(request, scenario):
    import httpx
    import respx

    with respx.mock(assert_all_called=False) as router:
        router.route().mock(side_effect=of_httpx(httpx))
        yield


@contextmanager
def pytest_httpx(request, scenario):
    import httpx

    mock = request.getfixturevalue("httpx_mock")
    mock.add_callback(of_httpx(httpx), is_reusable=True)
    yield


@contextmanager
def pytest_httpx2(request, scenario):
    import httpx  # whose responses it takes, too

    request.getfixturevalue("httpx2_mock").route().mock(side_effect=of_httpx(httpx))
    yield


@contextmanager
def responses(request, scenario):
    import responses

    with responses.RequestsMock() as mock:
        mock.add_callback(
            responses.POST, re.compile(".*"), lambda asked: answer(asked.url, asked.body)
        )
        yield


@contextmanager
def requests_mock(request, scenario):
    import requests_mock

    def respond(asked):
        status, headers, body = answer(asked.url, asked.body)
        return requests_mock.create_response(
            asked, status_code=status, headers=headers, content=body
        )

    with requests_mock.Mocker() as mock:
        mock.add_matcher(respond)
        yield


@contextmanager
def stubber(request, scenario):
    from botocore.response import StreamingBody
    from botocore.stub import Stubber

    raw = json.dumps(INVOKE).encode()
    body = StreamingBody(io.BytesIO(raw), len(raw))
    with Stubber(scenario.client) as stubs:
        if type(scenario).__name__ == "BedrockConverse":
            stubs.add_response("converse", CONVERSE)
        else:
            stubs.add_response("invoke_model", {"body": body, "contentType": "application/json"})
        yield
