"""What the capture adds to a call and to a chunk of a stream, beside tracing instrumentation.

    pip install opentelemetry-sdk openinference-instrumentation-openai \
        opentelemetry-instrumentation-openai vcrpy
    python benchmarks/overhead.py [--rounds 25] [--calls 40] [--json PATH]

The OpenAI SDK asks a transport in memory. Each variant is a process of its own, because tracers
cannot be taken out again; they take turns, so that a busy machine is busy for all of them, and
what counts is the CPU time over the same round's bare SDK. Spans are kept in memory and thrown
away. Variants whose packages are missing are left out. Replaying a cassette is there as a scale.
"""

from __future__ import annotations

import argparse
import functools
import gc
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

MOST_OF_OPENINFERENCE = 0.06
"""What the capture may add to a call, over what OpenInference adds."""

CHUNKS = 1000
CALLS_PER_STREAM = 20
"""So many calls are timed in the place of one stream."""

WARMING = 3
"""Calls before the timed ones of each turn."""

URL = "https://api.openai.com/v1/chat/completions"
MESSAGE = {"role": "user", "content": "What is the capital of France? " * 20}
ASKED: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [MESSAGE]}
STREAMED = ASKED | {"stream": True, "stream_options": {"include_usage": True}}
HEAD = {"id": "chatcmpl-1", "created": 1_760_000_000, "model": "gpt-4o-mini-2024-07-18"}
USAGE = {"prompt_tokens": 146, "completion_tokens": CHUNKS, "total_tokens": 146 + CHUNKS}


def answer() -> bytes:
    message = {"role": "assistant", "content": "It is Paris. " * 20}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = HEAD | {"object": "chat.completion", "choices": [choice], "usage": USAGE}
    return json.dumps(body).encode()


def events() -> list[bytes]:
    """One network chunk for each event."""
    texts = [{"content": f" word{number}"} for number in range(CHUNKS - 2)]
    choices = [{"delta": text, "index": 0, "finish_reason": None} for text in texts]
    choices.append({"delta": {}, "index": 0, "finish_reason": "stop"})
    said: list[dict[str, Any]] = [{"choices": [choice]} for choice in choices]
    said.append({"choices": [], "usage": USAGE})
    whole = [HEAD | {"object": "chat.completion.chunk"} | event for event in said]
    return [f"data: {json.dumps(event)}\n\n".encode() for event in whole] + [b"data: [DONE]\n\n"]


def client(*, mocked: bool = True) -> Any:
    """The SDK's client; its answers come from memory unless something else is to answer."""
    import openai

    plain = openai.OpenAI(api_key="k")
    if not mocked:
        return plain
    libraries = {base.__module__.partition(".")[0] for base in type(plain._client).__mro__}
    http = importlib.import_module("httpx2" if "httpx2" in libraries else "httpx")
    whole, chunks = answer(), events()

    class Body(http.SyncByteStream):  # type: ignore[misc,name-defined]
        def __iter__(self) -> Iterator[bytes]:
            return iter(chunks)

    def handle(request: Any) -> Any:
        if json.loads(request.content).get("stream"):
            kind = {"content-type": "text/event-stream"}
            return http.Response(200, headers=kind, stream=Body())
        return http.Response(200, headers={"content-type": "application/json"}, content=whole)

    return plain.with_options(http_client=http.Client(transport=http.MockTransport(handle)))


# --- variants: what surrounds the work, and what it took afterwards


@contextmanager
def bare(workload: str, times: int, note: dict[str, float]) -> Iterator[None]:
    yield


class Captured:
    """The capture as a test run has it; reading the answers comes after the test."""

    def __init__(self) -> None:
        from pytest_crashlens.capture.call_site import CallSites
        from pytest_crashlens.capture.install import interposition
        from pytest_crashlens.capture.recorder import Recorder
        from pytest_crashlens.providers.registry import wanted
        from pytest_crashlens.tokens.counting import TokenCounter

        self.recorder = Recorder(
            wanted=functools.lru_cache(maxsize=1024)(wanted),
            call_sites=CallSites(Path(__file__).parent),
        )
        self.counter = TokenCounter.load()
        interposition(self.recorder).install()

    @contextmanager
    def __call__(self, workload: str, times: int, note: dict[str, float]) -> Iterator[None]:
        from pytest_crashlens.capture.owners import Owner
        from pytest_crashlens.providers.calls import read_calls

        owner = Owner("benchmark")
        with self.recorder.owners.at_work(owner):
            yield
        begun = time.process_time()
        exchanges = self.recorder.take_all(owner)
        calls = read_calls(exchanges, count=self.counter, fingerprint_key=b"k")
        note["afterwards"] = (time.process_time() - begun) / times
        assert not self.recorder.faults, self.recorder.faults
        assert [call.usage.input_tokens for call in calls] == [146] * times


class Traced:
    """An instrumentation for OpenTelemetry."""

    def __init__(self, module: str) -> None:
        trace = importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        memory = importlib.import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
        self.spans = memory.InMemorySpanExporter()
        provider = trace.TracerProvider()
        provider.add_span_processor(export.SimpleSpanProcessor(self.spans))
        importlib.import_module(module).OpenAIInstrumentor().instrument(tracer_provider=provider)

    @contextmanager
    def __call__(self, workload: str, times: int, note: dict[str, float]) -> Iterator[None]:
        yield
        assert len(self.spans.get_finished_spans()) == times
        self.spans.clear()


