"""What the source says: models, output caps, retries; and the size of prompt files."""

from __future__ import annotations

import ast
import sys
from dataclasses import replace
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_crashlens.policy.config import Config
from pytest_crashlens.policy.loader import parse_config
from pytest_crashlens.scan.figures import Figure, FiguresError, parse, render
from pytest_crashlens.scan.files import choose
from pytest_crashlens.scan.prompts import ENCODING, Counted, count, judge_prompts
from pytest_crashlens.scan.scan import Scanned, scan, scan_text

RULES = """
version: 1
policies:
  - enforce: no-dear
    rules:
      - disallowed_models: [gpt-4, claude-3-opus, "o1*"]
        suggest_fallback: gpt-4o-mini
  - enforce: retries
    rules:
      - max_retries: 3
  - enforce: cap
    rules:
      - max_output_tokens: 750
"""
CONFIG = parse_config(RULES, "crashlens.yml")


def scanned(code: str, config: Config = CONFIG, name: str = "app/x.py") -> Scanned:
    return scan_text(dedent(code).encode(), name, config, shown=name)


def found(code: str, config: Config = CONFIG, name: str = "app/x.py") -> list[str]:
    """``policy severity line`` of each finding."""
    done = scanned(code, config, name)
    assert not done.unreadable, done.unreadable
    return [f"{f.policy} {f.severity} {f.place.line}" for f in done.findings]


def rule(text: str) -> Config:
    return parse_config(f"version: 1\npolicies: [{{enforce: one, rules: [{text}]}}]\n", "x.yml")


MODELS = {
    "keyword": ('ask(model="gpt-4")', "error"),
    "keyword, dated": ('ask(model="gpt-4-0613")', "error"),
    "keyword, prefixed": ('ask(model="openai/gpt-4")', "error"),
    "keyword, prefixed by a colon": ('ask(model="openai:gpt-4")', "error"),
    "fine-tuned": ('ask(model="ft:gpt-4:org::id")', "error"),
    "keyword of another name": ('ask(model_name="gpt-4", azure_deployment=x)', "error"),
    "camel case": ('ask(modelId="anthropic.claude-3-opus-20240229-v1:0")', "error"),
    "of a glob": ('ask(model="o1-preview")', "error"),
    "positional": ('ask("gpt-4", text)', "error"),
    "mapping": ('ask({"model": "gpt-4", "messages": []})', "error"),
    "mapping within a list": ('Router(model_list=[{"params": {"model": "gpt-4"}}])', "error"),
    "default": ('def f(q, model="gpt-4"): pass', "error"),
    "default, keyword only": ('def f(q, *, engine: str = "gpt-4"): pass', "error"),
    "default of a lambda": ('f = lambda q, model="gpt-4": q', "error"),
    "module constant": ('MODEL = "gpt-4"', "error"),
    "constant of another name": ('SUMMARIZER = "gpt-4"', "error"),
    "annotated": ('model: str = "gpt-4"', "error"),
    "dataclass": ('@dataclass\nclass A:\n    model: str = "gpt-4"', "error"),
    "attribute": ('self.model = "gpt-4"', "error"),
    "item": ('settings["model"] = "gpt-4"', "error"),
    "environment": ('MODEL = os.environ.get("MODEL", "gpt-4")', "error"),
    "argparse": ('p.add_argument("--model", default="gpt-4")', "error"),
    "field": ('class A:\n    name: str = Field(default="gpt-4")', "error"),
    "either": ('model = "gpt-4" if hard else "gpt-4o-mini"', "error"),
    "or": ('model = given or "gpt-4"', "error"),
    "walrus": ('ask(m := "gpt-4")', "error"),
    "put together": ('model = "gpt-" + "4"', "error"),
    "implicitly put together": ('model = ("gpt-"\n "4")', "error"),
    "returned": ('def model():\n    return "gpt-4"', "error"),
    "in a list": ('MODELS = ["gpt-4", "gpt-4o"]', "warning"),
    "value of a table": ('TASKS = {"summary": "gpt-4"}', "warning"),
    "keyword that says little": ('ask(summarizer="gpt-4")', "warning"),
    "of a low cost": ('low_cost_model = "gpt-4"', "warning"),
    "of a rate limit": ('RATE_LIMITED_MODEL = "gpt-4"', "warning"),
    "value of aliases": ('MODEL_ALIASES = {"best": "gpt-4"}', "warning"),
    "prepared": ('from functools import partial\npartial(ask, model="gpt-4")', "error"),
    "prepared, positional": ('import functools\nfunctools.partial(ask, "gpt-4")', "error"),
    "asked for its price": ('price_of("gpt-4")', "warning"),
    "asked for its price by name": ('estimate_cost(model="gpt-4")', "warning"),
    "asked whether": ('is_supported("gpt-4")', "warning"),
    "raised": ('raise ValueError("gpt-4")', None),
    "raised, by name": ('raise ModelError(model="gpt-4")', None),
    "alias of nothing": ('ALIASES = {"x": "gpt-4"}', None),
    "comment": ('# model="gpt-4"', None),
    "docstring": ('"""gpt-4"""', None),
    "docstring of a function": ('def f():\n    "gpt-4"', None),
    "prose": ('ask(model="gpt-4 is good")', None),
    "prose at the end": ('ask("use gpt-4")', None),
    "f-string": ('ask(model=f"gpt-4{suffix}")', None),
    "f-string of it alone": ('ask(model=f"{x}gpt-4")', None),
    "part of a sum": ('ask(model="gpt-4" + suffix)', None),
    "format": ('ask(model="gpt-4%s" % suffix)', None),
    "sibling": ('ask(model="gpt-4o")', None),
    "mini": ('ask(model="gpt-4o-mini")', None),
    "turbo": ('ask(model="gpt-4-turbo")', None),
    "32k": ('ask(model="gpt-4-32k")', None),
    "compared": ('if model == "gpt-4": pass', None),
    "compared with several": ('if model in ("gpt-4", "o1"): pass', None),
    "matched": ('match m:\n    case "gpt-4": pass', None),
    "key of a table": ('PRICES = {"gpt-4": 1}', None),
    "table of prices": ('PRICES = {"x": "gpt-4"}', None),
    "what is forbidden": ('DISALLOWED_MODELS = ["gpt-4"]', None),
    "looked up": ('price = table["gpt-4"]', None),
    "looked up by get": ('price = table.get("gpt-4")', None),
    "prefix": ('m.startswith("gpt-4")', None),
    "tokenizer": ('tiktoken.encoding_for_model("gpt-4")', None),
    "literal type": ('Name = Literal["gpt-4"]', None),
    "annotation": ('def f(m: "gpt-4") -> "gpt-4": pass', None),
    "name of a thing": ('Info(id="gpt-4", name="gpt-4")', None),
    "path": ('open("prompts/gpt-4")', None),
    "address": ('get("https://x.test/gpt-4")', None),
    "short glob": ('ask("o1x")', None),
    "bytes": ('ask(model=b"gpt-4")', None),
}


