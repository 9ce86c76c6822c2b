"""How fast ``crashlens meter`` reads, and that its memory does not grow with the traffic.

    python benchmarks/meter.py [FILE.jsonl.gz] [--times 1 4]

Reads the file once and then several times over, in processes of their own. Without a file it makes
one: chats, streams of 200 chunks and embeddings.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_GROWTH = 1.1
"""Peak memory for the most traffic, over that for the least."""

CHAT = "https://api.openai.com/v1/chat/completions"
EMBEDDINGS = "https://api.openai.com/v1/embeddings"
USAGE = {"prompt_tokens": 900, "completion_tokens": 200, "total_tokens": 1100}


def made_up() -> Iterator[dict[str, Any]]:
    chunks = [{"choices": [{"index": 0, "delta": {"content": f"word {n} "}}]} for n in range(200)]
    events = [*chunks, {"model": "gpt-4o-2024-08-06", "choices": [], "usage": USAGE}]
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    message = {"role": "user", "content": "word " * 500}
    asked = {"model": "gpt-4o", "messages": [message]}
    said = {"model": "gpt-4o-2024-08-06", "choices": [{"message": message}], "usage": USAGE}
    vector = {"object": "embedding", "embedding": [number / 1536 for number in range(1536)]}
    embedded = {"model": "text-embedding-3-small", "data": [vector], "usage": USAGE}
    for _ in range(1000):
        yield {"url": CHAT, "req_json": asked, "resp_json": said}
        yield {"url": CHAT, "req_json": asked | {"stream": True}, "resp_text": stream}
        yield {"url": EMBEDDINGS, "req_json": {"input": "word"}, "resp_json": embedded}


def write(path: Path) -> None:
    with gzip.open(path, "wt", compresslevel=3) as file:
        for row in made_up():
            file.write(f"{json.dumps({'method': 'POST', 'status': 200, **row})}\n")


def metered(path: Path) -> tuple[int, float, float]:
    """Exchanges, seconds and the peak of resident memory in MiB."""
    command = [sys.executable, "-m", "pytest_crashlens", "meter", "--json", str(path)]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = sum(1 for _ in process.stdout)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {process.returncode}")
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return lines, time.perf_counter() - begun, used.ru_maxrss / unit


def main() -> int:
    parser = argparse.ArgumentParser(description="How fast crashlens meter reads.")
    parser.add_argument("file", nargs="?", type=Path, help="a .jsonl.gz file")
    parser.add_argument("--times", nargs="+", type=int, default=[1, 4])
    given = parser.parse_args()
    print("times  exchanges  seconds  exchanges/s  peak MiB")
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "traffic.jsonl.gz")
        if given.file is None:
            write(path)
        once = (given.file or path).read_bytes()
        for times in given.times:
            path.write_bytes(once * times)  # members of one gzip file
            lines, seconds, peak = metered(path)
            peaks.append(peak)
            speed = lines / seconds
            print(f"{times:>5}  {lines:>9,}  {seconds:>7.1f}  {speed:>11,.0f}  {peak:>8.0f}")
    growth = peaks[-1] / peaks[0]
    verdict = "within" if growth <= MOST_GROWTH else "OVER"
    print(f"memory grows to {growth:.2f} times: {verdict} {MOST_GROWTH}")
    return growth > MOST_GROWTH


if __name__ == "__main__":
    sys.exit(main())
