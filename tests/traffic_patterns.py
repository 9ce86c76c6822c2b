"""Made-up tests with known patterns of LLM calls, as the detectors would see them.

Requests are real JSON of two wire formats. Every pattern is drawn anew: texts, lengths, models,
how often, how fast.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from pytest_crashlens.detect.seen import Seen
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.pricing.card import Rate, RateCard, cost
from pytest_crashlens.providers.shape import request_shape

KEY = b"made-up traffic"
PRICES = {
    "gpt-4o-mini": ("0.15", "0.6"),
    "gpt-4o": ("2.5", "10"),
    "gpt-4.1": ("2", "8"),
    "o3": ("2", "8"),
    "claude-sonnet-4-5": ("3", "15"),
    "claude-haiku-4-5": ("1", "5"),
}
CHEAP, DEAR = "gpt-4o-mini", "claude-sonnet-4-5"
WORDS = re.findall(
    r"\w+",
    "invoice order parcel customer refund Friday meeting weather river engine report garden price "
    "window letter number doctor station music market school winter coffee bicycle library answer",
)

Message = tuple[str, ...]
"""(role, text), ("call", name, arguments) or ("result", text)."""


def card(model: str) -> RateCard:
    given, out = PRICES[model]
    rates = {"input": Rate(Decimal(given)), "output": Rate(Decimal(out))}
    if model.startswith("claude"):
        rates["cache_read"] = Rate(Decimal(given) / 10)
        rates["cache_write"] = Rate(Decimal(given) * 5 / 4)
    return RateCard(provider="made-up", model=model, rates=rates, source="made up")


def body(
    model: str, messages: Sequence[Message], *, system: str = "", **more: Any
) -> dict[str, Any]:
    """The request's JSON: Anthropic's for its models, OpenAI's for all others."""
    made = _anthropic(messages) if model.startswith("claude") else _openai(messages)
    if system and model.startswith("claude"):
        more = {"system": system, **more}
    elif system:
        made = [{"role": "system", "content": system}, *made]
    return {"model": model, "messages": made, **more}


