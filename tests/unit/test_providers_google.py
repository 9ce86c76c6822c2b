"""What Google serves beside generateContent."""

from __future__ import annotations

import pytest

from tests.provider_exchanges import HELLO, call, calls, exchange, stream

V1 = "https://generativelanguage.googleapis.com/v1beta"
EMBED = f"{V1}/models/gemini-embedding-001:embedContent"
BATCH = f"{V1}/models/gemini-embedding-001:batchEmbedContents"
VERTEX = "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers"
PREDICT = f"{VERTEX}/google/models/text-embedding-005:predict"
INTERACTIONS = f"{V1}/interactions"
CLAUDE = f"{VERTEX}/anthropic/models/claude-sonnet-4-5@20250929:rawPredict"

CONTENT = {"parts": [{"text": "one two"}]}
PICTURE = {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}
TOTALS = {
    "total_input_tokens": 9,
    "total_tool_use_tokens": 4,
    "total_cached_tokens": 2,
    "total_output_tokens": 13,
    "total_thought_tokens": 7,
    "total_tokens": 33,
    "input_tokens_by_modality": [{"modality": "image", "tokens": 3}],
}
INTERACTION = {
    "model": "gemini-2.5-flash",
    "status": "completed",
    "steps": [{"type": "model_output", "content": [{"type": "text", "text": "one two"}]}],
}
PREDICT_ASKED = {"instances": [{"content": "one two"}, {"content": "three"}]}
INTERACTION_ASKED = {"model": "gemini-2.5-flash", "input": "hello there"}
INTERACTION_READ = {
    "input_tokens": 13,
    "output_tokens": 20,
    "cache_read_tokens": 2,
    "input_image_tokens": 3,
    "reasoning_tokens": 7,
}
RAW_ASKED = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": HELLO}
RAW_USAGE = {"input_tokens": 5, "cache_read_input_tokens": 100, "output_tokens": 9}


class TestEmbeddings:
    def test_input_only(self):
        answer = {"usageMetadata": {"promptTokenCount": 11, "totalTokenCount": 11}}
        one = call(EMBED, answer, request={"content": CONTENT})
        assert one.usage.to_dict() == {"input_tokens": 11}
        assert (one.provider, one.endpoint, one.model) == (
            "google",
            "embeddings",
            "gemini-embedding-001",
        )
        assert one.usage_source == "provider"

    def test_pictures_under_the_name_that_the_batch_method_uses(self):
        details = [{"modality": "IMAGE", "tokenCount": 8}]
        answer = {"usageMetadata": {"promptTokenCount": 11, "promptTokenDetails": details}}
        one = call(BATCH, answer, request={"requests": [{"content": PICTURE}]})
        assert one.usage.to_dict() == {"input_tokens": 11, "input_image_tokens": 8}

    def test_without_usage_texts_are_counted(self):
        request = {"requests": [{"content": CONTENT}, {"content": CONTENT}]}
        one = call(BATCH, {"embeddings": []}, request=request)
        assert one.usage.to_dict() == {"input_tokens": 4}
        assert (one.usage_source, "no usage" in one.note) == ("estimated", True)

    def test_without_usage_pictures_are_unknown(self):
        one = call(BATCH, {}, request={"requests": [{"content": CONTENT}, {"content": PICTURE}]})
        assert one.usage_unknown

    @pytest.mark.parametrize("request_", [{}, {"content": "x"}, {"requests": 1}])
    def test_other_bodies_are_no_calls(self, request_):
        assert calls(exchange(EMBED, {}, request=request_)) == []


class TestPredict:
    def answer(self, *statistics):
        return {"predictions": [{"embeddings": {"statistics": one}} for one in statistics]}

    def test_the_sum_of_the_predictions(self):
        answer = self.answer({"token_count": 4}, {"tokenCount": 3})
        one = call(PREDICT, answer, request=PREDICT_ASKED)
        assert one.usage.to_dict() == {"input_tokens": 7}
        assert (one.provider, one.endpoint, one.model) == (
            "vertex",
            "embeddings",
            "text-embedding-005",
        )

    def test_a_prediction_without_its_count_leaves_the_sum_unstated(self):
        one = call(PREDICT, self.answer({"token_count": 4}, {}), request=PREDICT_ASKED)
        assert one.usage.to_dict() == {"input_tokens": 3}
        assert one.usage_source == "tokenizer"

    @pytest.mark.parametrize("method", ["predict", "predictLongRunning"])
    def test_pictures_and_films_are_calls_of_unknown_usage(self, method):
        url = f"{V1}/models/imagen-4.0:{method}"
        one = call(url, {"name": "op"}, request={"instances": [{"prompt": "a cat"}]})
        assert (one.endpoint, one.model, one.usage_unknown) == ("predict", "imagen-4.0", True)
        assert one.note == "its answers state no usage"

    @pytest.mark.parametrize(
        "url",
        [
            "http://localhost:8501/v1/models/resnet:predict",
            "https://us-aiplatform.googleapis.com/v1/projects/p/locations/l/endpoints/1:predict",
        ],
    )
    def test_models_of_ones_own_are_no_calls(self, url):
        assert calls(exchange(url, {}, request=PREDICT_ASKED)) == []