@pytest.mark.parametrize("case", MODELS)
def test_models(case):
    code, severity = MODELS[case]
    severities = [f.severity for f in scanned(code).findings if f.kind == "model"]
    assert severities == ([severity] if severity else []), case


CREATE = "client.chat.completions.create(model=m, messages=x{})"
CAPS = {
    "none": (CREATE.format(""), "error"),
    "nothing": (CREATE.format(", max_tokens=None"), "error"),
    "not given": (CREATE.format(", max_tokens=openai.NOT_GIVEN"), "error"),
    "over": (CREATE.format(", max_tokens=751"), "error"),
    "over by its new name": (CREATE.format(", max_completion_tokens=4 * 1024"), "error"),
    "over by a constant": ("N = 1000\n" + CREATE.format(", max_tokens=N"), "error"),
    "over by a constant of the function": (
        "def f():\n    n = 1000\n    " + CREATE.format(", max_tokens=n"),
        "error",
    ),
    "raw": ("client.chat.completions.with_raw_response.create(messages=x)", "error"),
    "parse": ("client.beta.chat.completions.parse(messages=x)", "error"),
    "of a new client": ("OpenAI().chat.completions.create(messages=x)", "error"),
    "awaited": (f"async def f():\n    await {CREATE.format('')}", "error"),
    "responses": ("self.client.responses.create(input=x)", "error"),
    "responses, over": ("client.responses.create(input=x, max_output_tokens=800)", "error"),
    "responses, over, with others": (
        "client.responses.create(max_output_tokens=800, **options)",
        "error",
    ),
    "anthropic, over": ("client.messages.create(model=m, max_tokens=1024)", "error"),
    "gemini": ("client.models.generate_content(model=m, contents=x)", "error"),
    "gemini, async": ("client.aio.models.generate_content(model=m, contents=x)", "error"),
    "gemini, config without": (
        "client.models.generate_content(model=m, config={'temperature': 0})",
        "error",
    ),
    "gemini, config over": (
        "client.models.generate_content(model=m, config=C(max_output_tokens=751))",
        "error",
    ),
    "litellm": ("import litellm\nlitellm.completion('m', messages=x)", "error"),
    "litellm, by name": ("from litellm import acompletion as ask\nask(model=m)", "error"),
    "langchain": ("ChatOpenAI(model=m)", "error"),
    "langchain, over": ("ChatAnthropic(model=m, max_tokens=2000)", "error"),
    "bedrock": ("c.converse(modelId=m, messages=x)", "error"),
    "ollama": ("import ollama\nollama.chat(model=m, messages=x)", "error"),
    "dspy": ("import dspy\ndspy.LM('m')", "error"),
    "mistral": ("client.chat.complete(model=m, messages=x)", "error"),
    "spread": ("KW = dict(model=m, max_tokens=9999)\nc.chat.completions.create(**KW)", "error"),
    "spread, literal": (CREATE.format(', **{"max_tokens": 9999}'), "error"),
    "spread, by name": ("KW = {'max_tokens': 9999}\n" + CREATE.format(", **KW"), "error"),
    "spread in what is spread": (
        "A = {'max_tokens': 1}\nB = {**A, 'max_tokens': 9999}\n"
        + CREATE.format(", **dict(B, top_p=1)"),
        "error",
    ),
    "spread, without": ("KW = {'top_p': 1}\n" + CREATE.format(", **KW"), "error"),
    "spread into settings": (
        "A = {'max_output_tokens': 9999}\nclient.models.generate_content(model=m, config=C(**A))",
        "error",
    ),
    "prepared": (
        "import functools\n"
        "ask = functools.partial(client.chat.completions.create, model=m, max_tokens=9999)",
        "error",
    ),
    "prepared, without its input": (
        "from functools import partial\npartial(c.responses.create, max_output_tokens=9999)",
        "error",
    ),
    "prepared, to be completed": (
        "from functools import partial\npartial(client.chat.completions.create, model=m)",
        None,
    ),
    "spread, set over": (
        "A = {'max_tokens': 9999}\n" + CREATE.format(", **{**A, 'max_tokens': 1}"),
        None,
    ),
    "spread, of another": (
        "A = {'max_tokens': 1}\n" + CREATE.format(", **dict(A, top_p=1)"),
        None,
    ),
    "spread, perhaps set over": (CREATE.format(", **{'max_tokens': 9999, **more}"), None),
    "spread, and changed": (
        "KW = {'max_tokens': 9999}\nKW['max_tokens'] = 1\n" + CREATE.format(", **KW"),
        None,
    ),
    "spread, and changed by a method": (
        "KW = {'top_p': 1}\nKW.update(more)\n" + CREATE.format(", **KW"),
        None,
    ),
    "spread, by another name, and changed": (
        "A = {'max_tokens': 9999}\nB = A\ndel A['max_tokens']\n" + CREATE.format(", **B"),
        None,
    ),
    "gemini, config changed": (
        "c = C()\nc.max_output_tokens = 5\nclient.models.generate_content(model=m, config=c)",
        None,
    ),
    "gemini, config made elsewhere": (
        "client.models.generate_content(model=m, config=settings())",
        None,
    ),
    "somebody's message, spread": ("twilio.messages.create(**{'max_tokens': 9999})", None),
    "at the limit": (CREATE.format(", max_tokens=750"), None),
    "not known": (CREATE.format(", max_tokens=n"), None),
    "set twice": ("N = 1000\nN = 10\n" + CREATE.format(", max_tokens=N"), None),
    "a parameter": ("N = 1000\ndef f(N):\n    " + CREATE.format(", max_tokens=N"), None),
    "of a class, not of its method": (
        "class A:\n    N = 1000\n    def f(self):\n        " + CREATE.format(", max_tokens=N"),
        None,
    ),
    "keywords of the caller": (CREATE.format(", **options"), None),
    "extra body": (CREATE.format(', extra_body={"max_tokens": 5}'), None),
    "anthropic, required": ("client.messages.create(model=m)", None),
    "a message of somebody else": ("twilio.messages.create(body=x, to=y)", None),
    "gemini, config": (
        "client.models.generate_content(model=m, config=C(max_output_tokens=750))",
        None,
    ),
    "gemini, config by name": (
        "c = {'max_output_tokens': 5}\nclient.models.generate_content(model=m, config=c)",
        None,
    ),
    "gemini, config not known": ("client.models.generate_content(model=m, config=c)", None),
    "bedrock, capped": (
        "c.converse(modelId=m, messages=x, inferenceConfig={'maxTokens': 5})",
        None,
    ),
    "ollama, capped": (
        "import ollama\nollama.chat(model=m, messages=x, options={'num_predict': 5})",
        None,
    ),
    "langchain, capped": ("ChatOpenAI(model=m, max_tokens=5)", None),
    "langchain, capped by default": ("ChatAnthropic(model=m)", None),
    "a mock of addresses": ("import responses\nresponses.create(input=1)", None),
    "a chat of somebody": ("bot.chat(model=m, messages=x)", None),
    "a function of that name": ("completion(model=m, messages=x)", None),
    "embeddings": ("client.embeddings.create(input=x)", None),
}


