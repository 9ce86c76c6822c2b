import os
from pathlib import Path

import pytest
from assistant.pipeline import Assistant


@pytest.fixture(scope="module")
def vcr_config():
    return {
        "record_mode": "none",
        # With the body: a cassette recorded for an older prompt must not answer a newer one,
        # or its token counts would be those of the older prompt.
        "match_on": ["method", "scheme", "host", "path", "body"],
        "filter_headers": ["authorization", "x-api-key"],
    }


@pytest.fixture(scope="module")
def vcr_cassette_dir(request):
    """Each variant of the assistant sends requests of its own, so it has cassettes of its own."""
    variant = os.environ.get("ASSISTANT_VARIANT", "careful")
    return str(Path(__file__).parent / "cassettes" / variant / request.path.stem)


@pytest.fixture
def assistant(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-dummy")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-dummy")
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return Assistant()


@pytest.fixture
def thread():
    return (Path(__file__).parent / "threads" / "brake_case.txt").read_text(encoding="utf-8")