def _openai(messages: Sequence[Message]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for number, (role, *rest) in enumerate(messages):
        if role == "call":
            function = {"name": rest[0], "arguments": rest[1]}
            call = {"id": f"call_{number}", "type": "function", "function": function}
            made.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif role == "result":
            made.append({"role": "tool", "tool_call_id": f"call_{number - 1}", "content": rest[0]})
        else:
            made.append({"role": role, "content": rest[0]})
    return made


def _anthropic(messages: Sequence[Message]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for number, (role, *rest) in enumerate(messages):
        block: dict[str, Any] = {"type": "text", "text": rest[0]}
        if role == "call":
            block = {"type": "tool_use", "name": rest[0], "input": json.loads(rest[1])}
            block["id"] = f"toolu_{number}"
        elif role == "result":
            block = {
                "type": "tool_result",
                "content": rest[0],
                "tool_use_id": f"toolu_{number - 1}",
            }
        speaker = {"call": "assistant", "result": "user"}.get(role, role)
        made.append({"role": speaker, "content": [block]})
    return made


class Traffic:
    """The calls of one made-up test."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.calls: list[Seen] = []
        self.now = draw.uniform(0, 1e6)

    def text(self, least: int = 8, most: int = 40) -> str:
        return " ".join(self.draw.choices(WORDS, k=self.draw.randint(least, most)))

    def model(self, *but: str) -> str:
        return self.draw.choice([model for model in PRICES if model not in but])

    def count(self, least: int, most: int) -> int:
        return self.draw.randint(least, most)

    def ask(
        self,
        request: Mapping[str, Any],
        *,
        site: str = "app/main.py:10 ask",
        pause: float | None = None,
        attempts: int = 1,
        unanswered: int = 0,
        status: int | None = 200,
        output: int | None = None,
        endpoint: str = "chat",
        at: float | None = None,
    ) -> Seen:
        """One call; ``at``: begins then, whatever else is under way."""
        sent = json.dumps(request)
        started = self.now + (self.draw.uniform(0.001, 0.2) if pause is None else pause)
        started = started if at is None else at
        finished = started + attempts * self.draw.uniform(0.05, 3)
        self.now = max(self.now, finished)
        shape = request_shape(request, KEY)
        answered = status == 200
        used = Usage()
        if answered:
            generated = self.draw.randint(20, 300) if output is None else output
            used = Usage(
                input_tokens=max(1, shape.characters // 4),
                output_tokens=None if endpoint == "embeddings" else generated,
            )
        model = str(request["model"])
        call = Call(
            provider="anthropic" if model.startswith("claude") else "openai",
            endpoint=endpoint,
            host="api.example.com",
            model_requested=model,
            usage=used,
            usage_source="provider" if answered else "none",
            status=status,
            error=None if status else "ReadTimeout",
            billed=answered or status is None,
            attempts=attempts,
            unanswered=unanswered,
            max_output_tokens=request.get("max_tokens"),
            fingerprint=blake2b(sent.encode(), key=KEY, digest_size=8).hexdigest(),
            call_site=site,
        )
        price = cost(card(model), used).usd if answered and model in PRICES else None
        seen = Seen(
            call=call,
            shape=shape,
            started=started,
            finished=finished,
            usd=price,
            card=card(model) if model in PRICES else None,
        )
        self.calls.append(seen)
        return seen


Pattern = Callable[[Traffic], None]
PATTERNS: dict[str, tuple[Pattern, frozenset[str]]] = {}
"""By name: what makes it, and the kinds that a detector should name."""


def pattern(*kinds: str) -> Callable[[Pattern], Pattern]:
    def register(made: Pattern) -> Pattern:
        PATTERNS[made.__name__] = made, frozenset(kinds)
        return made

    return register


def question(t: Traffic, **more: Any) -> list[Message]:
    return [("user", t.text(**more))]


@pattern("retry_storm")
def sdk_retries(t: Traffic) -> None:
    t.ask(body(t.model(), question(t)), attempts=t.count(5, 12))


@pattern("retry_storm")
def retries_of_the_application(t: Traffic) -> None:
    request = body(t.model(), question(t))
    for _ in range(t.count(4, 9)):
        t.ask(request, status=t.draw.choice([429, 500, 503]), pause=t.draw.uniform(0, 60))
    t.ask(request)


@pattern("retry_storm")
def retries_times_retries(t: Traffic) -> None:
    request = body(t.model(), question(t))
    for _ in range(3):
        t.ask(request, status=529, attempts=3, pause=t.draw.uniform(0, 20))


@pattern("retry_storm")
def timeouts(t: Traffic) -> None:
    request = body(t.model(), question(t))
    for _ in range(t.count(5, 7)):
        t.ask(request, status=None)


@pattern("retry_storm")
def retries_with_the_time_in_the_prompt(t: Traffic) -> None:
    """Bodies differ: known to be missed."""
    text = t.text()
    for second in range(t.count(5, 8)):
        request = body(CHEAP, [("user", f"It is 12:00:{second:02}. {text}")])
        t.ask(request, status=429)


@pattern()
def allowed_retries(t: Traffic) -> None:
    t.ask(body(t.model(), question(t)), attempts=t.count(1, 4))
    request = body(t.model(), question(t))
    for _ in range(t.count(1, 3)):
        t.ask(request, status=429)
    t.ask(request)


@pattern("reask_loop")
def asked_again_when_cut(t: Traffic) -> None:
    request = body(t.model(), question(t), max_tokens=64)
    for _ in range(t.count(3, 8)):
        t.ask(request, output=64)
    t.ask(request, output=40)


@pattern("reask_loop")
def asked_again_until_liked(t: Traffic) -> None:
    """One of several requests is answered badly."""
    model, bad = t.model(), t.count(0, 3)
    for number in range(4):
        request = body(model, question(t))
        for _ in range(t.count(4, 9) if number == bad else 1):
            t.ask(request)


@pattern("reask_loop")
def asked_again_alone(t: Traffic) -> None:
    """Looks like sampling: known to be missed."""
    request = body(t.model(), question(t))
    for _ in range(t.count(4, 9)):
        t.ask(request)


@pattern()
def best_of_n_together(t: Traffic) -> None:
    request = body(t.model(), question(t), temperature=0.8)
    now = t.now
    for _ in range(t.count(3, 10)):
        t.ask(request, at=now + t.draw.uniform(0, 0.02))


@pattern()
def best_of_n_in_turn(t: Traffic) -> None:
    request = body(t.model(), question(t))
    for _ in range(t.count(3, 10)):
        t.ask(request)


@pattern()
def best_of_n_of_several(t: Traffic) -> None:
    model, n = t.model(), t.count(3, 10)
    for _ in range(t.count(2, 5)):
        request = body(model, question(t))
        for _ in range(n):
            t.ask(request)


@pattern()
def sampled_then_judged(t: Traffic) -> None:
    """Candidates of one place, the choice in another."""
    request = body(CHEAP, question(t))
    for _ in range(t.count(4, 8)):
        t.ask(request)
    t.ask(body(DEAR, question(t)), site="app/judge.py:5 choose")


@pattern()
def one_example_in_many_steps(t: Traffic) -> None:
    request, model = body("gpt-4o", question(t)), t.model()
    for _ in range(t.count(4, 8)):
        t.ask(request)
        t.ask(body(model, question(t)))


@pattern()
def temperatures_compared(t: Traffic) -> None:
    messages, model = question(t), t.model()
    for tenths in range(t.count(3, 10)):
        t.ask(body(model, messages, temperature=tenths / 10))


@pattern("feedback_loop")
def corrections_in_words(t: Traffic) -> None:
    complaints = (
        "Your previous response was not valid JSON: Expecting ',' delimiter. Try again.",
        "Validation error: field 'total' is missing. Fix the errors and answer again.",
        "The output could not be parsed. Return valid JSON only, matching the schema.",
        "1 validation error for Invoice: total. Correct the output.",
    )
    model, messages = t.model(), question(t)
    t.ask(body(model, messages))
    for _ in range(t.count(3, 7)):
        messages += [("assistant", t.text()), ("user", t.draw.choice(complaints))]
        t.ask(body(model, messages))


@pattern("feedback_loop")
def corrections_of_a_tool(t: Traffic) -> None:
    model, messages = t.model(), question(t)
    t.ask(body(model, messages))
    for number in range(t.count(3, 7)):
        messages += [
            ("call", "run_sql", json.dumps({"query": f"select {number} from {t.text(2, 4)}"})),
            ("result", f"Error: no such table: {t.text(1, 2)}"),
        ]
        t.ask(body(model, messages))


@pattern("feedback_loop")
def corrections_in_other_words(t: Traffic) -> None:
    """No word of an error in the complaint: known to be missed."""
    model, messages = t.model(), question(t)
    t.ask(body(model, messages))
    for _ in range(t.count(3, 7)):
        messages += [("assistant", t.text()), ("user", "That is not it. I want only the object.")]
        t.ask(body(model, messages))


@pattern()
def two_corrections(t: Traffic) -> None:
    model, messages = t.model(), question(t)
    t.ask(body(model, messages))
    for _ in range(t.count(1, 2)):
        messages += [("assistant", t.text()), ("user", "Your answer was not valid JSON.")]
        t.ask(body(model, messages))


@pattern()
def a_chat(t: Traffic) -> None:
    model, messages = t.model(), question(t)
    replies = ("yes", "continue", "And then?", "Why is there an error in my order?", "Go on")
    for _ in range(t.count(3, 10)):
        t.ask(body(model, messages))
        reply = t.draw.choice((*replies, t.text()))
        messages += [("assistant", t.text()), ("user", reply)]


@pattern()
def a_chat_about_errors(t: Traffic) -> None:
    """A user asks about errors of their own program."""
    model = t.model()
    messages: list[Message] = [("user", "My build prints an error, can you help?")]
    replies = (
        "Now it says that the file is missing.",
        "The error is still there after I reinstalled it.",
        "What does the second line of the log mean?",
        "I tried again and it works, but slowly.",
        "It is another error this time: permission denied.",
    )
    for _ in range(t.count(4, 8)):
        t.ask(body(model, messages))
        messages += [("assistant", t.text()), ("user", t.draw.choice(replies))]


@pattern("fallback_down")
def another_model_after_an_error(t: Traffic) -> None:
    messages, system = question(t), t.text()
    t.ask(body(CHEAP, messages, system=system), status=t.draw.choice([429, 500]))
    t.ask(body(DEAR, messages, system=system))


@pattern("fallback_up")
def a_dearer_model_after_a_cut(t: Traffic) -> None:
    messages = question(t)
    t.ask(body(CHEAP, messages, max_tokens=50), output=50)
    t.ask(body(DEAR, messages, max_tokens=500))


@pattern("fallback_up")
def a_cascade(t: Traffic) -> None:
    """The dearer model is asked where the cheap one's answer was no good."""
    for hard in (False, True, False):
        messages = question(t)
        t.ask(body(CHEAP, messages))
        if hard:
            t.ask(body(DEAR, messages), site="app/main.py:20 escalate")


@pattern("fallback_up")
def a_cascade_alone(t: Traffic) -> None:
    """Looks like a comparison: known to be missed."""
    messages = question(t)
    t.ask(body(CHEAP, messages))
    t.ask(body(DEAR, messages))


@pattern("fallback_storm")
def through_all_models(t: Traffic) -> None:
    messages = question(t)
    models = t.draw.sample(list(PRICES), t.count(4, 6))
    for model in models[:-1]:
        t.ask(body(model, messages), status=t.draw.choice([429, 500, 503, None]))
    t.ask(body(models[-1], messages))


@pattern()
def models_compared(t: Traffic) -> None:
    models = t.draw.sample(list(PRICES), t.count(2, 5))
    for _ in range(t.count(1, 4)):
        messages = question(t)
        for model in models:
            t.ask(body(model, messages))


@pattern()
def planner_and_worker(t: Traffic) -> None:
    """An agent of two models: no fallback."""
    plan = question(t)
    for _ in range(t.count(2, 6)):
        t.ask(body(DEAR, plan, system="You plan."), site="app/plan.py:9 plan")
        work = question(t)
        t.ask(body(CHEAP, work, system="You work."), site="app/work.py:7 work")
        plan += [("assistant", work[0][1]), ("user", t.text())]


@pattern()
def a_router(t: Traffic) -> None:
    for _ in range(t.count(2, 6)):
        text = t.text()
        t.ask(body(CHEAP, [("user", text)], system="Name the kind of request.", temperature=0))
        t.ask(body(DEAR, [("user", text)], system="You are an expert."), site="app/x.py:3 answer")


def _agent(t: Traffic, steps: Sequence[tuple[str, str, str]], pause: float | None = None) -> None:
    """Tool calls as (name, arguments, result), and then an answer."""
    model, messages = t.model(), question(t)
    t.ask(body(model, messages))
    for name, arguments, result in steps:
        messages += [("call", name, arguments), ("result", result)]
        t.ask(body(model, messages), pause=pause)


@pattern("agent_loop")
def one_tool_over_and_over(t: Traffic) -> None:
    step = "search", json.dumps({"q": t.text(2, 5)}), t.text()
    _agent(t, [step] * t.count(3, 12))


@pattern("agent_loop")
def two_tools_in_turn(t: Traffic) -> None:
    steps = [("search", '{"q": "a"}', t.text()), ("open", '{"page": 1}', t.text())]
    _agent(t, steps * t.count(3, 8))


@pattern("agent_loop")
def three_tools_in_turn(t: Traffic) -> None:
    steps = [
        ("search", '{"q": "a"}', t.text()),
        ("open", '{"page": 1}', t.text()),
        ("note", '{"text": "b"}', "ok"),
    ]
    _agent(t, [("plan", "{}", t.text()), *(steps * t.count(3, 6))])


@pattern("agent_loop")
def one_question_with_other_results(t: Traffic) -> None:
    arguments = json.dumps({"q": t.text(2, 5)})
    _agent(t, [("search", arguments, t.text()) for _ in range(t.count(10, 15))])


@pattern("agent_loop")
def a_loop_with_a_short_memory(t: Traffic) -> None:
    """Old messages are dropped, so no request continues another: known to be missed."""
    model, first = t.model(), question(t)
    call, result = ("call", "search", '{"q": "a"}'), ("result", t.text())
    for number in range(t.count(5, 9)):
        t.ask(body(model, [*first, ("user", f"step {number}"), call, result]))


@pattern()
def an_agent_at_work(t: Traffic) -> None:
    names = ("search", "open", "read_file", "write_file")
    _agent(
        t,
        [
            (t.draw.choice(names), json.dumps({"q": t.text(2, 5), "n": number}), t.text())
            for number in range(t.count(3, 15))
        ],
    )


@pattern()
def pages_one_by_one(t: Traffic) -> None:
    steps = [("list", json.dumps({"page": page}), t.text()) for page in range(t.count(3, 9))]
    _agent(t, steps)


@pattern()
def written_and_run_again(t: Traffic) -> None:
    """Edits differ, the command between them does not, and its result may not either."""
    steps = []
    for _ in range(t.count(2, 6)):
        steps += [
            ("edit", json.dumps({"text": t.text()}), "ok"),
            ("run_tests", "{}", t.draw.choice(["2 failed", "2 failed", "1 failed"])),
        ]
    _agent(t, steps)


@pattern()
def polled_until_done(t: Traffic) -> None:
    state = t.draw.choice(['{"status": "pending"}', "in progress", "Job 12 is still running."])
    _agent(t, [("status", "{}", state)] * t.count(2, 8) + [("status", "{}", "done")])


@pattern()
def polled_slowly(t: Traffic) -> None:
    _agent(t, [("inbox", "{}", "no new messages")] * t.count(3, 9), pause=t.draw.uniform(10, 60))


@pattern()
def polled_fast_without_a_word_of_waiting(t: Traffic) -> None:
    """Cannot be told from a loop by its content: known to be named from three times on."""
    _agent(t, [("inbox", "{}", "no new messages")] * t.count(2, 6))


@pattern("duplicate")
def the_same_at_temperature_zero(t: Traffic) -> None:
    request = body(t.model(), question(t), temperature=0)
    for _ in range(t.count(2, 6)):
        t.ask(request, site=f"app/main.py:{t.count(1, 99)} ask")


@pattern("duplicate")
def one_text_embedded_again(t: Traffic) -> None:
    request = {"model": "text-embedding-3-small", "input": t.text()}
    for _ in range(t.count(2, 6)):
        t.ask(request, endpoint="embeddings")


@pattern()
def texts_embedded(t: Traffic) -> None:
    for number in range(t.count(3, 10)):
        text = f"{t.text()} {number}"
        t.ask({"model": "text-embedding-3-small", "input": text}, endpoint="embeddings")


@pattern()
def short_texts_classified(t: Traffic) -> None:
    """One template, few words of payload."""
    model, template = t.model(), t.text(80, 120)
    for number in range(t.count(4, 12)):
        request = f"{template}\nText: {t.draw.choice(WORDS)} {number}"
        t.ask(body(model, [("user", request)], temperature=0))


@pattern("prompt_cache")
def a_long_system_prompt(t: Traffic) -> None:
    """About 5,000 tokens for a model whose cache must be asked for."""
    system = t.text(3_500, 4_000)
    for _ in range(t.count(2, 6)):
        t.ask(body(t.draw.choice([DEAR]), question(t), system=system))


@pattern()
def a_long_prompt_with_a_cache(t: Traffic) -> None:
    system = [
        {"type": "text", "text": t.text(3_500, 4_000), "cache_control": {"type": "ephemeral"}}
    ]
    for _ in range(t.count(2, 6)):
        t.ask(body(DEAR, question(t)) | {"system": system})


@pattern()
def long_prompts_at_once(t: Traffic) -> None:
    """All begin before one has ended, so each would write the cache and none read it."""
    system, now = t.text(3_500, 4_000), t.now
    for _ in range(t.count(2, 6)):
        t.ask(body(DEAR, question(t), system=system), at=now + t.draw.uniform(0, 0.02))


@pattern()
def long_prompts_too_short_or_too_late(t: Traffic) -> None:
    short, long = t.text(400, 500), t.text(3_500, 4_000)
    for _ in range(3):
        t.ask(body(DEAR, question(t), system=short))
        t.ask(body("gpt-4o", question(t), system=long))  # caches by itself
        t.ask(body(DEAR, question(t), system=f"{long} "), pause=400)


KNOWN_MISSES = frozenset(
    {
        "retries_with_the_time_in_the_prompt",
        "asked_again_alone",
        "corrections_in_other_words",
        "a_cascade_alone",
        "a_loop_with_a_short_memory",
    }
)
KNOWN_FALSE = frozenset({"polled_fast_without_a_word_of_waiting"})
NOT_LOOPS = frozenset({"no_output_cap", "large_output_cap"})
"""Facts that hold for most tests."""


def made(name: str, draw: random.Random) -> list[Seen]:
    """The calls of one test with the pattern ``name``."""
    traffic = Traffic(draw)
    PATTERNS[name][0](traffic)
    return traffic.calls