@pytest.mark.parametrize("case", CAPS)
def test_output_caps(case):
    code, severity = CAPS[case]
    severities = [f.severity for f in scanned(code).findings if f.kind == "output_cap"]
    assert severities == ([severity] if severity else []), case


TENACITY = "from tenacity import retry, stop_after_attempt\n"
ASKED = f"def f():\n    {CREATE.format(', max_tokens=1')}"
RETRIES = {
    "client": ("OpenAI(max_retries=4)", "error"),
    "async client": ("anthropic.AsyncAnthropic(max_retries=10)", "error"),
    "options": ("client.with_options(max_retries=4).responses", "error"),
    "by a constant": ("N = 5\nOpenAI(max_retries=N)", "error"),
    "langchain": ("ChatOpenAI(model=m, max_tokens=5, max_retries=4)", "error"),
    "call": ("import litellm\nlitellm.completion(m, max_tokens=5, num_retries=4)", "error"),
    "everywhere": ("import litellm\nlitellm.num_retries = 4", "error"),
    "router": ("from litellm import Router\nRouter(x, num_retries=4)", "error"),
    "runnable": ("chain.with_retry(stop_after_attempt=5)", "error"),
    "gemini": ("types.HttpRetryOptions(attempts=5)", "error"),
    "tenacity": (f"{TENACITY}@retry(stop=stop_after_attempt(5))\n{ASKED}", "error"),
    "tenacity and time": (
        f"{TENACITY}@retry(stop=stop_after_attempt(5) | stop_after_delay(9))\n{ASKED}",
        "error",
    ),
    "tenacity by its module": (
        f"import tenacity\n@tenacity.retry(stop=tenacity.stop_after_attempt(5))\n{ASKED}",
        "error",
    ),
    "tenacity within": (
        f"{TENACITY}def g():\n    for a in Retrying(stop=stop_after_attempt(5)):\n"
        f"        {CREATE.format(', max_tokens=1')}",
        "error",
    ),
    "without an end": (f"{TENACITY}@retry\n{ASKED}", "error"),
    "without an end, called": (f"{TENACITY}@retry(wait=w)\n{ASKED}", "error"),
    "tenacity that never stops": (
        f"import tenacity\n@tenacity.retry(stop=tenacity.stop_never)\n{ASKED}",
        "error",
    ),
    "tenacity that never stops, by names": (
        f"from tenacity import retry, stop_never\nS = stop_never\n@retry(stop=S)\n{ASKED}",
        "error",
    ),
    "tenacity within, without an end": (
        f"import tenacity\ndef g():\n    for a in tenacity.Retrying(reraise=True):\n"
        f"        {CREATE.format(', max_tokens=1')}",
        "error",
    ),
    "backoff, no end given": (
        f"import backoff\n@backoff.on_exception(e, E, max_tries=None)\n{ASKED}",
        "error",
    ),
    "everywhere, of openai": ("import openai\nopenai.max_retries = 9", "error"),
    "attribute of a client": ("c = OpenAI()\nc.max_retries = 9", "error"),
    "attribute of what may be a client": (
        "import openai\nclass A:\n    def f(self):\n        self._client.max_retries = 9",
        "warning",
    ),
    "spread": ("KW = dict(max_retries=9)\nOpenAI(**KW)\nAsyncOpenAI(**KW)", "error"),
    "prepared": ("from functools import partial\npartial(OpenAI, max_retries=9)", "error"),
    "attribute of a job": ("import openai\njob.max_retries = 9", None),
    "attribute of a client of something": ("client.max_retries = 9", None),
    "tenacity, stop not known": (
        f"import tenacity\n@tenacity.retry(stop=stop)\n{ASKED}",
        None,
    ),
    "tenacity, spread": (f"import tenacity\n@tenacity.retry(**options)\n{ASKED}", None),
    "backoff": (f"import backoff\n@backoff.on_exception(e, E, max_tries=5)\n{ASKED}", "error"),
    "backoff without an end": (f"import backoff\n@backoff.on_exception(e, E)\n{ASKED}", "error"),
    "of what is not seen": (
        f"import openai\n{TENACITY}@retry(stop=stop_after_attempt(5))\ndef f(): g()",
        "warning",
    ),
    "session": (
        'from urllib3.util import Retry\nR = Retry(total=9)\nU = "https://api.openai.com/v1"',
        "warning",
    ),
    "adapter": ("import openai\nHTTPAdapter(max_retries=9)", "warning"),
    "bedrock": (
        'from botocore.config import Config\nc = boto3.client("bedrock-runtime", '
        'config=Config(retries={"total_max_attempts": 5}))',
        "warning",
    ),
    "at the limit": ("OpenAI(max_retries=3)", None),
    "tenacity at the limit": (f"{TENACITY}@retry(stop=stop_after_attempt(4))\n{ASKED}", None),
    "of a database": (f"{TENACITY}@retry(stop=stop_after_attempt(9))\ndef f(): db()", None),
    "another retry": (f"from mine import retry\n@retry\n{ASKED}", None),
    "another thing": ("Job(max_retries=9)", None),
    "stopped by time": (f"{TENACITY}@retry(stop=stop_after_delay(9))\n{ASKED}", None),
    "not known": ("OpenAI(max_retries=n)", None),
    "true": ("OpenAI(max_retries=True)", None),
}


