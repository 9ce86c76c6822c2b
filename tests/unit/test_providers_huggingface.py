from __future__ import annotations

import pytest

from tests.provider_exchanges import call, calls, exchange, stream

MODEL = "https://api-inference.huggingface.co/models/mistralai/Mistral-7B"
SERVER = "http://localhost:8080/generate"
ASKED = {"inputs": "hello there", "parameters": {"max_new_tokens": 20}}
DETAILS = {"generated_tokens": 4, "prefill": [{"id": 1}, {"id": 2}, {"id": 3}]}


def token(text, **fields):
    return {"index": 1, "token": {"id": 5, "text": text}, "generated_text": None, **fields}


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/models/gpt2", "gpt2"),
        ("/models/org/name", "org/name"),
        ("/hf-inference/models/org/name", "org/name"),
        ("/hf-inference/models/org/name/pipeline/feature-extraction", "org/name"),
    ],
)
def test_the_model_is_in_the_path(path, model):
    one = call(f"https://router.huggingface.co{path}", [], request=ASKED)
    assert (one.provider, one.endpoint, one.model) == ("huggingface", "text_generation", model)


def test_details_state_the_usage():
    one = call(MODEL, [{"generated_text": "one", "details": DETAILS}], request=ASKED)
    assert one.usage.to_dict() == {"input_tokens": 3, "output_tokens": 4}
    assert (one.usage_source, one.max_output_tokens) == ("provider", 20)


def test_without_details_the_texts_are_counted_the_prompt_once():
    one = call(MODEL, [{"generated_text": "hello there one two three"}], request=ASKED)
    assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 3}
    assert (one.usage_source, "no usage" in one.note) == ("estimated", True)


def test_a_part_of_the_details_is_kept():
    answer = {"generated_text": "one", "details": {"generated_tokens": 9, "prefill": []}}
    one = call(SERVER, answer, request=ASKED)
    assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 9}
    assert one.usage_source == "estimated"


@pytest.mark.parametrize("url", [SERVER, f"{SERVER}_stream", MODEL])
def test_stream(url):
    end = {"finish_reason": "length", "generated_tokens": 2, "input_length": 7}
    body = stream(token("one "), token("two", generated_text="one two", details=end))
    one = call(url, body, request={**ASKED, "stream": True})
    assert one.usage.to_dict() == {"input_tokens": 7, "output_tokens": 2}
    assert (one.streaming, one.model_returned) == (True, None)


def test_a_cut_stream_is_counted():
    one = call(f"{SERVER}_stream", stream(token("one "), token("two")), request=ASKED)
    assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 2}


def test_what_generates_no_text_is_unknown():
    one = call(MODEL, [{"label": "POSITIVE", "score": 0.9}], request=ASKED)
    assert one.usage_unknown


@pytest.mark.parametrize("error", [{"error": "secret", "error_type": "overloaded"}, b"Not Found"])
def test_an_error(error):
    one = call(MODEL, error, request=ASKED, status=503)
    assert (one.billed, one.usage_source) == (False, "none")


@pytest.mark.parametrize(
    ("url", "request_", "answer"),
    [
        (SERVER, {"prompt": "x"}, {"generated_text": "one"}),
        (SERVER, ASKED, {"pdf": "x"}),
        ("http://localhost/models/mine", ASKED, [0.5]),
        (MODEL, {"inputs": {"image": "x"}}, []),
        ("https://huggingface.co/api/models/org/name/revision/main", ASKED, []),
    ],
)
def test_other_services_are_no_calls(url, request_, answer):
    assert calls(exchange(url, answer, request=request_)) == []
