"""The README is run: its test, its commands, its failing output, its crashlens.yml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_crashlens.policy.loader import parse_config
from tests.integration.conftest import Project, project, server  # noqa: F401 - fixtures
from tests.llm_server import LLMServer

README = (Path(__file__).parents[2] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    fenced = README.split("```")[1::2]
    return [
        text for name, _, text in (block.partition("\n") for block in fenced) if name == language
    ]


@pytest.fixture
def support_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LLMServer]:
    with LLMServer() as running:
        for model in ("gpt-4o-mini", "gpt-4o"):
            running.reply(
                for_model=model, input_tokens=45, output_tokens=8, text="Your refund is due."
            )
        for name, value in running.env.items():
            monkeypatch.setenv(name, value)
        yield running


def test_the_first_screen_happens_as_it_says(project: Project, support_server: LLMServer) -> None:  # noqa: F811
    code = blocks("python")[0]
    (failure,) = [block for block in blocks("") if block.startswith("___")]
    project.write("test_support.py", code)
    updating, checking = blocks("")[1].splitlines()
    assert updating.split()[:2] == ["pytest", "--crashlens-update-baseline"]
    assert checking.split()[:2] == ["pytest", "--crashlens"]
    project.update()
    project.run().assert_outcomes(passed=1)

    project.write("test_support.py", code.replace('"gpt-4o-mini"', '"gpt-4o"'))
    result = project.run()
    assert result.ret == 1
    found = "\n".join(result.outlines)
    assert failure.strip() in found


def test_the_configuration_is_valid() -> None:
    (text,) = blocks("yaml")
    config = parse_config(text, "crashlens.yml")
    assert config.warnings == ()
    assert len(config.rules) == 3
    assert len(config.prices) == 3


def test_the_other_examples_run(project: Project) -> None:  # noqa: F811
    recording, marking = blocks("python")[1:]
    project.write("test_recording.py", recording.replace("    ...\n", ""))
    project.write(
        "test_marking.py",
        marking.replace(
            "    ...\n    assert",
            "    crashlens.record(provider='openai', model='gpt-4o-mini', input_tokens=1,"
            " output_tokens=1)\n    assert",
        ),
    )
    project.run().assert_outcomes(passed=2)


def test_the_readme_has_every_option(project: Project) -> None:  # noqa: F811
    named = set(re.findall(r"`(--(?:no-)?crashlens[\w-]*)", README))
    told = set(
        re.findall(r"^ +(--(?:no-)?crashlens[\w-]*)", project.run("--help").stdout.str(), re.M)
    )
    assert named == told
