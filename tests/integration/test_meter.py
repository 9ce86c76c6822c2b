"""``crashlens meter`` on recordings: cassettes of the real SDKs, HAR files, lines of JSON."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anthropic
import httpcore  # noqa: F401 - both map exceptions by class: nothing may load them anew
import httpcore2  # noqa: F401
import openai
import pytest
import vcr

from pytest_crashlens.cli import meter
from pytest_crashlens.cli.main import main
from tests.llm_server import LLMServer
from tests.recordings import ANSWER, ANSWERED, har, har_entry, jsonl, row

AT = ("--at", "2026-03-01")
USED = {"input": 900, "output": 70, "cache_read": 100}


@pytest.fixture(scope="module")
def server() -> Iterator[LLMServer]:
    with LLMServer() as running:
        yield running


def prompt(**script: Any) -> dict[str, Any]:
    content = json.dumps({"usage": USED, **script})
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": content}]}


def send(server: LLMServer, **script: Any) -> None:
    """Two calls, one of them a stream, through each SDK."""
    stream = {"stream": True, "stream_options": {"include_usage": True}}
    asked = prompt(**script)
    with openai.OpenAI(base_url=server.openai_url, api_key="sk-fake") as client:
        client.chat.completions.create(**asked)
        assert list(client.chat.completions.create(**asked, **stream))
    asked |= {"model": "claude-haiku-4-5", "max_tokens": 100}
    with anthropic.Anthropic(base_url=server.url, api_key="sk-fake") as other:
        other.messages.create(**asked)
        with other.messages.stream(**asked) as events:
            events.get_final_message()


def lines(
    capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0
) -> list[dict[str, Any]]:
    assert main(["meter", "--json", *AT, *arguments]) == code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("serializer", ["yaml", "json"])
def test_cassettes_of_vcrpy(tmp_path, capsys, server, serializer, packed):
    path = tmp_path / f"cassette.{serializer}"
    decoded = packed and serializer == "json"  # it cannot hold bytes
    recorder = vcr.VCR(serializer=serializer, decode_compressed_response=decoded)
    with recorder.use_cassette(str(path)):
        send(server, gzip=packed)
    found = lines(capsys, str(path))
    assert [line["index"] for line in found] == [0, 1, 2, 3]
    assert [line["endpoint"] for line in found] == ["chat", "chat", "messages", "messages"]
    assert [line["streaming"] for line in found] == [False, True, False, True]
    for line in found:
        assert (line["source"], line["call"], line["status"]) == (str(path), True, 200)
        assert line["usage_source"] == "provider"
        usage = line["usage"]
        assert (usage["input_tokens"], usage["output_tokens"]) == (900, 70)
        assert usage["cache_read_tokens"] == 100
        assert usage["web_searches"] is None
        assert line["price_status"] == "priced"
        assert "id" not in line
    # 800 * 0.15 + 100 * 0.075 + 70 * 0.60, USD per million
    assert found[0]["cost_usd"] == found[1]["cost_usd"] == "0.0001695"
    assert found[0]["provider"] == "openai"
    assert found[2]["provider"] == "anthropic"


def test_the_table(tmp_path, capsys, server):
    with vcr.use_cassette(str(tmp_path / "cassette.yaml")):
        send(server)
        with openai.OpenAI(base_url=server.openai_url, api_key="sk-fake") as client:
            client.chat.completions.create(**prompt(fail=[429]))
            client.chat.completions.create(**prompt() | {"model": "my-own"})
            stream = client.chat.completions.create(**prompt(), stream=True)
            assert list(stream)
    (tmp_path / "broken.har").write_text('{"log": {"entries": [')
    (tmp_path / "more.jsonl").write_text(jsonl([row(url="https://example.com/"), "{"]))
    assert main(["meter", *AT, str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= 80
    words = [line.split() for line in out.splitlines()]
    assert words[0] == ["model", "calls", "errors", "input", "cached", "output", "cost"]
    table = {line[0]: line[1:] for line in words if line}
    assert table["total"][:2] == ["7", "1"]
    assert table["total"][5:] == [">=", f"~{table['total'][6].removeprefix('~')}"]
    assert table["openai/my-own"] == ["1", "-", "900", "100", "70", "unpriced"]
    flat = " ".join(out.split())
    assert (
        "9 exchanges in 3 files: 7 LLM calls, 8 attempts (1 retry), "
        "1 skipped, being no LLM calls." in flat
    )
    assert "Prices of 2026-03-01." in flat
    assert "unpriced: openai/my-own: no price list has 'my-own'" in flat
    assert f"not read: {tmp_path}/broken.har: line 1: no JSON" in flat
    assert f"not read: {tmp_path}/more.jsonl: line 2: no JSON object" in flat


def test_a_har_file(tmp_path, capsys):
    path = tmp_path / "network.har"
    other = har_entry({"text": "<html>"}) | {
        "request": {"method": "GET", "url": "https://example.com/"}
    }
    missing = har_entry({"size": 900})
    path.write_text(json.dumps(har(har_entry({"text": ANSWERED}), other, missing)))
    call, page, unknown = lines(capsys, str(path))
    assert (call["model_requested"], call["model_returned"]) == ("gpt-4o", "gpt-4o-2024-08-06")
    assert call["cost_usd"] == "0.0000525"  # 9 * 2.50 + 3 * 10, USD per million
    assert page == {
        **dict.fromkeys(page),
        "source": str(path),
        "index": 1,
        "call": False,
        "status": 200,
        "usage": dict.fromkeys(call["usage"]),
        "notes": [],
    }
    assert (unknown["usage_source"], unknown["cost_usd"]) == ("none", None)
    assert unknown["price_status"] == "unpriced"
    assert unknown["notes"][0] == "the body of the answer is not in the file"


def test_lines_of_json(tmp_path, capsys):
    path = tmp_path / "traffic.jsonl.gz"
    rows = [row(), row(id="a2", status=500), row(id="a3", status=400), "{"]
    path.write_bytes(gzip.compress(jsonl(rows).encode()))
    found = lines(capsys, str(path), code=1)
    assert [line["id"] for line in found] == ["a1", "a2", "a3"]
    assert [line["cost_usd"] for line in found] == ["0.0000525", "0", "0"]
    assert "not billed" in found[1]["notes"]
    assert found[1]["usage"]["input_tokens"] is None


def test_unread_parts_are_named_beside_the_json(tmp_path, capsys):
    path = tmp_path / "traffic.jsonl"
    path.write_text(jsonl([row(), "{"]))
    assert main(["meter", "--json", str(path)]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert captured.err == f"{path}: line 2: no JSON object\n"


def test_prices_are_those_of_the_day(tmp_path, capsys):
    path = tmp_path / "traffic.jsonl"
    asked = {"model": "o3", "messages": [{"role": "user", "content": "x"}]}
    path.write_text(jsonl([row(req_json=asked, resp_json=ANSWER | {"model": "o3-2025-04-16"})]))
    costs = []
    for day in ("2025-05-01", "2025-07-01"):  # its price fell on 2025-06-10
        assert main(["meter", "--json", "--at", day, str(path)]) == 0
        costs.append(Decimal(json.loads(capsys.readouterr().out)["cost_usd"]))
    assert costs[0] == 5 * costs[1] > 0


def test_nothing_found(tmp_path, capsys):
    assert main(["meter", str(tmp_path)]) == 2
    assert main(["meter", str(tmp_path), str(tmp_path / "no.yaml")]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"no recordings in {tmp_path}",
        f"no such file or folder: {tmp_path}/no.yaml",
    ]


@pytest.mark.parametrize("day", ["yesterday", "20260301", "2026-02-30", "2026-W10-1", ""])
def test_a_wrong_day(tmp_path, capsys, day):
    with pytest.raises(SystemExit) as stopped:
        main(["meter", "--at", day, str(tmp_path)])
    assert stopped.value.code == 2
    assert "expected a day such as 2026-03-31" in capsys.readouterr().err


def test_no_path_is_an_error(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["meter"])
    assert stopped.value.code == 2


def test_the_help_tells_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        main(["meter", "--help"])
    out = capsys.readouterr().out
    assert "some files, or parts of them, could not be read" in out
    assert max(len(line) for line in out.splitlines()) <= 80


def test_many_models_and_large_counts(tmp_path, capsys):
    rows = [
        row(
            resp_json=ANSWER
            | {
                "model": f"gpt-4o-fine-tuned-for-everything-{number}",
                "usage": {"prompt_tokens": 10**11, "completion_tokens": 9 * 10**11},
            }
        )
        for number in range(25)
    ]
    (tmp_path / "a.jsonl").write_text(jsonl(rows))
    assert main(["meter", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "... and 5 more models (--all shows them)" in out
    assert main(["meter", "--all", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("thing-") >= 25


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_in_a_terminal_on_long_work_only(tmp_path, monkeypatch):
    path = tmp_path / "traffic.jsonl"
    path.write_text(jsonl([row()] * 3))
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    for patience, seen in ((60.0, ""), (-1.0, "\r\x1b[K2 exchanges ...\r\x1b[K")):
        err = Terminal()
        monkeypatch.setattr(sys, "stderr", err)
        monkeypatch.setattr(meter, "_PATIENCE", patience)
        assert main(["meter", str(path)]) == 0
        assert err.getvalue().endswith(seen)
        assert bool(err.getvalue()) == bool(seen)
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", Terminal())  # it would run over the lines
    assert main(["meter", "--json", str(path)]) == 0
    assert err.getvalue() == ""


def test_an_interruption_is_quiet(tmp_path, capsys, monkeypatch):
    (tmp_path / "traffic.jsonl").write_text(jsonl([row()]))

    def interrupt(line: str, stream: Any = None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(meter, "say", interrupt)
    assert main(["meter", str(tmp_path)]) == 130
    assert capsys.readouterr() == ("", "")


def run_apart(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest_crashlens", "meter", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


@pytest.mark.parametrize("arguments", [["--json"], []], ids=["lines", "table"])
def test_a_reader_that_leaves_ends_it_quietly(tmp_path, arguments):
    path = tmp_path / "traffic.jsonl"
    path.write_text(jsonl([row()] * 3000))
    process = run_apart(*arguments, str(path))
    assert process.stdout is not None
    assert process.stderr is not None
    if arguments:
        assert json.loads(process.stdout.readline())["index"] == 0
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 0


def test_an_output_without_unicode(tmp_path):
    path = tmp_path / "traffic.jsonl"
    answer = ANSWER | {"model": "caf\u00e9"}
    path.write_text(jsonl([row(resp_json=answer)]))
    process = run_apart(str(path), env=os.environ | {"PYTHONIOENCODING": "ascii"})
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert b"openai/caf\\xe9" in out


def test_no_text_of_a_prompt_or_answer_is_shown(tmp_path, capsys):
    secret = "the-secret-word"
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": secret}]}
    said = ANSWER | {"choices": [{"message": {"content": secret}}], "usage": None}
    rows = [row(req_json=asked, resp_json=said), f'{{"method": "{secret}"', f'"{secret}"']
    (tmp_path / "a.jsonl").write_text(jsonl(rows))
    (tmp_path / "b.yaml").write_text(f"interactions:\n- request: [{secret}\n")
    (tmp_path / "c.har").write_text(f'{{"log": {{"entries": [{secret}')
    for arguments in ([], ["--json"]):
        assert main(["meter", *arguments, str(tmp_path)]) == 1
        captured = capsys.readouterr()
        assert secret not in captured.out + captured.err
