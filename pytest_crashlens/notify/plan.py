"""Who is to be told of a run, and what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pytest_crashlens.notify.found import by_channel
from pytest_crashlens.notify.origin import Origin
from pytest_crashlens.notify.slack import slack_message
from pytest_crashlens.notify.webhook import webhook_message
from pytest_crashlens.policy.config import Config
from pytest_crashlens.report.run_result import RunResult

When = Literal["never", "on-failure", "always"]
WHEN: tuple[When, ...] = get_args(When)
WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing to send."""

    to: str
    """A channel, or ``webhook``."""
    variable: str | None
    """The environment variable that holds the URL; None: crashlens.yml names none."""
    payload: dict[str, Any]

    def text(self) -> str:
        """The payload for people. A runner of CI obeys ``##[`` anywhere in a line."""
        return json.dumps(self.payload, indent=2).replace("##[", r"#\u0023[")

    def content(self) -> bytes:
        """The payload as it is sent."""
        return json.dumps(self.payload).encode("ascii")


def messages(run: RunResult, config: Config, origin: Origin, when: When) -> Iterator[Message]:
    """What is to be sent: one message per channel, and one for the webhook.

    ``on-failure`` means that something was found: for a channel, by a rule or budget that notifies
    it; for the webhook, by one that notifies anybody, or something that fails.
    """
    if when == "never":
        return
    always = when == "always"
    channels = by_channel(run, config)
    for channel, found in channels.items():
        if found or always:
            yield Message(
                to=channel,
                variable=config.slack_webhooks.get(channel),
                payload=slack_message(found, run, origin),
            )
    if config.webhook is not None and (always or any(channels.values()) or _fails(run)):
        yield Message(to=WEBHOOK, variable=config.webhook, payload=webhook_message(run, origin))


def _fails(run: RunResult) -> bool:
    """Whether it fails, or would if it were not told to report only."""
    return bool(run.failed or run.session.failed or run.unjudged or run.baseline.error)