@pytest.mark.parametrize("case", RETRIES)
def test_retries(case):
    code, severity = RETRIES[case]
    severities = [f.severity for f in scanned(code).findings if f.kind == "retries"]
    assert severities == ([severity] if severity else []), case


def test_a_line_says_all():
    (finding,) = scanned('\nask(model="gpt-4-0613")').findings
    assert finding.render() == (
        'app/x.py:2:11: error: no-dear: model "gpt-4-0613" is disallowed (by "gpt-4"); '
        "use gpt-4o-mini"
    )


CALL = "client.chat.completions.create(model='gpt-4', max_tokens=900, messages=x)"


def test_conditions_that_the_source_does_not_tell_only_warn():
    task = rule("{task_type: summary, max_output_tokens: 750}")
    assert found(CALL, task) == ["one warning 1"]
    assert "if the task is summary (not known here)" in scanned(CALL, task).findings[0].text
    size = rule("{input_tokens_max: 500, disallowed_models: [gpt-4]}")
    assert found(CALL, size) == ["one warning 1"]


def test_a_path_tells_the_task():
    text = "{task_type: summary, max_output_tokens: 750}"
    config = rule(text)
    config = parse_config(
        f"version: 1\npolicies: [{{enforce: one, rules: [{text}]}}]\n"
        "tasks: [{match: app/**, task: summary}, {match: app/chat/**, task: chat}]\n",
        "x.yml",
    )
    assert found(CALL, config, "app/x.py") == ["one error 1"]
    assert found(CALL, config, "app/chat/x.py") == []
    assert found(CALL, config, "lib/x.py") == ["one warning 1"]


