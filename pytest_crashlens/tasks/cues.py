"""Words by which a kind of task is known, each with a name that may be shown.

A cue speaks for one task. Orders (``Summarize ...``) weigh most, since they say what is wanted;
words that only go with a task weigh little. Patterns see lower case.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pytest_crashlens.tasks.on_a_text import ON_A_TEXT
from pytest_crashlens.tasks.on_a_wish import ON_A_WISH


class Cue(NamedTuple):
    """One pattern and what it says."""

    task: str
    name: str
    weight: int
    pattern: re.Pattern[str]


CUES: tuple[Cue, ...] = tuple(
    Cue(task, name, weight, re.compile(pattern))
    for task, name, weight, pattern in (*ON_A_TEXT, *ON_A_WISH)
)
TASKS: tuple[str, ...] = tuple(dict.fromkeys(cue.task for cue in CUES))