class TestInteractions:
    def test_tools_and_thoughts_are_beside_input_and_output(self):
        asked = {**INTERACTION_ASKED, "generation_config": {"max_output_tokens": 5}}
        one = call(INTERACTIONS, {**INTERACTION, "usage": TOTALS}, request=asked)
        assert one.usage.to_dict() == INTERACTION_READ
        assert (one.endpoint, one.model_returned, one.max_output_tokens) == (
            "interactions",
            "gemini-2.5-flash",
            5,
        )

    def test_stream(self):
        body = stream(
            {"event_type": "interaction.created", "interaction": {"model": "gemini-2.5-flash"}},
            {"event_type": "step.delta", "index": 1, "delta": {"type": "text", "text": "one"}},
            {
                "event_type": "interaction.completed",
                "interaction": {"usage": TOTALS, "service_tier": "flex"},
            },
            "[DONE]",
        )
        one = call(INTERACTIONS, body, request={**INTERACTION_ASKED, "stream": True})
        assert one.usage.to_dict() == INTERACTION_READ
        assert (one.streaming, one.service_tier) == (True, "flex")
        assert one.model_returned == "gemini-2.5-flash"

    def test_a_cut_stream_is_counted(self):
        body = stream(
            {"interaction": {"model": "gemini-2.5-flash"}},
            {"index": 1, "delta": {"text": "one two"}},
        )
        one = call(INTERACTIONS, body, request=INTERACTION_ASKED, ended="closed_early")
        assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 2}
        assert "before its usage" in one.note

    def test_without_usage_the_texts_are_counted(self):
        one = call(INTERACTIONS, INTERACTION, request=INTERACTION_ASKED)
        assert one.usage.to_dict() == {"input_tokens": 2, "output_tokens": 2}

    @pytest.mark.parametrize(
        ("more", "why"),
        [({"background": True}, "background"), ({"previous_interaction_id": "v1"}, "kept")],
    )
    def test_what_is_elsewhere_is_unknown(self, more, why):
        one = call(INTERACTIONS, {"status": "in_progress"}, request={**INTERACTION_ASKED, **more})
        assert one.usage_unknown
        assert why in one.note

    def test_an_agent_stands_for_the_model(self):
        one = call(INTERACTIONS, {"status": "x"}, request={"agent": "deep", "input": "x"})
        assert one.model == "deep"

    @pytest.mark.parametrize("request_", [{"input": "x"}, {"model": "m"}, {}])
    def test_other_bodies_are_no_calls(self, request_):
        assert calls(exchange(INTERACTIONS, {}, request=request_)) == []

    @pytest.mark.parametrize("streamed", [False, True])
    def test_an_error_is_not_billed(self, streamed):
        error = {"error": {"code": "too_many", "message": "secret"}}
        one = call(INTERACTIONS, stream(error) if streamed else error, request=INTERACTION_ASKED)
        assert (one.billed, one.error) == (False, "too_many")


class TestOtherPublishers:
    def test_anthropics_models(self):
        one = call(CLAUDE, {"model": "claude-x", "usage": RAW_USAGE}, request=RAW_ASKED)
        assert one.usage.to_dict() == {
            "input_tokens": 105,
            "output_tokens": 9,
            "cache_read_tokens": 100,
        }
        assert (one.provider, one.endpoint) == ("vertex", "messages")
        assert one.model_requested == "claude-sonnet-4-5@20250929"
        assert (one.max_output_tokens, one.streaming) == (9, False)

    def test_anthropics_models_stream(self):
        body = stream(
            {"type": "message_start", "message": {"model": "claude-x", "usage": RAW_USAGE}},
            {"type": "message_delta", "usage": {"output_tokens": 12}},
        )
        url = CLAUDE.replace("@", "%40").replace(":rawP", ":streamRawP")
        one = call(url, body, request=RAW_ASKED)
        assert (one.usage.output_tokens, one.streaming) == (12, True)
        assert one.model_requested == "claude-sonnet-4-5@20250929"

    def test_mistrals_models_speak_openais_format(self):
        url = f"{VERTEX}/mistralai/models/mistral-small:rawPredict"
        usage = {"prompt_tokens": 3, "completion_tokens": 4}
        one = call(url, {"choices": [], "usage": usage}, request={"messages": HELLO})
        assert one.usage.to_dict() == {"input_tokens": 3, "output_tokens": 4}
        assert (one.endpoint, one.model) == ("chat", "mistral-small")

    def test_counting_tokens_is_no_call(self):
        url = f"{VERTEX}/anthropic/models/count-tokens:rawPredict"
        assert calls(exchange(url, {"input_tokens": 5}, request=RAW_ASKED)) == []

    def test_other_bodies_are_no_calls(self):
        assert calls(exchange(CLAUDE, {}, request={"instances": []})) == []
