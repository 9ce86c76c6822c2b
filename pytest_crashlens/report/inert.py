"""Names and texts of others, made harmless for a terminal, Markdown on GitHub and its runner.

Test ids, model names and messages of exceptions may be written by anybody who sends a pull
request, and end up in comments that a bot signs.
"""

from __future__ import annotations

import re

_MARKUP = re.compile(
    r"[@#`|<\\\[\]*_~^]|://|::|www\.|mailto:|xmpp:|\bGH-\d|&\S|\$(?!\d)|[!%]\w|:[\w+-]+:", re.I
)
"""What may be markup, a mention, a reference, a link, an entity, a formula or a command."""
_HEX = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,40}\b", re.I)
"""GitHub links what looks like a commit."""


def inert(text: str) -> str:
    """``text`` in one line: what controls, hides or turns text round is shown as an escape.

    The runner of GitHub Actions obeys ``##[`` anywhere in a line.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text.replace("##[", "## [")


def is_inert(text: str) -> bool:
    """Whether nothing in ``text`` had to be changed."""
    return inert(text) == text


def code(text: str, limit: int = 200) -> str:
    """A code span, in at most ``limit`` characters of source: nothing in it is markup or mention.

    The end of a longer text is kept: in test ids it tells most. A backtick would end the span and
    a bar a table's cell, so they too are shown as escapes.
    """
    shown = inert(text).replace("`", r"\x60").replace("|", r"\x7c").strip() or "(no name)"
    return f"`{shown}`" if len(shown) + 2 <= limit else f"`…{shown[3 - limit :]}`"


def words(text: str, limit: int = 300) -> str:
    """A sentence: as plain text where all of it is harmless, else as a code span."""
    shown = inert(text).strip()
    if len(shown) > limit - 2:
        shown = f"{shown[: limit - 3].rstrip()}…"
    # signs alone may be a line, a heading or a list
    plain = any(c.isalnum() for c in shown)
    if not plain or _MARKUP.search(shown) or _HEX.search(shown):
        return code(shown, limit)
    return shown
