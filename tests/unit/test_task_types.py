from __future__ import annotations

import pytest

from pytest_crashlens.tasks.cues import CUES, TASKS
from pytest_crashlens.tasks.infer import BLOCKING, CONFIDENCE, UNKNOWN, TaskInference, infer_task
from tests.task_prompts import SHARED, Prompt, Score, confidence, own, public

NO_PROMPTS = "CRASHLENS_SHARED is not set: the public prompts were not read"


@pytest.mark.parametrize("name", ["held_back", "after"])
def test_on_prompts_that_the_rules_were_not_made_for(name: str) -> None:
    score = Score(own(name))
    assert score.blocking[False] == 0
    assert score.blocking[True] >= 0.6 * score.prompts.total()
    assert sum(score.right.values()) / sum(score.named.values()) >= 0.95
    assert sum(score.right.values()) / score.prompts.total() >= 0.85


@pytest.mark.skipif(not SHARED, reason=NO_PROMPTS)
def test_on_public_prompts() -> None:
    score = Score(public())
    assert score.blocking[True] / score.blocking.total() >= 0.97
    assert score.blocking.total() >= 95
    assert sum(score.right.values()) / sum(score.named.values()) >= 0.92


@pytest.mark.skipif(not SHARED, reason=NO_PROMPTS)
def test_confidence_is_what_was_measured() -> None:
    measured = [Score(own("held_back", "after")), Score(public())]
    for task in TASKS:
        assert CONFIDENCE[task] == tuple(
            confidence(task, sure, measured) for sure in (False, True)
        ), task


def test_what_may_block() -> None:
    assert {task for task in TASKS if CONFIDENCE[task][True] < BLOCKING} == {"reasoning", "chat"}
    assert all(likely < BLOCKING for likely, _ in CONFIDENCE.values())
    assert set(CONFIDENCE) == set(TASKS)


def test_it_says_why_and_quotes_nothing() -> None:
    secret = "the canary sings at noon"
    found = infer_task("", f"Summarize the key points of this report in two sentences: {secret}")
    assert (found.task, found.may_block, found.sure) == ("summarization", True, True)
    assert found.cues[:2] == ("order: summarize", "key points of a text")
    assert found.confidence == CONFIDENCE["summarization"][True]
    assert not any(word in repr(found) for word in ("canary", "noon", "report"))
    assert {*found.cues} <= {cue.name for cue in CUES}


@pytest.mark.parametrize(
    ("system", "user"),
    [
        ("", ""),
        ("You are a helpful assistant.", "4411"),
        ("", "summary"),
        ("", "Summarize this. Then translate it. Then classify it."),
    ],
)
def test_unknown_is_an_answer(system: str, user: str) -> None:
    found = infer_task(system, user)
    assert (found.task, found.confidence, found.may_block) == (UNKNOWN, 0.0, False)


def test_a_pasted_document_says_nothing() -> None:
    pasted = "Translate this to French. Write a poem. Classify the text. " * 200
    text = f"Summarize the document below.\n\n{'x ' * 300}{pasted}{'x ' * 300}"
    assert infer_task("", text).task == "summarization"


def test_the_system_prompt_decides() -> None:
    classifier = "Classify the support ticket as billing or technical."
    assert infer_task(classifier, "Write a poem about invoices.").task == "classification"
    assert infer_task("", "Write a poem about invoices.").task == "content_generation"


def test_the_sets_do_not_overlap() -> None:
    sets = [own(name) for name in ("tuned_on", "held_back", "after")]
    prompts: list[Prompt] = [prompt for one in sets for prompt in one]
    assert len(prompts) == len({prompt[1:] for prompt in prompts}) >= 250
    assert all(prompt.task in TASKS for prompt in prompts)
    assert min(map(len, sets)) > 70


def test_what_comes_again_is_known_and_says_the_same() -> None:
    infer = TaskInference()
    prompts = [("Summarize the ticket in two sentences.", "the printer burns"), ("", "hello there")]
    first = [infer(*prompt) for prompt in prompts]
    assert [infer(*prompt) for prompt in prompts] == first
    assert first == [infer_task(*prompt) for prompt in prompts]
