"""How far our token counts are from the providers' own, where a provider would state none.

    CRASHLENS_SHARED=FOLDER python benchmarks/token_counts.py [PATH ...]

Takes recorded calls whose answers state their usage and whose bodies hold text only, removes what
is stated, reads them again and compares. Without a path it reads the recorded traffic in
``CRASHLENS_SHARED``. Prints a Markdown table; errors are in % of what the provider stated: the
median with its sign, the 90th percentile without, and that of all counted tokens together.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_crashlens.model.call import Call
from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.providers.calls import read_calls
from pytest_crashlens.recordings.find import find, read
from pytest_crashlens.recordings.recording import Unreadable
from pytest_crashlens.tokens.counting import TokenCounter

USAGE = frozenset(
    {
        "usage",
        "usageMetadata",
        "usage_metadata",
        "usage_info",
        "usage_breakdown",
        "x_groq",
        "meta",  # Cohere
        "metrics",
        "statistics",  # Vertex embeddings
        "metadata",  # Vertex embeddings
        "amazon-bedrock-invocationMetrics",
        "prompt_eval_count",  # Ollama
        "eval_count",
        "prompt_token_count",  # Llama on Bedrock
        "generation_token_count",
        "inputTextTokenCount",  # Titan on Bedrock
        "tokenCount",
    }
)
USAGE_HEADERS = ("token-count", "x-amzn-bedrock")

MEDIA = re.compile(
    rb'"(inline_?data|file_?data|image_?url|input_?(image|audio|file)|image|audio|video|document'
    rb'|media|guardContent)"\s*:\s*[{\["]|"type"\s*:\s*"(input_)?(image|image_url|audio|input_audio'
    rb'|file|document|video|media|document_url|video_url|audio_url)"',
    re.IGNORECASE,
)
ELSEWHERE = re.compile(
    rb'"(previous_response_id|conversation|cached_?content|container|data_sources'
    rb'|context_management|plugins|documents|search_results?)"\s*:\s*[{\["]',
    re.IGNORECASE,
)
"""A part of the input is with the provider, or only there becomes a prompt."""
SERVER_TOOLS = re.compile(
    rb'"(google_?search(_?retrieval)?|code_?execution|url_?context|file_?search|google_?maps'
    rb'|web_search_options|mcp_servers)"\s*:|"type"\s*:\s*"(web_search|web_fetch|code_execution'
    rb"|code_interpreter|file_search|mcp|image_generation|computer|bash_|text_editor|memory_"
    rb'|tool_search|advisor|shell|local_shell|apply_patch)|"model"\s*:\s*"[^"]*'
    rb"(sonar|compound|search|deep-research|:online)",
    re.IGNORECASE,
)
TOOLS = re.compile(
    rb'"(tools|toolConfig|functions|response_?format|response_?(json_?)?schema|json_schema'
    rb'|output_config|output_format|outputConfig)"\s*:\s*[{\["]',
    re.IGNORECASE,
)

TOOL_CALL = re.compile(
    rb'(?P<name>"(tool_calls|functionCall|function_call|toolUse)"\s*:'
    rb'|"type"\s*:\s*"(tool_use|function_call|custom_tool_call)")'
)

FAMILIES = (
    (r"embed|voyage", "embeddings, others"),
    (r"claude-\D*(4[-.][7-9]|[5-9](?!\d))", "Claude 4.7 and newer"),
    (r"claude", "Claude until 4.6"),
    (r"gemini|gemma", "Gemini, Gemma"),
    (r"gpt-oss", "gpt-oss"),
    (r"gpt-4(?![.o\d])|gpt-3|gpt-35|davinci|babbage", "OpenAI, cl100k"),
    (r"gpt|o[134](-|$)|codex", "OpenAI, o200k"),
    (r"(mis|minis|magis|code|devs|pix|voxs)tral", "Mistral"),
    (r"command|cohere", "Cohere"),
    (r"llama", "Llama"),
    (r"deepseek", "DeepSeek"),
    (r"nova|titan", "Amazon"),
    (r"qwen|qwq", "Qwen"),
    (r"kimi", "Kimi"),
    (r"glm", "GLM"),
    (r"grok", "Grok"),
)

Errors = dict[tuple[str, str], list[tuple[int, int]]]
"""Stated and counted tokens, by family and by what was counted."""


def family(call: Call) -> str:
    model = (call.model or "").lower()
    if "embed" in call.endpoint.lower():
        return "embeddings, OpenAI" if "text-embedding-" in model else "embeddings, others"
    found = next((name for pattern, name in FAMILIES if re.search(pattern, model)), "others")
    apis = {"chat": "chat", "responses": "responses"}
    return f"{found}, {apis.get(call.endpoint, 'others')}" if "OpenAI" in found else found


def without_usage(exchange: Exchange) -> Exchange | None:
    """The exchange as if its provider had stated nothing; None: its body is not text."""
    try:
        body = exchange.response_body.decode()
    except UnicodeDecodeError:
        return None
    headers = {
        name: value
        for name, value in exchange.response_headers.items()
        if not any(part in name.lower() for part in USAGE_HEADERS)
    }
    try:
        body = json.dumps(stripped(json.loads(body)))
    except ValueError:
        body = "\n".join(stripped_line(line) for line in body.splitlines())
    return replace(exchange, response_body=body.encode(), response_headers=headers)


def stripped_line(line: str) -> str:
    """A line of an event stream, or of a stream of JSON lines."""
    start = line.find("{")
    if start < 0 or line[:start].strip() not in ("", "data:"):
        return line
    try:
        return line[:start] + json.dumps(stripped(json.loads(line[start:])))
    except ValueError:
        return line


def stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: stripped(item) for key, item in value.items() if key not in USAGE}
    return [stripped(item) for item in value] if isinstance(value, list) else value


def measure(paths: list[Path], skipped: Counter[str]) -> Errors:
    counter = TokenCounter.load()
    errors: Errors = defaultdict(list)

    def call_of(exchange: Exchange) -> Call | None:
        calls = read_calls([exchange], count=counter, fingerprint_key=b"")
        return calls[0] if calls else None

    for exchange in exchanges(paths):
        stated = call_of(exchange)
        if stated is None or stated.usage_source != "provider":
            continue
        if reason := unsuitable(exchange):
            skipped[reason] += 1
            continue
        bare = without_usage(exchange)
        counted = call_of(bare) if bare else None
        if counted is None or counted.usage_source == "provider":
            skipped["the usage could not be removed (binary streams)"] += 1
        elif counted.usage_source == "none":
            skipped[f"not counted: {counted.note}"] += 1
        else:
            compare(errors, exchange, stated, counted)
    return errors


def exchanges(paths: list[Path]) -> Iterator[Exchange]:
    for found in find(paths):
        if isinstance(found, Unreadable):
            continue
        for recording in read(found):
            if not isinstance(recording, Unreadable):
                yield recording.exchange


def unsuitable(exchange: Exchange) -> str | None:
    body = exchange.request_body
    if MEDIA.search(body) or b'"inlineData"' in exchange.response_body:
        return "images, audio or files"
    if ELSEWHERE.search(body):
        return "a part of the input is with the provider"
    if SERVER_TOOLS.search(body):
        return "the provider runs tools"
    return None


def compare(errors: Errors, exchange: Exchange, stated: Call, counted: Call) -> None:
    name = family(stated)
    tools = "with tools or a schema" if TOOLS.search(exchange.request_body) else "plain"
    said = "with tool calls" if called_tools(exchange.response_body) else "plain"
    if stated.usage.reasoning_tokens:
        said = "with reasoning"
    pairs = (
        (f"input, {tools}", stated.usage.input_tokens, counted.usage.input_tokens),
        (f"output, {said}", stated.usage.output_tokens, counted.usage.output_tokens),
    )
    for what, right, ours in pairs:
        if right and ours is not None:
            errors[name, what].append((right, ours))


def called_tools(answer: bytes) -> bool:
    """Whether an answer calls tools (``"tool_calls": null`` and empty lists are none)."""
    return any(
        not re.match(rb"\s*(null|\[\s*\])", answer[found.end("name") :])
        for found in TOOL_CALL.finditer(answer)
    )


def table(errors: Errors) -> Iterator[str]:
    names = "model", "counted", "n", "median tokens", "median error", "p90", "of the sum", "exact"
    yield f"| {' | '.join(names)} |"
    yield f"| --- | --- |{' --: |' * (len(names) - 2)}"
    for (name, what), pairs in sorted(errors.items()):
        signed = [100 * (ours - right) / right for right, ours in pairs]
        sizes = sorted(map(abs, signed))
        stated, counted = map(sum, zip(*pairs, strict=True))
        cells = (
            f"{len(pairs):,}",
            f"{statistics.median(right for right, _ in pairs):,.0f}",
            f"{statistics.median(signed):+.1f} %",
            f"{sizes[-(-9 * len(sizes) // 10) - 1]:.1f} %",
            f"{100 * (counted / stated - 1):+.1f} %",
            f"{100 * sizes.count(0) / len(sizes):.0f} %",
        )
        yield f"| {name} | {what} | {' | '.join(cells)} |"


def main(show: Callable[[str], None] = print) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    paths = parser.parse_args().paths
    if not paths:
        if "CRASHLENS_SHARED" not in os.environ:
            parser.error("no PATH, and CRASHLENS_SHARED is not set")
        paths = [Path(os.environ["CRASHLENS_SHARED"], "data", "traffic.jsonl.gz")]
    skipped: Counter[str] = Counter()
    for line in table(measure(paths, skipped)):
        show(line)
    show("")
    for reason, number in skipped.most_common():
        show(f"- left out, {number:,} calls: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