class Replayed:
    """vcrpy plays a cassette."""

    def __init__(self, folder: Path) -> None:
        self.vcr = importlib.import_module("vcr")
        self.folder = folder
        for workload, asked, body, kind in (
            ("call", ASKED, answer(), "application/json"),
            ("stream", STREAMED, b"".join(events()), "text/event-stream"),
        ):
            request = {"method": "POST", "uri": URL, "headers": {}, "body": json.dumps(asked)}
            response = {
                "status": {"code": 200, "message": "OK"},
                "headers": {"content-type": [kind]},
                "body": {"string": body.decode()},
            }
            cassette = {"version": 1, "interactions": [{"request": request, "response": response}]}
            (folder / f"{workload}.yaml").write_text(json.dumps(cassette))  # JSON is YAML

    def __call__(
        self, workload: str, times: int, note: dict[str, float]
    ) -> AbstractContextManager[Any]:
        played: AbstractContextManager[Any] = self.vcr.use_cassette(
            str(self.folder / f"{workload}.yaml"),
            record_mode="none",
            allow_playback_repeats=True,
            match_on=["method", "uri"],
        )
        return played


VARIANTS: dict[str, Callable[[Path], Any]] = {
    "bare": lambda folder: bare,
    "crashlens": lambda folder: Captured(),
    "openinference": lambda folder: Traced("openinference.instrumentation.openai"),
    "opentelemetry": lambda folder: Traced("opentelemetry.instrumentation.openai"),
    "vcrpy": Replayed,
}


# --- the process of one variant


def call(client: Any) -> None:
    client.chat.completions.create(**ASKED)


def stream(client: Any) -> None:
    for _ in client.chat.completions.create(**STREAMED):
        pass


WORKLOADS: dict[str, Callable[[Any], None]] = {"call": call, "stream": stream}


def serve(variant: str) -> None:
    """Do what the lines of standard input say; answer with CPU seconds for each time."""
    with tempfile.TemporaryDirectory() as folder:
        around = VARIANTS[variant](Path(folder))
        asking = client(mocked=variant != "vcrpy")
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            workload, times = order["workload"], order["times"]
            note: dict[str, float] = {}
            work = WORKLOADS[workload]
            warming = WARMING if workload == "call" else 0
            with around(workload, times + warming, note):
                gc.collect()
                for _ in range(warming):  # its memory left the caches while it waited
                    work(asking)
                begun = time.process_time()
                for _ in range(times):
                    work(asking)
                note["during"] = (time.process_time() - begun) / times
            print(json.dumps(note), flush=True)


# --- the process that lets them take turns


class Variant:
    """A process that runs one variant."""

    def __init__(self, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ready = bool(self._line())

    def _line(self) -> dict[str, float]:
        assert self.process.stdout is not None
        found: dict[str, float] = json.loads(self.process.stdout.readline() or "{}")
        return found

    def run(self, workload: str, times: int) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"workload": workload, "times": times}) + "\n")
        self.process.stdin.flush()
        if not (said := self._line()):
            raise SystemExit(f"exit {self.process.wait()}")
        return said

    def stop(self) -> None:
        self.process.communicate()


def measure(rounds: int, calls: int) -> dict[tuple[str, str], list[float]]:
    """CPU seconds of each round, by workload and variant."""
    variants = {name: Variant(name) for name in VARIANTS}
    times: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):
        for workload in WORKLOADS:
            repeats = calls if workload == "call" else max(1, calls // CALLS_PER_STREAM)
            for name, variant in variants.items():
                if not variant.ready:
                    continue
                said = variant.run(workload, repeats)
                if number:  # the first round loads and compiles
                    times.setdefault((workload, name), []).append(said["during"])
                    if "afterwards" in said:
                        times.setdefault((workload, AFTER), []).append(said["afterwards"])
    for variant in variants.values():
        variant.stop()
    return times


AFTER = "(read after the test)"


def report(times: dict[tuple[str, str], list[float]]) -> dict[str, list[float]]:
    """Print and return microseconds over the bare SDK: lower quartile, median, upper quartile.

    Printed is also the least round of each over the bare SDK's least: what a busy machine adds to
    both is small there.
    """
    figures: dict[str, list[float]] = {}
    for workload, unit, per in (("call", "a call", 1), ("stream", "a chunk", CHUNKS)):
        base = times[workload, "bare"]
        print(f"\n{unit} of the bare SDK: {statistics.median(base) * 1e6 / per:,.1f} us; and more:")
        for (of, name), values in times.items():
            if of != workload or name == "bare":
                continue
            zero = [0.0] * len(base) if name == AFTER else base
            more = [(one - other) * 1e6 / per for one, other in zip(values, zero, strict=True)]
            figures[f"{workload} {name}"] = low, middle, high = statistics.quantiles(more, n=4)
            least = (min(values) - min(zero)) * 1e6 / per
            print(
                f"  {name:22} {middle:+10,.2f} us   [{low:+,.2f} .. {high:+,.2f}]"
                f"   least {least:+,.2f}"
            )
    return figures


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--calls", type=int, default=40, help="of each variant in each round")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return 0
    print(f"CPU time, median [quartiles] of {options.rounds} rounds")
    figures = report(measure(options.rounds, options.calls))
    share = None
    if "call openinference" in figures:
        share = figures["call crashlens"][1] / figures["call openinference"][1]
        print(
            f"\ncrashlens over OpenInference, a call: {share:.3f} ({MOST_OF_OPENINFERENCE} at most)"
        )
    if options.json:
        options.json.write_text(json.dumps({"us": figures, "share": share}, indent=2) + "\n")
    return int(share is not None and share > MOST_OF_OPENINFERENCE)


if __name__ == "__main__":
    sys.exit(main())