def test_the_scope_of_models():
    scope = "model_scope: [gpt-4]"
    retries = rule(f"{{max_retries: 3, {scope}}}")
    assert found("ChatOpenAI(model='gpt-4', max_tokens=1, max_retries=4)", retries) == [
        "one error 1"
    ]
    assert found("ChatOpenAI(model='gpt-5', max_tokens=1, max_retries=4)", retries) == []
    assert found("OpenAI(max_retries=4)", retries) == ["one warning 1"]
    call = f"{TENACITY}@retry(stop=stop_after_attempt(9))\ndef f():\n    {CALL}"
    assert found(call, retries) == ["one error 2"]
    assert found(call.replace("gpt-4", "gpt-5"), retries) == []
    caps = rule(f"{{max_output_tokens: 750, {scope}}}")
    assert found(CALL, caps) == ["one error 1"]
    assert found(f"M = 'gpt-4'\n{CALL}".replace("model='gpt-4'", "model=M"), caps) == [
        "one error 2"
    ]
    assert found(CALL.replace("gpt-4", "gpt-5"), caps) == []


def test_actions_decide():
    told = rule('{max_retries: 3, actions: [slack_notify], alert_channel: "#x"}')
    assert found("OpenAI(max_retries=4)", told) == ["one warning 1"]


def test_without_a_limit_a_missing_cap_is_advice():
    config = rule("{max_retries: 3}")
    assert found(CREATE.format(""), config) == ["None warning 1"]
    assert found(CREATE.format(", max_tokens=9000"), config) == []


