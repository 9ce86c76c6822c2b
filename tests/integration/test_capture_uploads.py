"""Uploads are sent as streams that nobody has in memory: their form is read all the same."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import Project

pytest.importorskip("httpx2", reason="the clients here are those of openai 3")

TESTS = """
import asyncio

import httpx2
import openai
import pytest

ANSWER = {
    "text": "It is so.",
    "usage": {"type": "tokens", "input_tokens": 30, "output_tokens": 4, "total_tokens": 34},
}


def transport(*statuses):
    waiting = list(statuses)

    def respond(request):
        request.read()
        status = waiting.pop(0)
        return httpx2.Response(status, json=ANSWER, headers={"retry-after-ms": "1"})

    return httpx2.MockTransport(respond)


def ask(client, sound):
    file = ("a.wav", sound)
    return client.audio.transcriptions.create(model="gpt-4o-transcribe", file=file)


def test_retried():
    http = httpx2.Client(transport=transport(500, 200))
    with openai.OpenAI(http_client=http) as client:
        ask(client, b"RIFF")


def test_two_uploads_of_which_the_first_fails():
    http = httpx2.Client(transport=transport(500, 200))
    with openai.OpenAI(http_client=http, max_retries=0) as client:
        with pytest.raises(openai.InternalServerError):
            ask(client, b"RIFF")
        ask(client, b"another")


def test_async():
    async def run():
        http = httpx2.AsyncClient(transport=transport(200))
        async with openai.AsyncOpenAI(http_client=http) as client:
            await ask(client, b"RIFF")

    asyncio.run(run())
"""


def test_uploads(project: Project) -> None:
    project.write("test_it.py", TESTS)
    assert project.run("--crashlens-report=json:report.json").ret == 0
    report = json.loads((project.path / "report.json").read_text())
    found = {
        test["nodeid"].partition("::")[2]: [
            (call["model_requested"], call["attempts"], call["usage"].get("input_tokens"))
            for call in test["calls"]
        ]
        for test in report["tests"]
    }
    model = "gpt-4o-transcribe"
    assert found == {
        "test_retried": [(model, 2, 30)],
        "test_two_uploads_of_which_the_first_fails": [(model, 1, None), (model, 1, 30)],
        "test_async": [(model, 1, 30)],
    }
