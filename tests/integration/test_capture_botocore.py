"""What boto3 asks Bedrock is recorded: each attempt once, streamed or stubbed or replayed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

boto3 = pytest.importorskip("boto3", reason="the adapter under test is that of botocore")

import vcr  # noqa: E402, F401 - after botocore, whose connections' classes it keeps
from botocore.awsrequest import AWSResponse  # noqa: E402
from botocore.client import BaseClient  # noqa: E402
from botocore.config import Config  # noqa: E402
from botocore.endpoint import Endpoint  # noqa: E402

from tests.bedrock_server import BedrockServer  # noqa: E402
from tests.event_streams import event  # noqa: E402
from tests.integration.conftest import Project  # noqa: E402
from tests.integration.test_capture_requests import calls_of  # noqa: E402
from tests.integration.test_invisible import Capture, error_of, same_with_capture  # noqa: E402

CREDENTIALS = {
    "aws_access_key_id": "a",
    "aws_secret_access_key": "b",
    "region_name": "us-east-1",
}
ASKED: dict[str, Any] = {
    "modelId": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "messages": [{"role": "user", "content": [{"text": "Is it so?"}]}],
}


@pytest.fixture(scope="module")
def bedrock() -> Iterator[BedrockServer]:
    with BedrockServer() as running:
        yield running


def client_of(url: str, service: str = "bedrock-runtime", **options: Any) -> Any:
    config = Config(**{"retries": {"total_max_attempts": 1}, **options})
    return boto3.client(service, endpoint_url=url, config=config, **CREDENTIALS)


def script(**values: Any) -> dict[str, Any]:
    return ASKED | {"messages": [{"role": "user", "content": [{"text": json.dumps(values)}]}]}


SHARED = """
import io
import json
import os

import boto3
import pytest
from botocore.config import Config

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.fixture(scope="module")
def client():
    config = Config(retries={"mode": "standard", "total_max_attempts": 3})
    client = boto3.client(
        "bedrock-runtime", endpoint_url=os.environ["BEDROCK_URL"], region_name="us-east-1",
        aws_access_key_id="a", aws_secret_access_key="b", config=config,
    )
    yield client
    client.close()