def test_silence():
    done = scanned(
        """
        a = ask(model="gpt-4")  # crashlens: ignore
        b = ask(model="gpt-4")  # crashlens: ignore - it is agreed
        c = client.chat.completions.create(
            messages=x,
        )  # crashlens: ignore
        d = ask(model="gpt-4o")  # crashlens: ignore
        e = ask(model="gpt-4")  # crashlens: ignored
        f = ask(model="gpt-4", text="# crashlens: ignore")
        """
    )
    assert [f.place.line for f in done.findings] == [8, 9]
    assert [f.place.line for f in done.silenced] == [2, 3, 4]
    assert [note.line for note in done.useless] == [7]


UNREADABLE = {
    "syntax": (b"x = 1\ndef (\n", 2),
    "null byte": (b"x = '\0'\n", 1),
    "encoding": (b"# coding: nonsense\nx = 1\n", 1),
    "not its encoding": (b"x = '\xff'\n", 1),
    "depth": (b"x = " + b"(" * 5000 + b")" * 5000, 1),
    "depth of operators": (b"x = " + b"-" * 200_000 + b"1", 1),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_named(case):
    data, line = UNREADABLE[case]
    done = scan_text(data, "x.py", CONFIG, shown="x.py")
    (finding,) = done.unreadable
    assert done.findings == (finding,)
    assert finding.severity == "error"
    assert finding.place.line == line
    assert "it was not scanned" in finding.render()


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_silenced_in_its_first_lines(case):
    data = b"# crashlens: ignore (a template)\n" + UNREADABLE[case][0]
    done = scan_text(data, "x.py", CONFIG, shown="x.py")
    assert (done.findings, len(done.silenced)) == ((), 1)
    late = UNREADABLE[case][0] + b"\n" * 5 + b"# crashlens: ignore"
    for other in (late, data.replace(b"# crashlens", b"# no crashlens")):
        assert scan_text(other, "x.py", CONFIG, shown="x.py").findings


def test_a_file_that_is_too_large(tmp_path):
    path = tmp_path / "x.py"
    for head, severities in ((b"", ["error"]), (b"# crashlens: ignore\n", [])):
        path.write_bytes(head + b"x = 1\n" * 900_000)
        done = scan([path], CONFIG, root=tmp_path, here=tmp_path)
        assert [finding.severity for finding in done.findings] == severities


def test_caps_that_are_not_known_are_counted():
    calls = [CREATE.format(more) for more in (", max_tokens=n", ", **kw", ", max_tokens=5", "")]
    code = "\n".join([*calls, "client.messages.create(model=m)", "ChatAnthropic(model='x')"])
    assert scanned(code).unclear_caps == 4
    assert scanned(code, rule("{max_retries: 3}")).unclear_caps == 0
    scoped = rule("{max_output_tokens: 5, model_scope: [gpt-4]}")
    assert scanned(code, scoped).unclear_caps == 3


def test_encodings():
    data = "# coding: latin-1\nname = 'é'; ask(model='gpt-4')\n".encode("latin-1")
    assert len(scan_text(data, "x.py", CONFIG, shown="x.py").findings) == 1
    data = b"\xef\xbb\xbfask(model='gpt-4')\r\n"
    assert len(scan_text(data, "x.py", CONFIG, shown="x.py").findings) == 1


def test_long_programs_are_no_matter_of_depth():
    code = "x = " + " + ".join(["'a'"] * 900) + "\nask(model='gpt-4')\n"
    assert found(code) == ["no-dear error 2"]
    for deep in (
        "x = " + " + ".join(["a"] * 3000),
        "x = a" + ".b()" * 3000,
        "if a: pass\n" + "elif a: pass\n" * 1500,
    ):
        before = sys.getrecursionlimit()
        assert found(f"ask(model='gpt-4')\n{deep}\n") == ["no-dear error 1"]
        assert sys.getrecursionlimit() == before
    chain = "\n".join(f"N{i} = N{i + 1} + N{i + 1}" for i in range(60))
    assert found(f"{chain}\nOpenAI(max_retries=N0)") == []


relaxed = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=150)
TEXTS = [code for table in (MODELS, CAPS, RETRIES) for code, _ in table.values()]


@relaxed
@given(st.binary(max_size=200))
def test_no_bytes_crash_it(data):
    done = scan_text(data, "x.py", CONFIG, shown="x.py")
    assert done.files == 1


@relaxed
@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4), st.data())
def test_no_damaged_program_crashes_it(codes, data):
    text = "\n".join(codes)
    at = data.draw(st.integers(0, len(text)))
    to = data.draw(st.integers(at, min(len(text), at + 9)))
    put = data.draw(
        st.sampled_from(["", "(", ")", "*", "**", "#", '"', "\n", ":=", "\0", "lambda:"])
    )
    damaged = text[:at] + put + text[to:]
    done = scan_text(damaged.encode(), "x.py", CONFIG, shown="x.py")
    for finding in done.findings:
        lines = damaged.splitlines()
        assert 1 <= finding.place.line <= len(lines)


