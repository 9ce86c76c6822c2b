"""Whether a model id, as a provider or gateway writes it, is the model a policy names.

A name covers the ways in which one model is written, never its siblings: ``gpt-4`` is also
``openai/gpt-4``, ``gpt-4-0613`` and ``ft:gpt-4:org::id``, and never ``gpt-4o``, ``gpt-4-turbo``,
``gpt-4-32k`` or ``gpt-4.1``. Covered are, in any case of letters:

- providers and paths in front: ``openai/``, ``models/``, ``publishers/google/models/``, Bedrock's
  ``anthropic.`` and ``us.anthropic.``, and its ARNs;
- versions behind: ``-2024-08-06``, ``-20240229``, ``-0613``, ``-08-2024``, ``-001``, ``-latest``,
  ``@20240229``, Anthropic's ``-0`` alias, Bedrock's ``-v1:0``, a gateway's or Ollama's tag that
  does not change the model (``:latest``, ``:free`` ...);
- fine-tunes of it (``ft:gpt-4o:org::id``, Azure's ``gpt-4o.ft-id``): whoever bans or caps a model
  means what is built on it, and a fine-tune costs more, not less. (A *price* is never taken from
  the base model; that is another question.)

A name with a version is that version. A name with ``/`` or a Bedrock prefix asks for that provider.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

ALL = "all"
"""As a pattern: every model."""

VERSION = re.compile(
    r"(-(\d{4}-\d\d-\d\d|\d{8}|\d{6}|\d{4}|\d\d-\d{4}|\d\d-\d\d|00\d|0|latest))?"
    r"(-v1|(-v?\d+)?:\d+(:\d+k)?)?"
    r"(@[\w.-]+)?"
    r"(\.ft-[\w-]+)?"
    r"(:(latest|free|nitro|floor|online|extended|exacto|thinking|beta))?",
    re.ASCII,
)
"""What may follow a model's name without making it another model."""

VENDOR = re.compile(r"(us-gov|[a-z][a-z0-9]*)\.(?=[a-z*?])")
"""A Bedrock prefix: a region or a vendor. The dot of ``gpt-4.1`` or ``qwen3.6`` is none."""


def matches_model(pattern: str, model: str) -> bool:
    """Whether ``model`` is what ``pattern`` names: a model, a glob (``gpt-4*``) or ``all``."""
    pattern = pattern.strip().lower()
    if pattern == ALL:
        return True
    names = _names(model.strip().lower())
    if is_glob(pattern):
        return any(fnmatchcase(name, pattern) for name in names)
    return bool(pattern) and any(
        name.startswith(pattern) and VERSION.fullmatch(name, len(pattern)) for name in names
    )


def first_match(patterns: Iterable[str], models: Iterable[str | None]) -> str | None:
    """The first pattern that matches any of ``models`` (requested and returned); None: none does.

    A pattern with a provider (``azure/gpt-4``) matches ids written so; pass
    ``f"{provider}/{model}"`` as one of ``models`` where the id itself does not say it.
    """
    known = tuple(model for model in models if model)
    return next((p for p in patterns if any(matches_model(p, model) for model in known)), None)


def is_glob(pattern: str) -> bool:
    """Whether ``pattern`` has wildcards."""
    return any(wildcard in pattern for wildcard in "*?[")


def may_overlap(one: str, other: str) -> bool:
    """Whether some model could match both patterns; yes when in doubt."""
    one, other = one.strip().lower(), other.strip().lower()
    if ALL in (one, other) or matches_model(one, other) or matches_model(other, one):
        return True
    if not is_glob(one) and not is_glob(other):
        return False
    heads = [re.split(r"[*?\[]", pattern)[0] for pattern in (one, other)]
    if any("/" in head or "." in head for head in heads):
        return True
    return heads[0].startswith(heads[1]) or heads[1].startswith(heads[0])


def _names(model: str) -> tuple[str, ...]:
    """Every name under which ``model`` goes: itself, without providers, its base when tuned."""
    names = [model]
    while "/" in names[-1]:
        names.append(names[-1].split("/", 1)[1])
    last = names[-1]
    if last.startswith("ft:"):
        names.append(last.split(":")[1])
    for _ in range(2):
        if match := VENDOR.match(last):
            last = last[match.end() :]
            names.append(last)
    return tuple(names)