@pytest.fixture
def said(request):
    def said(**script):
        text = json.dumps({"scenario": request.node.name} | script)
        return {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": text}]}]}
    return said


@pytest.fixture
def body(request):
    content = json.dumps({"scenario": request.node.name})
    return json.dumps({"max_tokens": 9, "messages": [{"role": "user", "content": content}]})


def test_converse(client, said):
    assert client.converse(**said())["usage"]["outputTokens"] == 70


def test_converse_stream(client, said):
    assert list(client.converse_stream(**said())["stream"])


def test_invoke(client, body):
    assert json.loads(client.invoke_model(modelId=MODEL, body=body)["body"].read())


def test_invoke_stream(client, body):
    answer = client.invoke_model_with_response_stream(modelId=MODEL, body=body)
    assert list(answer["body"])


def test_retried(client, said, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    answer = client.converse(**said(fail=[503, 429]))
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2
"""

SCENARIOS = (
    SHARED
    + """
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.response import StreamingBody
from botocore.stub import Stubber


@pytest.fixture(scope="module")
def kept_open():
    kept = []
    yield kept
    for stream in kept:
        stream.close()


def test_invoke_lines(client, body):
    assert list(client.invoke_model(modelId=MODEL, body=body)["body"].iter_lines())


def test_invoke_chunks(client, body):
    answer = client.invoke_model(modelId=MODEL, body=io.BytesIO(body.encode()))
    assert list(answer["body"].iter_chunks(10))


def test_invoke_with(client, body):
    with client.invoke_model(modelId=MODEL, body=body)["body"] as raw:
        assert json.load(raw)


def test_stream_abandoned(client, said):
    stream = client.converse_stream(**said())["stream"]
    events = iter(stream)
    assert [next(events) for _ in range(2)]
    stream.close()


def test_stream_never_closed(client, said, kept_open):
    kept_open.append(client.converse_stream(**said())["stream"])
    events = iter(kept_open[-1])
    assert [next(events) for _ in range(2)]


def test_stream_cut(client, said):
    from urllib3.exceptions import ProtocolError

    with pytest.raises(ProtocolError):
        list(client.converse_stream(**said(cut_after=3))["stream"])


def test_refused(client, said):
    with pytest.raises(ClientError):
        client.converse(**said(fail=[400]))


def test_all_attempts_fail(client, said, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(ClientError) as caught:
        client.converse(**said(fail=[503, 503, 503]))
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 2


def test_stub_converse(client, said):
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": "It is so."}]}},
        "stopReason": "end_turn", "metrics": {"latencyMs": 1},
        "usage": {
            "inputTokens": 800, "cacheReadInputTokens": 100, "outputTokens": 70,
            "totalTokens": 970,
        },
    }
    with Stubber(client) as stubber:
        stubber.add_response("converse", answer)
        assert client.converse(**said()) is answer


def test_stub_invoke(client, body):
    content = json.dumps({"type": "message", "content": [], "usage": {
        "input_tokens": 800, "cache_read_input_tokens": 100, "output_tokens": 70,
    }}).encode()
    with Stubber(client) as stubber:
        streamed = StreamingBody(io.BytesIO(content), len(content))
        stubber.add_response(
            "invoke_model", {"body": streamed, "contentType": "application/json"}
        )
        answer = client.invoke_model(modelId=MODEL, body=body)
        assert answer["body"] is streamed
        assert streamed.read() == content


def test_stub_refused(client, said):
    with Stubber(client) as stubber:
        stubber.add_client_error("converse", "ThrottlingException", http_status_code=429)
        with pytest.raises(ClientError):
            client.converse(**said())


def test_other_services():
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a",
                          aws_secret_access_key="b")
    with Stubber(client) as stubber:
        stubber.add_response("list_buckets", {"Buckets": []})
        client.list_buckets()
"""
)
CALL = {
    "provider": "bedrock",
    "endpoint": "converse",
    "usage": {"input_tokens": 900, "cache_read_tokens": 100, "output_tokens": 70},
    "usage_source": "provider",
    "attempts": 1,
    "streaming": False,
    "ended": "complete",
    "status": 200,
    "live": True,
}
STREAM = {"streaming": True}
INVOKED = {"endpoint": "invoke"}
COUNTED = {"usage": "input and output", "usage_source": "estimated"}
UNKNOWN = {"usage": {}, "usage_source": "none"}
SIMULATED = {"live": False}
EXPECTED = {
    "test_converse": CALL,
    "test_converse_stream": CALL | STREAM,
    "test_invoke": CALL | INVOKED,
    "test_invoke_stream": CALL | INVOKED | STREAM,
    "test_retried": CALL | {"attempts": 3},
    "test_invoke_lines": CALL | INVOKED,
    "test_invoke_chunks": CALL | INVOKED,
    "test_invoke_with": CALL | INVOKED,
    "test_stream_abandoned": CALL | STREAM | COUNTED | {"ended": "closed_early"},
    "test_stream_never_closed": CALL | STREAM | COUNTED | {"ended": "unfinished"},
    "test_stream_cut": CALL | STREAM | COUNTED | {"ended": "error"},
    "test_refused": CALL | UNKNOWN | {"status": 400},
    "test_all_attempts_fail": CALL | UNKNOWN | {"attempts": 3, "status": 503},
    "test_stub_converse": CALL | SIMULATED,
    "test_stub_invoke": CALL | INVOKED | SIMULATED,
    "test_stub_refused": CALL | SIMULATED | UNKNOWN | {"status": 429},
}


def brief(call: dict[str, Any]) -> dict[str, Any]:
    found = {name: call[name] for name in CALL}
    if call["usage_source"] == "estimated" and call["usage"]["input_tokens"]:
        found["usage"] = "input and output"
    else:
        found["usage"] = {name: value for name, value in call["usage"].items() if value}
    return found


def test_every_call_of_every_kind(
    project: Project, bedrock: BedrockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEDROCK_URL", bedrock.url)
    earlier = len(bedrock.statuses)
    project.write("test_it.py", SCENARIOS)
    calls = calls_of(project)
    assert {name: [brief(call) for call in found] for name, found in calls.items()} == {
        name: [expected] for name, expected in EXPECTED.items()
    }
    live = [call["attempts"] for found in calls.values() for call in found if call["live"]]
    assert sum(live) == len(bedrock.statuses) - earlier
    sites = {call["call_site"] for found in calls.values() for call in found}
    assert all(site.startswith("test_it.py:") for site in sites)
    assert {site.rpartition(" ")[2] for site in sites} == set(EXPECTED)


def test_cassettes_are_recorded_live_and_replayed_as_simulated(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("test_it.py", SHARED)
    project.write(
        "conftest.py",
        """
import pytest
import vcr


@pytest.fixture(autouse=True)
def cassette(request):
    with vcr.use_cassette(f"{request.node.name}.yaml"):
        yield
""",
    )
    with BedrockServer() as server:
        monkeypatch.setenv("BEDROCK_URL", server.url)
        recorded = calls_of(project)
        sent = len(server.statuses)
    replayed = calls_of(project)  # nobody listens there any more
    assert sent == 7
    for name in ("test_converse", "test_converse_stream", "test_invoke", "test_retried"):
        expected = EXPECTED[name]
        assert (name, [brief(call) for call in recorded[name]]) == (name, [expected])
        again = [brief(call) for call in replayed[name]]
        assert (name, again) == (name, [expected | SIMULATED])


def answers(url: str) -> Any:
    """What a program can see of the answers."""
    found: list[Any] = []
    client = client_of(url)

    def told(answer: Any) -> Any:
        metadata = answer["ResponseMetadata"]
        metadata["HTTPHeaders"].pop("date")
        return {name: value for name, value in answer.items() if isinstance(value, dict | str)}

    found.append(told(client.converse(**ASKED)))
    streamed = client.converse_stream(**ASKED)
    found += [told(streamed), type(streamed["stream"]), list(streamed["stream"])]
    found.append(error_of(lambda: list(client.converse_stream(**script(cut_after=2))["stream"])))
    found.append(error_of(lambda: client.converse(**script(fail=[429]))))
    found.append(error_of(lambda: client.converse(**script(fail=[0]))))
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}]})

    def invoked() -> Any:
        return client.invoke_model(modelId="m", body=body)["body"]

    whole = invoked()
    found += [
        type(whole),
        whole.readable(),
        whole.read(5),
        whole.tell(),
        whole.read(),
        whole.read(),
    ]
    found += [list(invoked()), list(invoked().iter_lines()), invoked().readlines()]
    buffer = bytearray(8)
    found += [invoked().readinto(buffer), bytes(buffer), json.load(io.TextIOWrapper(invoked()))]
    with invoked() as raw:
        found += [type(raw).__name__, isinstance(raw, io.IOBase), raw.read(4)]
    client.close()
    return found


def test_answers(bedrock: BedrockServer) -> None:
    def act() -> Any:
        bedrock.failed.clear()
        return answers(bedrock.url)

    same_with_capture(act, attempts=12)


def test_first_event_arrives_before_the_last_is_sent() -> None:
    capture = Capture()
    with BedrockServer() as server, capture.installed() as owner:
        client = client_of(server.url, read_timeout=20)
        events = iter(client.converse_stream(**script(gate=True))["stream"])
        assert next(events) == {"messageStart": {"role": "assistant"}}
        assert not server.opened.is_set()
        server.opened.set()
        assert [next(iter(event)) for event in events][-1] == "metadata"
        client.close()
    assert [attempt.ended for attempt in owner.attempts] == ["complete"]


def test_request_that_goes_out_and_gets_no_answer_is_live(bedrock: BedrockServer) -> None:
    capture = Capture()
    with capture.installed() as owner:
        for client in (client_of(bedrock.url), client_of("http://127.0.0.1:1")):
            error_of(lambda client=client: client.converse(**script(fail=[0, 0])))  # type: ignore[misc]
            client.close()
    lost, never_sent = owner.attempts
    assert (lost.status, lost.ended, lost.error) == (None, "error", "ConnectionClosedError")
    assert lost.live is True
    assert never_sent.error == "EndpointConnectionError"


def test_agents(bedrock: BedrockServer) -> None:
    """As a mock of the HTTP request (moto's way) answers."""
    trace = {
        "trace": {
            "orchestrationTrace": {
                "modelInvocationOutput": {
                    "metadata": {"usage": {"inputTokens": 30, "outputTokens": 4}},
                }
            }
        }
    }
    content = event("trace", trace) + event("chunk", {"bytes": "eA=="})

    class Raw(io.BytesIO):
        def stream(self, **options: Any) -> Iterator[bytes]:
            while chunk := self.read(100):
                yield chunk

    def mocked(**about: Any) -> Any:
        kind = {"content-type": "application/vnd.amazon.eventstream"}
        return AWSResponse(about["request"].url, 200, kind, Raw(content))

    capture = Capture()
    with capture.installed() as owner:
        client = client_of("https://bedrock-agent-runtime.us-east-1.amazonaws.com", AGENTS)
        client.meta.events.register("before-send", mocked)
        answer = client.invoke_agent(
            agentId="A123456789", agentAliasId="B123456789", sessionId="one", inputText="Go on"
        )
        assert [next(iter(event)) for event in answer["completion"]] == ["trace", "chunk"]
        client.close()
    [attempt] = owner.attempts
    assert (attempt.live, attempt.ended, b"".join(attempt.chunks)) == (False, "complete", content)
    assert json.loads(attempt.request_body)["inputText"] == "Go on"


AGENTS = "bedrock-agent-runtime"


def test_clients_made_before_and_after(bedrock: BedrockServer) -> None:
    methods = [
        (BaseClient, "_make_api_call"),
        (BaseClient, "_convert_to_request_dict"),
        (Endpoint, "_do_get_response"),
    ]
    originals = [vars(cls)[name] for cls, name in methods]
    client = client_of(bedrock.url)
    capture = Capture()
    with capture.installed() as owner:
        client.converse(**ASKED)
        assert [vars(cls)[name] for cls, name in methods] != originals
    client.converse(**ASKED)
    client.close()
    assert len(owner.attempts) == 1
    assert [vars(cls)[name] for cls, name in methods] == originals


def test_stubbed_bodies_stay_with_their_reader() -> None:
    """Events of the user's own generator are not taken from whoever reads them."""
    capture = Capture()
    with capture.installed() as owner:
        client = client_of("https://bedrock-runtime.us-east-1.amazonaws.com")
        events = iter([{"messageStart": {"role": "assistant"}}])
        response = AWSResponse(None, 200, {}, None)
        client.meta.events.register(
            "before-call", lambda **about: (response, {"stream": events, "ResponseMetadata": {}})
        )
        assert list(client.converse_stream(**ASKED)["stream"]) == [
            {"messageStart": {"role": "assistant"}}
        ]
        client.close()
    [attempt] = owner.attempts
    assert (attempt.live, attempt.status, attempt.ended) == (False, 200, None)
