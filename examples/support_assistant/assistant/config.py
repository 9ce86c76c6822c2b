"""Which models and prompts the assistant uses."""

import os
from dataclasses import dataclass
from pathlib import Path


def prompt(name: str) -> str:
    """The text of ``prompts/NAME.md``."""
    path = Path(__file__).parent / "prompts" / f"{name}.md"
    return path.read_text(encoding="utf-8").strip()


@dataclass(frozen=True)
class Settings:
    """What decides how much a ticket costs."""

    classify_model: str = "gpt-4o-mini"
    reply_model: str = "gpt-4o-mini"
    summary_model: str = "claude-haiku-4-5"
    follow_up_model: str = "claude-sonnet-4-6"
    embedding_model: str = "text-embedding-3-small"
    summary_prompts: tuple[str, ...] = ("summary",)
    double_check: bool = False


CAREFUL = Settings()

# Three changes, each of which looks harmless in review and breaks no functional test.
CARELESS = Settings(
    reply_model="gpt-4o",  # "replies read a little better"
    summary_prompts=("summary", "handbook"),  # "so that it knows our rules"
    double_check=True,  # "to be on the safe side"
)


def settings() -> Settings:
    """The settings that ``ASSISTANT_VARIANT`` asks for: ``careful`` (default) or ``careless``."""
    return {"careful": CAREFUL, "careless": CARELESS}[
        os.environ.get("ASSISTANT_VARIANT", "careful")
    ]
