"""Our reading of the seed tasks of self-instruct, by number; made before any rule was run on them.

Those that the set itself calls classification are not listed; all others that are not listed are
questions.
"""

from __future__ import annotations

_BY_TASK = {
    "summarization": (62, 64, 137),
    "translation": (101, 117),
    "extraction": (26, 39, 53, 67, 85),
    "code": (28, 31, 37, 41, 50, 69, 72, 138, 139, 140, 141),
    "reasoning": (1, 15, 22, 25, 35, 45, 58, 83, 109, 110, 132, 136, 144),
    "content_generation": (
        *(2, 3, 4, 5, 6, 8, 11, 14, 17, 18, 20, 21, 24, 29, 33, 40, 44, 46, 47, 49, 55, 56, 57, 59),
        *(63, 65, 71, 74, 75, 76, 77, 79, 80, 81, 84, 86, 87, 89, 91, 93, 96, 99, 100, 105, 106),
        *(108, 112, 116, 119, 121, 123, 124, 125, 128, 129, 145),
    ),
    "rewriting": (42, 43, 51, 61, 66, 78, 97, 98, 114, 126),
    "chat": (68,),
}
SEED_TASKS = {number: task for task, numbers in _BY_TASK.items() for number in numbers}