@relaxed
@given(st.sampled_from(TEXTS))
def test_what_is_no_code_is_never_found(code):
    assert scanned(f"'''\n{code}\n'''" if "'''" not in code else "").findings == ()
    comments = "\n".join(f"# {line}" for line in code.splitlines())
    assert scanned(comments).findings == ()


def test_every_snippet_is_python():
    for code in TEXTS:
        ast.parse(code)


def test_which_files(tmp_path):
    for name in (
        *(
            "app/a.py",
            "app/b.txt",
            "test_a.py",
            "tests/helper.py",
            "tests/test_b.py",
            "conftest.py",
            "x_test.py",
        ),
        *(".hidden/h.py", "node_modules/n.py", "env/pyvenv.cfg", "env/lib/e.py"),
        *("lib/site-packages/s.py", "app/__pycache__/c.py"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "app" / "again.py").symlink_to(tmp_path / "app" / "a.py")

    def names(*paths):
        chosen = choose([tmp_path / path for path in paths], tmp_path)
        return [path.relative_to(tmp_path).as_posix() for path in chosen.files], chosen.tests

    everything, tests = names(".")
    assert len(everything) == 1
    assert everything[0].startswith("app/a")
    assert tests == 5
    assert names("tests") == (["tests/helper.py", "tests/test_b.py"], 0)
    assert names("test_a.py") == (["test_a.py"], 0)
    assert names("lib/site-packages", "env") == (
        ["lib/site-packages/s.py", "env/lib/e.py"][::-1],
        0,
    )


PROMPTS = """
version: 1
updates: [{package-ecosystem: llm-prompts, directory: /prompts}]
limits: {max_increase: 20%}
"""


def prompt_config(more: str = "") -> Config:
    return parse_config(PROMPTS + more, "crashlens.yml")


def judged(now: int, before: int | None, config: Config | None = None, **more) -> list[str]:
    committed = {} if before is None else {"prompts/a.md": Figure(before, ENCODING)}
    counted = Counted(tokens={"prompts/a.md": now}, unreadable={})
    found = judge_prompts(
        counted, more.get("committed", committed), config or prompt_config(), updating=False
    )
    return [
        f"{finding.kind} {finding.severity}" for finding in found if finding.kind != "no_figures"
    ]


def test_growth_of_prompts():
    assert judged(1200, 1000) == []
    assert judged(1201, 1000) == ["increase error"]
    assert judged(150, 100) == []  # within the floor
    assert judged(151, 100) == ["increase error"]
    assert judged(10, 1000) == []
    assert judged(51, 0) == ["increase error"]
    assert judged(9999, 1, replace(prompt_config(), limits=prompt_config().limits)) != []
    off = parse_config(PROMPTS.replace("20%", "off"), "crashlens.yml")
    assert judged(9999, 1, off) == []


def test_growth_in_words():
    counted = Counted(tokens={"prompts/a.md": 1500}, unreadable={})
    committed = {"prompts/a.md": Figure(1000, ENCODING)}
    (finding,) = judge_prompts(counted, committed, prompt_config(), updating=False)
    assert finding.render() == (
        "prompts/a.md:1:1: error: 1,000 -> 1,500 tokens (+50 %), the limit is +20 %; "
        "shorten it, or accept it: crashlens scan --update-prompts"
    )


def test_states_of_prompts():
    assert judged(5, None) == ["missing error"]
    assert judged(5, None, prompt_config("missing: warn")) == ["missing warning"]
    assert judged(5, None, prompt_config("missing: ignore")) == []
    assert judged(5, None, committed=None) == []
    other = {"prompts/a.md": Figure(5, "other")}
    assert judged(5, None, committed=other) == ["basis_changed error"]
    gone = {"prompts/a.md": Figure(5, ENCODING), "prompts/b.md": Figure(5, ENCODING)}
    assert judged(5, None, committed=gone) == ["gone warning"]


def test_limits_of_prompts():
    config = prompt_config("paths: [{match: prompts/**, limits: {max_input_tokens: 500}}]")
    assert judged(500, 500, config) == []
    assert judged(501, 501, config) == ["limit error"]
    assert judged(501, None, config, committed=None) == ["limit error"]
    elsewhere = prompt_config("paths: [{match: tests/**, limits: {max_input_tokens: 500}}]")
    assert judged(501, 501, elsewhere) == []
    policy = "policies: [{enforce: one, rules: [{max_input_tokens: 500%s}]}]"
    assert judged(501, 501, prompt_config(policy % "")) == ["limit error"]
    assert judged(501, 501, prompt_config(policy % ", task_type: summary")) == ["limit warning"]
    tasks = "\ntasks: [{match: prompts/**, task: chat}]"
    assert judged(501, 501, prompt_config(policy % ", task_type: summary" + tasks)) == []
    assert judged(501, 501, prompt_config(policy % ", task_type: chat" + tasks)) == ["limit error"]


def test_counting(tmp_path):
    contents = {
        "a.md": b"hello world",
        "b.txt": "\ufeffhello world".encode(),
        "c": b"\xff\xfe",
        "d": b"\0",
    }
    files = {}
    for name, content in contents.items():
        files[name] = tmp_path / name
        files[name].write_bytes(content)
    files["e"] = tmp_path / "gone"
    counted = count(files)
    assert counted.tokens == {"a.md": 2, "b.txt": 2}
    assert sorted(counted.unreadable) == ["c", "d", "e"]
    assert counted.no_texts == {"d"}


LIMITED = "paths: [{match: prompts/**, limits: {max_input_tokens: 1000}}]"
BY_RULE = "policies: [{enforce: one, rules: [{max_input_tokens: 1000%s}]}]"
UNCOUNTED = {
    "no figures yet": ("latin", None, "", "warning"),
    "a figure of it": ("latin", "itself", "missing: warn", "error"),
    "no figure of it": ("latin", "others", "", "error"),
    "no figure of it, which is told": ("latin", "others", "missing: warn", "warning"),
    "no figure of it, which is nothing": ("latin", "others", "missing: ignore", "warning"),
    "limited": ("latin", None, LIMITED, "error"),
    "too large, no figures yet": ("large", None, "", "warning"),
    "too large, limited": ("large", None, LIMITED, "error"),
    "too large, limited by a rule": ("large", None, BY_RULE % "", "error"),
    "too large, limited perhaps": ("large", None, BY_RULE % ", task_type: chat", "warning"),
    "another encoding": ("wide", "others", "", "error"),
    "an image": ("image", "others", LIMITED, "warning"),
    "a large image": ("large image", "others", LIMITED, "warning"),
    "an image where a prompt was": ("image", "itself", "", "error"),
}
CONTENTS = {
    "latin": "Écris bien.".encode("latin-1"),
    "large": b"word " * 1_200_000,
    "wide": "Be brief.".encode("utf-16"),
    "image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "large image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" * 400_000,
}


@pytest.mark.parametrize("case", UNCOUNTED)
def test_prompts_that_cannot_be_counted(tmp_path, case):
    content, figures, more, severity = UNCOUNTED[case]
    path = tmp_path / "a"
    path.write_bytes(CONTENTS[content])
    counted = count({"prompts/a": path})
    assert not counted.tokens
    name = {"itself": "prompts/a", "others": "prompts/b"}.get(figures)
    committed = {name: Figure(1, ENCODING)} if name else None
    for updating in (False, True):
        found = judge_prompts(counted, committed, prompt_config(more), updating=updating)
        (only,) = [f for f in found if f.kind == "unreadable"]
        if not updating:
            assert only.severity == severity
    # no figure can be written, so what would be missing is told at once
    accepted = "image" in content or "missing" in more
    assert only.severity == ("warning" if accepted else "error")


def test_figures():
    figures = {"b.md": Figure(2, ENCODING), "a.md": Figure(1, ENCODING)}
    text = render(figures)
    assert text.endswith("}\n")
    assert text.index("a.md") < text.index("b.md")
    assert parse(text, "x.json") == figures


BROKEN = {
    "<<<<<<< HEAD\n{}": "unresolved merge conflict",
    '{"version": 1, "prompts": {': "x.json:1:",
    "[]": 'no "version"',
    '{"version": true, "prompts": {}}': 'no "version"',
    '{"version": 2, "prompts": {}}': "upgrade it",
    '{"version": 1}': 'must have "version" and "prompts"',
    '{"version": 1, "prompts": {"a": {"tokens": 1}}}': "a: must have",
    '{"version": 1, "prompts": {"a": {"tokens": -1, "encoding": "x"}}}': "at least 0",
    '{"version": 1, "prompts": {"a": {"tokens": true, "encoding": "x"}}}': "at least 0",
    '{"version": 1, "version": 1, "prompts": {}}': "there twice",
    "[" * 100_000: "x.json",
}


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_broken_figures(text):
    with pytest.raises(FiguresError) as raised:
        parse(text, "x.json")
    assert BROKEN[text] in str(raised.value)
