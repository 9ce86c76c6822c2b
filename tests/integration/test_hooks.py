from __future__ import annotations

from tests.integration.conftest import Project

CONFTEST = """
import json

from pytest_crashlens.model.usage import Usage
from pytest_crashlens.providers.reading import Reading, Request


class AcmeGenerate:
    endpoint = "generate"
    family = "acme"

    def matches(self, method, path):
        return method == "POST" and path == "/acme/generate"

    def request(self, exchange):
        asked = json.loads(exchange.request_body)
        return Request(body=asked, model=asked["engine"]) if "engine" in asked else None

    def read(self, exchange, request):
        used = json.loads(exchange.response_body)["units"]
        usage = Usage(input_tokens=used["in"], output_tokens=used["out"])
        return Reading(usage=usage, usage_complete=True)


def pytest_crashlens_wire_formats(config):
    return [AcmeGenerate()]
"""
TEST = """
import httpx


def ask(body):
    answer = httpx.Response(200, json={"units": {"in": 11, "out": 7}})
    transport = httpx.MockTransport(lambda request: answer)
    with httpx.Client(transport=transport) as client:
        client.post("https://acme.test/acme/generate", json=body)


def test_a(crashlens):
    ask({"engine": "acme-1"})
    ask({"unrelated": True})
    (call,) = crashlens.calls
    assert (call.provider, call.endpoint, call.model) == ("acme", "generate", "acme-1")
    assert call.usage.to_dict() == {"input_tokens": 11, "output_tokens": 7}
"""


def test_a_wire_format_of_ones_own(project: Project) -> None:
    project.write("conftest.py", CONFTEST)
    project.write("test_it.py", TEST)
    project.run().assert_outcomes(passed=1)


def test_the_hook_is_known_when_crashlens_is_off(project: Project) -> None:
    project.write("conftest.py", CONFTEST)
    project.write("test_it.py", "def test_a(): pass\n")
    project.pytester.runpytest_inprocess().assert_outcomes(passed=1)
