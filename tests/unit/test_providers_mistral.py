from __future__ import annotations

import pytest

from tests.provider_exchanges import HELLO, call, calls, chunk, exchange, stream

V1 = "https://api.mistral.ai/v1"
FIM, AGENTS, OCR = f"{V1}/fim/completions", f"{V1}/agents/completions", f"{V1}/ocr"
USAGE = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}
READ = {"input_tokens": 20, "output_tokens": 9}
CODE = {"model": "codestral-latest", "prompt": "def f():", "suffix": "return 1", "max_tokens": 5}
PAGE = {"model": "mistral-ocr-latest", "document": {"type": "document_url"}}


def test_code_completion():
    one = call(FIM, {"model": "codestral-2508", "choices": [], "usage": USAGE}, request=CODE)
    assert one.usage.to_dict() == READ
    assert (one.provider, one.endpoint, one.model) == ("mistral", "fim", "codestral-2508")
    assert one.max_output_tokens == 5


def test_code_completion_streams():
    one = call(FIM, stream(chunk("pass"), chunk(usage=USAGE)), request={**CODE, "stream": True})
    assert (one.usage.to_dict(), one.streaming) == (READ, True)


def test_a_cut_code_completion_counts_prompt_and_suffix():
    one = call(FIM, stream(chunk("pass")), request={**CODE, "stream": True})
    assert one.usage.to_dict() == {"input_tokens": 4, "output_tokens": 1}


def test_agents():
    request = {"agent_id": "ag:1", "messages": HELLO}
    one = call(AGENTS, {"model": "mistral-large", "choices": [], "usage": USAGE}, request=request)
    assert one.usage.to_dict() == READ
    assert (one.endpoint, one.model) == ("chat", "mistral-large")


def test_an_agents_instructions_cannot_be_counted():
    one = call(AGENTS, stream(chunk("one")), request={"agent_id": "ag:1", "messages": HELLO})
    assert one.usage_unknown


def test_pages_are_no_tokens():
    usage = {"pages_processed": 3, "doc_size_bytes": 10}
    one = call(OCR, {"model": "mistral-ocr-2505", "usage_info": usage}, request=PAGE)
    assert (one.endpoint, one.model, one.usage_unknown) == ("ocr", "mistral-ocr-2505", True)
    assert one.note == "billed by page: 3 pages"


@pytest.mark.parametrize(
    ("url", "request_"),
    [
        (FIM, {"model": "codestral-latest"}),
        (AGENTS, {"messages": HELLO}),
        (AGENTS, {"agent_id": "ag:1"}),
        (OCR, {"model": "m", "document": "x"}),
        (OCR, {"document": {}}),
    ],
)
def test_other_bodies_are_no_calls(url, request_):
    assert calls(exchange(url, {"usage": USAGE}, request=request_)) == []


@pytest.mark.parametrize("request_", [CODE, PAGE, {"agent_id": "ag:1", "messages": HELLO}])
@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"\xff"])
def test_an_unreadable_answer_is_unknown_never_zero(request_, body):
    url = FIM if request_ is CODE else OCR if request_ is PAGE else AGENTS
    one = call(url, body, request=request_)
    assert one.usage_unknown
    assert one.note
